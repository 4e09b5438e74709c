"""Attention pooling as a module of sentence-transformers, to be trained and saved with the rest of the encoder.

    SentenceTransformer(modules=[transformer, AttentionPooling(384), Normalize()])

The numbers are those of `samespace.model.modules.TokenAttention`: this class only fits them into features and
folders. The query starts at zero, which is mean pooling. To load such a folder, sentence-transformers wants
`trust_remote_code=True`, because this class is not its own; `load_checkpoint` does not.
"""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers.base.modules import Module
from torch import Tensor, nn

from .modules import attention_pool


class AttentionPooling(Module):  # type: ignore[misc]
    """Token vectors of *dimension* numbers weighted by one learned query; see `model.modules.attention_pool`."""

    config_keys = ["dimension"]  # noqa: RUF012  sentence-transformers' own type

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.query = nn.Parameter(torch.zeros(dimension))

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """Add `sentence_embedding`, (batch, dimension), to the features of the transformer."""
        features["sentence_embedding"] = attention_pool(
            features["token_embeddings"], features["attention_mask"], self.query
        )
        return features

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return self.dimension

    def save(self, output_path: str, *_: Any, safe_serialization: bool = True, **__: Any) -> None:
        """Write config.json and model.safetensors into the folder *output_path*."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **options: Any) -> AttentionPooling:
        """The inverse of `save`; *options* are sentence-transformers' own, for the hub."""
        hub = {key: options[key] for key in ("token", "cache_folder", "revision", "local_files_only") if key in options}
        config = cls.load_config(model_name_or_path=model_name_or_path, subfolder=subfolder, **hub)
        loaded: AttentionPooling = cls.load_torch_weights(
            model_name_or_path=model_name_or_path, subfolder=subfolder, model=cls(**config), **hub
        )
        return loaded
