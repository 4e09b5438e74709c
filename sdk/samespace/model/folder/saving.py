"""Writing a model folder: the one way in which training, pretraining and a larger vocabulary leave a model behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ...errors import ModelUnsupported
from ..checkpoint import Checkpoint
from ..hub import resolve_model
from ..quiet import quiet
from ..static import StaticConfig
from .model_folder import transformer_root
from .tokenizer import require_writable, write_tokenizer


def save_folder(model: Any, folder: Path, tokenizer: Tokenizer, source: str) -> None:
    """Write *model*, a SentenceTransformer, with the tokenizer that it was trained on, and read that back.

    sentence-transformers would write the tokenizer that transformers built anew from the vocabulary.

    Args:
        tokenizer: `Checkpoint.folder_tokenizer` of the base.
        source: the model's name, for errors.

    Raises:
        ModelUnsupported: the folder's tokenizer gives other ids than *tokenizer*.
    """
    with quiet("sentence_transformers", "transformers"):
        model.save_pretrained(str(folder), create_model_card=False)
    inputs = getattr(model.tokenizer, "model_input_names", ())
    write_tokenizer(transformer_root(folder, source), tokenizer, source, inputs)


def require_savable(base: Checkpoint) -> None:
    """Raise `ModelUnsupported`, before any work is done, where `save_folder` would in the end."""
    if base.architecture.model_type == StaticConfig.model_type:
        raise ModelUnsupported(
            model=base.source,
            reason="has static embeddings, which samespace exports and does not train",
            remedy="train it with sentence-transformers, and export what comes of it",
        )
    if any(layer["type"] == "truncate" for layer in base.layers):
        raise ModelUnsupported(
            model=base.source,
            reason=f"cuts its vectors to {base.dims} dims (truncate_dim), and a training goes over whole vectors",
            remedy="take truncate_dim out of a copy of config_sentence_transformers.json; say it again afterwards",
        )
    root = transformer_root(resolve_model(base.source), base.source)
    require_writable(base.folder_tokenizer, root, base.source)
