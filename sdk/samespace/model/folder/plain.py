"""A plain transformers folder: is it an encoder at all, and which files beside it does sentence-transformers not read?

A cross-encoder (reranker) has the same files as an encoder's base, and reads a query and a passage together. Pooling
its token vectors gives numbers that nobody trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ...errors import ModelUnsupported
from ..hub import read_json

_HEAD: Final = "ForSequenceClassification"
_SETTINGS: Final = "config_sentence_transformers.json"
_UNREAD: Final = (_SETTINGS, "sentence_bert_config.json", "1_Pooling/config.json")


def require_encoder(folder: Path, source: str) -> None:
    """Refuse a folder that says it is a cross-encoder, or of another kind than an encoder of single texts.

    Raises:
        ModelUnsupported: it does.
    """
    config = read_json(folder / "config.json", source)
    settings = read_json(folder / _SETTINGS, source) if (folder / _SETTINGS).is_file() else {}
    kind = settings.get("model_type")
    sign = f"{_SETTINGS} says model_type = {kind!r}" if kind not in (None, "SentenceTransformer") else _sign(config)
    if sign:
        raise ModelUnsupported(
            model=source,
            reason=f"is a cross-encoder or of another kind ({sign}): it was not trained to give a text a vector",
            remedy="take an encoder of single texts; a reranker is exported without --pooling",
        )


def unread(folder: Path) -> tuple[str, ...]:
    """The files of sentence-transformers that mean nothing where there is no modules.json, as notes."""
    return tuple(
        f"{name}: all of it, because modules.json is not there" for name in _UNREAD if (folder / name).exists()
    )


def _sign(config: dict[str, Any]) -> str:
    for key in ("sbert_ce_default_activation_function", "sentence_transformers"):
        if config.get(key):
            return f"config.json has {key}"
    heads = [str(each) for each in config.get("architectures") or () if str(each).endswith(_HEAD)]
    labels = config.get("id2label")
    one = config.get("num_labels") == 1 or (isinstance(labels, dict) and len(labels) == 1)
    return f"config.json says {heads[0]} with one label" if heads and one else ""
