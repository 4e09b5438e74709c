"""Two models with a head behind each, as one module that a loss can train, and as two model folders.

A tower is its base's own modules, the unit length that a head was trained on, and the head's dense layers: what
`exporting.heads` puts behind a graph, here in the modules of sentence-transformers, so that it reads the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ...exporting.hub_header import header, origin_of
from ...exporting.provenance import public_name
from ...heads import Head, Heads
from ...model.checkpoint import Checkpoint
from ...text import ROLES, Role
from ..finetuning.model import load_plain, save_model, set_dropout, set_prompts
from ..losses.batch import TrainingBatch
from ..losses.batch_loss import BatchLoss
from ..scoring.report import CARD

_ROLE: Final = "role"


class Towers(nn.Module):
    """Features that say their role, to what the model of that role makes of them."""

    def __init__(self, models: Mapping[Role, nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleDict({str(role): model for role, model in models.items()})

    def forward(self, features: Mapping[str, Any]) -> Any:
        """Features with "sentence_embedding", as sentence-transformers' models give them."""
        return self.models[features[_ROLE]]({name: value for name, value in features.items() if name != _ROLE})


class TowersLoss(BatchLoss):
    """The loss of a batch whose queries and passages go through different models."""

    def features(self, batch: TrainingBatch) -> list[dict[str, Any]]:
        """Each side's features, with its role."""
        return [side | {_ROLE: role} for role, side in zip(ROLES, super().features(batch), strict=True)]


def build(encoders: Mapping[Role, Checkpoint], heads: Heads) -> Towers:
    """Both models in fp32 with their heads behind them."""
    return Towers({role: _tower(encoders[role], heads.of(role)) for role in ROLES})


def save(towers: Towers, encoders: Mapping[Role, Checkpoint], folders: Mapping[Role, Path]) -> None:
    """Write each tower as a model folder, whose card keeps the licence of its base."""
    for role in ROLES:
        source, folder = encoders[role].source, folders[role]
        save_model(towers.models[role], folder, encoders[role].folder_tokenizer, source)
        top = header(origin_of(source), folder.name, "sentence-transformers")
        told = f"The {role} half of two encoders that were trained together, from {public_name(source)}.\n"
        (folder / CARD).write_text(f"{top}# {folder.name}\n\n{told}", encoding="utf-8")


def _tower(encoder: Checkpoint, head: Head) -> Any:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    model = load_plain(encoder.source)
    set_dropout(model, 0.0)
    model.append(Normalize())
    for layer in head.layers:
        dims, source_dims = layer.weight.shape
        activation = nn.ReLU() if layer.activation == "relu" else nn.Identity()
        model.append(
            Dense(
                source_dims, dims, activation_function=activation,
                init_weight=torch.from_numpy(layer.weight), init_bias=torch.from_numpy(layer.bias),
            )
        )  # fmt: skip
    set_prompts(model, encoder.recipe)
    model.similarity_fn_name = "cosine"
    return model.to("cuda") if torch.cuda.is_available() else model.to("cpu")
