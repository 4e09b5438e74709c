"""Facts about a transformer that configurations name differently: vocabulary, token vectors, positions.

The names come from transformers' own `attribute_map`, by which `hidden_size` is `d_model` or `dim` where a model calls
it so; what has no vocabulary under that name is no text encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import nn

from ..errors import ModelUnsupported

_SENSES: Final = ("vision_config", "audio_config")
_POSITION_TABLES: Final = ("position_embeddings", "embed_positions")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What an export has to know of a configuration.

    Attributes:
        model_type: transformers' name.
        vocabulary: token ids are below it.
        hidden_size: length of a token vector.
        positions: the most tokens that it has positions for, learned or rotary; None where positions are
            relative and have no end (T5, ALiBi).
    """

    model_type: str
    vocabulary: int
    hidden_size: int
    positions: int | None

    def measured(self, backbone: nn.Module) -> Architecture:
        """The same, with what only the model itself tells.

        RoBERTa's family leaves the first entries of its position table to padding, and EmbeddingGemma 2
        projects its token vectors to another length than its hidden size.
        """
        ids = torch.zeros((1, 2), dtype=torch.int64)
        with torch.inference_mode():
            hidden = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return replace(self, hidden_size=int(hidden.shape[-1]), positions=self.usable_positions(backbone))

    def usable_positions(self, backbone: nn.Module) -> int | None:
        """The most tokens that *backbone* has positions for, without running it; None for no end."""
        return None if self.positions is None else self.positions - _unused_positions(backbone)


def read_architecture(config: Any, source: str) -> Architecture:
    """The facts in *config*; *source* names the model in errors.

    Raises:
        ModelUnsupported: it sees or hears, or has no vocabulary or width under any known name.
    """
    model_type = str(config.model_type)
    senses = [name for name in _SENSES if getattr(config, name, None) is not None]
    if senses:
        raise ModelUnsupported(
            model=source,
            reason=f"{model_type} takes more than text ({', '.join(senses)})",
            remedy="save its text model alone, if it has one, and export that",
        )
    text = config.get_text_config()
    try:
        vocabulary, hidden_size = int(text.vocab_size), int(text.hidden_size)
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"{model_type} is not known as a text encoder: its configuration has no vocab_size and hidden_size",
            remedy="use a text encoder, or please report the architecture",
        ) from error
    positions = getattr(text, "max_position_embeddings", None)
    limited = isinstance(positions, int) and positions > 0
    return Architecture(model_type, vocabulary, hidden_size, positions if limited else None)


def _unused_positions(backbone: nn.Module) -> int:
    """How many entries of the position table no token uses: RoBERTa's family counts from the padding id + 1."""
    for name, module in backbone.named_modules():
        table = isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _POSITION_TABLES
        if table and module.padding_idx is not None:
            return int(module.padding_idx) + 1
    return 0
