"""LlamaIndex's embedding over an encoder: texts are passages, queries are queries.

from samespace import Encoder
from samespace.adapters.llamaindex import SamespaceEmbedding

Settings.embed_model = SamespaceEmbedding(Encoder.connect("localhost:8081"))
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from ..encoder import Encoder
from ..text import Role


class SamespaceEmbedding(BaseEmbedding):
    """Vectors of one space as lists of floats; `model_name` is the space's id, so caches and dumps name it."""

    _encoder: Encoder = PrivateAttr()

    def __init__(self, encoder: Encoder, **settings: Any) -> None:
        """*settings* are LlamaIndex's own, such as `embed_batch_size`."""
        super().__init__(model_name=encoder.space_id, **settings)
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex dumps it."""
        return "SamespaceEmbedding"

    @property
    def encoder(self) -> Encoder:
        """The one that it was made of."""
        return self._encoder

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._lists([query], "query")[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._lists([text], "passage")[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._lists(texts, "passage")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    def _lists(self, texts: list[str], role: Role) -> list[list[float]]:
        rows: list[list[float]] = np.asarray(self._encoder.encode(texts, role)).tolist()
        return rows
