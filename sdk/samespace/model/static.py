"""Static embeddings: one trained row for each token, and a text is the mean of its tokens' rows.

Folders of sentence-transformers' StaticEmbedding module and of model2vec, whose mapping of tokens to rows and weights
of tokens are folded into one table, as sentence-transformers folds them. Importing this module registers the table
with transformers' Auto classes, so that an identity can be built anew (`rebuilt`).

A text has no special tokens, and nothing limits its length but the recipe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from ..errors import ModelUnsupported
from .hub import read_json

STATIC: Final = "StaticEmbedding"
TOKEN_LIMIT: Final = 8192
"""Tokens of one input where nobody says otherwise: a mean over more costs little, but so much is enough for a batch."""
_MODEL2VEC: Final = "model2vec"


class StaticConfig(PretrainedConfig):  # type: ignore[misc]
    """The sizes of a table."""

    model_type = "samespace-static"

    def __init__(self, vocab_size: int = 30_522, hidden_size: int = 256, **others: Any) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        super().__init__(**others)


class StaticModel(PreTrainedModel):  # type: ignore[misc]
    """A row for each token, and nothing that looks at its neighbours."""

    config_class = StaticConfig

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.word_embeddings(input_ids))  # (batch, tokens, size)


@dataclass(frozen=True, slots=True)
class StaticParts:
    """What a folder of static embeddings holds; *limit* is in tokens."""

    config: StaticConfig
    model: StaticModel
    tokenizer: Tokenizer
    limit: int


def is_model2vec(folder: Path) -> bool:
    """Whether *folder* is model2vec's own: no modules.json, and its configuration says so."""
    file = folder / "config.json"
    if (folder / "modules.json").exists() or not file.is_file():
        return False
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whoever reads the model says what is wrong with it
    return isinstance(said, dict) and said.get("model_type") == _MODEL2VEC


def load_static(root: Path, source: str) -> StaticParts:
    """Read the table and the tokenizer in *root*.

    Raises:
        ModelUnsupported: there is no table of float numbers in safetensors, or the tokenizer does not fit it.
    """
    table = _table(root, source)
    value = read_json(root / "tokenizer.json", source)
    cut = (value.get("truncation") or {}).get("max_length")
    limit = min(TOKEN_LIMIT, cut) if isinstance(cut, int) and cut > 0 else TOKEN_LIMIT
    tokenizer = _tokenizer(value, source)
    config = StaticConfig(vocab_size=table.shape[0], hidden_size=table.shape[1])
    model = StaticModel(config)
    model.load_state_dict({"word_embeddings.weight": table})
    return StaticParts(config, model.eval().requires_grad_(False), tokenizer, limit)


def _table(root: Path, source: str) -> Tensor:
    """(vocabulary, dims) float32: the row of each token, its weight folded in."""
    file = root / "model.safetensors"
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelUnsupported(
            model=source, reason=f"{file.name} cannot be read: {error}", remedy="convert it to safetensors"
        ) from error
    known = {"embedding.weight"} if "embedding.weight" in weights else {"embeddings", "mapping", "weights"}
    table = weights.get("embedding.weight", weights.get("embeddings"))
    if table is None or set(weights) - known or table.ndim != 2:
        raise ModelUnsupported(
            model=source,
            reason=f"{file.name} holds {', '.join(sorted(weights)) or 'nothing'}",
            remedy="samespace knows embedding.weight, or embeddings with mapping and weights",
        )
    if table.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ModelUnsupported(
            model=source,
            reason=f"its table is of {str(table.dtype).removeprefix('torch.')}",
            remedy="load it with model2vec in float32 and save it",
        )
    if (mapping := weights.get("mapping")) is not None:
        table = table[mapping.to(torch.long)]
    if (scales := weights.get("weights")) is not None:
        # As sentence-transformers folds them: in float32 at least, and back to the table's own type.
        table = (table.to(torch.float32) * scales.to(torch.float32)[:, None]).to(table.dtype)
    table = table.to(torch.float32).contiguous()
    if not np.isfinite(table.numpy()).all():
        raise ModelUnsupported(model=source, reason="its table has numbers that are not finite", remedy="get it anew")
    return table


def _tokenizer(value: dict[str, Any], source: str) -> Tokenizer:
    """The content of tokenizer.json without what it puts around a text: static embeddings have no special tokens."""
    value["post_processor"] = value["truncation"] = value["padding"] = None
    try:
        return Tokenizer.from_str(json.dumps(value))
    except Exception as error:  # the library raises nothing narrower
        raise ModelUnsupported(
            model=source, reason=f"tokenizer.json cannot be read: {error}", remedy="save the tokenizer again"
        ) from error


AutoConfig.register(StaticConfig.model_type, StaticConfig, exist_ok=True)
AutoModel.register(StaticConfig, StaticModel, exist_ok=True)
