"""The transformer under an encoder: its configuration, its weights, and how many tokens it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ..errors import ModelUnsupported
from .model_folder import read_json

# RoBERTa's family counts positions from pad_token_id + 1.
_OFFSET_POSITIONS: Final = frozenset(
    {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "xmod", "longformer"}
)


def load_config(root: Path, source: str) -> Any:
    """The transformers configuration in *root*.

    Raises:
        ModelUnsupported: transformers does not know the model type without running code of the folder.
    """
    from transformers import AutoConfig

    raw = read_json(root / "config.json", source)
    if "auto_map" in raw and "model_type" not in raw:
        raise ModelUnsupported(
            model=source, reason="brings code of its own (auto_map)", remedy="use a model that transformers knows"
        )
    try:
        return AutoConfig.from_pretrained(root, trust_remote_code=False)
    except (ValueError, OSError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"transformers does not know model type {raw.get('model_type')!r} without code of the folder",
            remedy="use a model that transformers knows natively",
        ) from error


def load_backbone(root: Path, config: Any, source: str) -> nn.Module:
    """The transformer in fp32, from safetensors, every weight read from the folder.

    Raises:
        ModelUnsupported: no safetensors, or weights are missing.
    """
    from transformers import MODEL_MAPPING, AutoModel

    if not any(root.glob("*.safetensors")):
        raise ModelUnsupported(
            model=source,
            reason="has no safetensors weights, and a pickled checkpoint can run code when it is read",
            remedy="convert it once where you trust it: AutoModel.from_pretrained(SOURCE).save_pretrained(TARGET)",
        )
    options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": False, "use_safetensors": True}
    # BERT's pooler is a head of its pre-training: it is not on the way to a vector, so it is not the space's.
    kind = MODEL_MAPPING.get(type(config), None)
    if kind is not None and "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        options["add_pooling_layer"] = False
    backbone, report = AutoModel.from_pretrained(
        root, config=config, attn_implementation="sdpa", output_loading_info=True, **options
    )
    # transformers fills what is missing with random numbers and a warning: no encoder that anybody trained.
    missing = sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])])
    if missing:
        raise ModelUnsupported(
            model=source,
            reason=f"lacks {len(missing)} weights of {type(backbone).__name__}, the first: {missing[0]}",
            remedy="the folder is incomplete, or its config.json is of another model",
        )
    module: nn.Module = backbone.eval()
    return module


def token_limit(root: Path, config: Any, settings: Mapping[str, Any], source: str) -> int:
    """The folder's own limit: sentence-transformers' setting, else the tokenizer's, else the positions."""
    found: list[int] = []
    if isinstance(settings.get("max_seq_length"), int):
        found.append(settings["max_seq_length"])
    elif (root / "tokenizer_config.json").exists():
        length = read_json(root / "tokenizer_config.json", source).get("model_max_length")
        if isinstance(length, int | float) and 0 < length < 1_000_000:
            found.append(int(length))
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        offset = config.pad_token_id + 1 if config.model_type in _OFFSET_POSITIONS else 0
        found.append(positions - offset)
    if not found:
        raise ModelUnsupported(model=source, reason="does not say its token limit", remedy="say --max-tokens")
    return min(found)
