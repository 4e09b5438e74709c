"""Haystack's embedders over an encoder: one for documents, which are passages, and one for queries.

from samespace.adapters.haystack import SamespaceDocumentEmbedder, SamespaceTextEmbedder

documents = SamespaceDocumentEmbedder("localhost:8081")
queries = SamespaceTextEmbedder("localhost:8081")

A pipeline that is dumped names the space, and a pipeline that is read again wants it back.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document, component, default_from_dict, default_to_dict

from ..encoder import Encoder
from ..errors import RequestInvalid, SpaceMismatch
from ..text import Role


class NamedEncoder:
    """An encoder, or where one is to be found; opened when it is first needed."""

    def __init__(self, source: Encoder | str, space_id: str = "") -> None:
        """See `SamespaceTextEmbedder`."""
        self.source, self._space_id = source, space_id
        self._opened = source if isinstance(source, Encoder) else None

    def open(self) -> Encoder:
        """The encoder.

        Raises:
            SpaceMismatch: it is of another space than was named.
        """
        if self._opened is None:
            is_folder = (Path(str(self.source)) / "manifest.json").is_file()
            self._opened = Encoder.load(str(self.source)) if is_folder else Encoder.connect(str(self.source))
        if self._space_id and self._opened.space_id != self._space_id:
            raise SpaceMismatch(expected=self._space_id, found=self._opened.space_id, where=f"encoder {self.source}")
        return self._opened

    def close(self) -> None:
        """Let go of an encoder that this opened."""
        if self._opened is not None and isinstance(self.source, str):
            self._opened.close()
            self._opened = None

    def parameters(self) -> dict[str, str]:
        """What a dumped pipeline says; raises `RequestInvalid` for an encoder that was given as an object."""
        if not isinstance(self.source, str):
            raise RequestInvalid(
                field="encoder", reason="is an object; a pipeline that is dumped needs an address or an artifact"
            )
        return {"encoder": self.source, "space_id": self.open().space_id}

    def rows(self, texts: list[str], role: Role) -> list[list[float]]:
        """One vector a text."""
        found: list[list[float]] = np.asarray(self.open().encode(texts, role)).tolist() if texts else []
        return found


@component
class SamespaceTextEmbedder:
    """Queries to vectors of one space."""

    def __init__(self, encoder: Encoder | str, space_id: str = "") -> None:
        """Nothing is opened yet.

        Args:
            encoder: a server's "host:port", an artifact's folder, or an encoder.
            space_id: the space that it has to be of; any, unless given.
        """
        self._encoder = NamedEncoder(encoder, space_id)

    def warm_up(self) -> None:
        """Open the encoder; raises `SpaceMismatch` where it is of another space than was named."""
        self._encoder.open()

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """The vector of a query, and its space."""
        return {
            "embedding": self._encoder.rows([text], "query")[0],
            "meta": {"space_id": self._encoder.open().space_id},
        }

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file."""
        return default_to_dict(self, **self._encoder.parameters())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SamespaceTextEmbedder:
        """From a pipeline's file."""
        made: SamespaceTextEmbedder = default_from_dict(cls, data)
        return made


@component
class SamespaceDocumentEmbedder:
    """Documents with vectors of one space; their content alone is encoded."""

    def __init__(self, encoder: Encoder | str, space_id: str = "") -> None:
        """See `SamespaceTextEmbedder`."""
        self._encoder = NamedEncoder(encoder, space_id)

    def warm_up(self) -> None:
        """Open the encoder; raises `SpaceMismatch` where it is of another space than was named."""
        self._encoder.open()

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Copies of *documents* with their vectors, and the space; raises `RequestInvalid` for one without content."""
        texts = [content_of(document) for document in documents]
        rows = self._encoder.rows(texts, "passage")
        embedded = [replace(document, embedding=row) for document, row in zip(documents, rows, strict=True)]
        return {"documents": embedded, "meta": {"space_id": self._encoder.open().space_id}}

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file."""
        return default_to_dict(self, **self._encoder.parameters())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SamespaceDocumentEmbedder:
        """From a pipeline's file."""
        made: SamespaceDocumentEmbedder = default_from_dict(cls, data)
        return made


def content_of(document: Document) -> str:
    """The text of a document; raises `RequestInvalid` for one that has none."""
    if document.content is None:
        raise RequestInvalid(field=f"document {document.id}", reason="has no content: nothing can be encoded")
    content: str = document.content
    return content
