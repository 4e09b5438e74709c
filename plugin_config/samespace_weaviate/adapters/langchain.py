"""LangChain's `VectorStore` over a pinned collection: it always names vector and space.

from samespace import Encoder
from samespace_weaviate import Store
from samespace_weaviate.adapters.langchain import PinnedVectorStore

store = PinnedVectorStore.open(Store.connect("http://localhost:8080"), "Article", Encoder.connect("localhost:8081"))
retriever = store.as_retriever()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from samespace.adapters.langchain import SamespaceEmbeddings
from samespace.encoder import Encoder
from samespace.errors import RequestInvalid

from ..access.database import Database
from ..access.values import Passage
from ..collections.collection import PinnedCollection
from .documents import PinnedDocuments, PinnedText, refuse_options


class PinnedVectorStore(VectorStore):
    """A pinned collection; see `open`. Not for tenants: give the collection of one (`collection.of_tenant`)."""

    def __init__(self, collection: PinnedCollection) -> None:
        self._documents = PinnedDocuments(collection)
        self.collection = collection

    @classmethod
    def open(cls, database: Database, name: str, encoder: Encoder) -> Self:
        """The collection *name*, pinned to the space of *encoder*.

        Raises:
            SpaceMismatch: it is pinned to another space.
            PinBroken: it is not there, or its pin does not hold.
        """
        return cls(PinnedCollection.open(database, name, encoder))

    @property
    def embeddings(self) -> Embeddings:
        """Of the pinned space."""
        return SamespaceEmbeddings(self._documents.encoder)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Write texts with their vectors; their ids. The same id again replaces the text.

        Args:
            metadatas: properties of each, which the collection has to have.
            ids: of each; new ones by default, also where one is None.

        Raises:
            RequestInvalid: lengths differ, or *kwargs* has something that is not understood.
            DataInvalid: some were not written, or have properties that the collection lacks.
        """
        refuse_options(kwargs)
        listed = list(texts)
        names = [each or str(uuid4()) for each in (ids if ids is not None else [None] * len(listed))]
        extras = metadatas if metadatas is not None else [{} for _ in listed]
        if not len(listed) == len(names) == len(extras):
            raise RequestInvalid(
                field="texts, metadatas, ids", reason=f"{len(listed)}, {len(extras)} and {len(names)} of them"
            )
        passages = [Passage(name, text, extra) for name, text, extra in zip(names, listed, extras, strict=True)]
        self._documents.add(passages)
        return names

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The *k* nearest objects; `filters` is a `Filter` of weaviate-client, `group_by="document"` joins windows."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """The same with their cosine, -1 to 1."""
        asked = {key: kwargs.pop(key) for key in ("filters", "group_by") if key in kwargs}
        refuse_options(kwargs)
        return [(_document(text), text.cosine or 0.0) for text in self._documents.search(query, k, **asked)]

    def _select_relevance_score_fn(self) -> Any:
        """A cosine as a score from 0 to 1."""
        return lambda cosine: (1.0 + cosine) / 2.0

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Delete documents by id; those that are not there are passed over."""
        refuse_options(kwargs)
        if ids is None:
            raise RequestInvalid(field="ids", reason="are missing; a whole collection is deleted in Weaviate")
        self._documents.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by id, in that order; those that are not there are left out.

        Raises:
            RequestInvalid: the collection stores documents as windows, which have ids of their own.
        """
        return [_document(text) for text in self._documents.get(ids)]

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """`open` with `database` and `name` from *kwargs*, and `add_texts`.

        Raises:
            RequestInvalid: *embedding* is none of samespace's, whose space is known.
        """
        if not isinstance(embedding, SamespaceEmbeddings):
            kind = type(embedding).__name__
            raise RequestInvalid(
                field="embedding", reason=f"{kind}; expected SamespaceEmbeddings, whose space is known"
            )
        made = cls.open(kwargs.pop("database"), kwargs.pop("name"), embedding.encoder)
        made.add_texts(texts, metadatas, ids=ids, **kwargs)
        return made


def _document(text: PinnedText) -> Document:
    return Document(page_content=text.text, metadata=dict(text.properties), id=text.id)
