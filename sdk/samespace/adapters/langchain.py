"""LangChain's `Embeddings` over an encoder: documents are passages, queries are queries.

from samespace import Encoder
from samespace.adapters.langchain import SamespaceEmbeddings

embeddings = SamespaceEmbeddings(Encoder.connect("localhost:8081"))
"""

from __future__ import annotations

import numpy as np
from langchain_core.embeddings import Embeddings

from ..encoder import Encoder
from ..text import Role


class SamespaceEmbeddings(Embeddings):
    """Vectors of one space as lists of floats. LangChain does not carry a space, so hold on to `encoder.space_id`."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, as passages; texts beyond the token limit are windowed and pooled.

        Raises:
            RequestInvalid: not a list of strings.
        """
        return self._lists(texts, "passage") if texts else []

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        return self._lists([text], "query")[0]

    def _lists(self, texts: list[str], role: Role) -> list[list[float]]:
        found: list[list[float]] = np.asarray(self.encoder.encode(texts, role)).tolist()
        return found
