"""Haystack's document store over a pinned collection, and the retriever that asks it: both name vector and space.

from samespace_weaviate.adapters.haystack import PinnedDocumentStore, PinnedRetriever

store = PinnedDocumentStore("http://localhost:8080", "Article", "localhost:8081")
pipeline.add_component("retriever", PinnedRetriever(store))

Texts are encoded here, by the pinned encoder, and so are queries. Embeddings that come with documents are held
against the encoder, and are not stored.
"""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils.filters import document_matches_filter

from samespace.adapters.haystack import NamedEncoder, content_of
from samespace.encoder import Encoder
from samespace.errors import RequestInvalid

from ..access.client import Store
from ..access.database import Database
from ..access.values import Passage
from .documents import PinnedDocuments, PinnedText
from .filters import combine, compare

Condition = dict[str, Any]


class PinnedDocumentStore:
    """A pinned collection as Haystack's store; opened when it is first needed."""

    def __init__(self, weaviate: Database | str, collection: str, encoder: Encoder | str, space_id: str = "") -> None:
        """Nothing is opened yet.

        Args:
            weaviate: an address such as "http://localhost:8080", or a `Store`; of a tenant, `store.of_tenant(...)`.
            collection: a pinned one.
            encoder: a server's "host:port", an artifact's folder, or an encoder.
            space_id: the space that both have to be of; the encoder's, unless given.
        """
        self._weaviate, self._name = weaviate, collection
        self._encoder = NamedEncoder(encoder, space_id)
        self._opened: PinnedDocuments | None = None
        self._store: Database | None = None

    @property
    def documents(self) -> PinnedDocuments:
        """The open collection.

        Raises:
            SpaceMismatch: it is pinned to another space, or the encoder is not of the space that was named.
            PinBroken: it is not there, or its pin does not hold.
        """
        if self._opened is None:
            encoder = self._encoder.open()
            self._store = Store.connect(self._weaviate) if isinstance(self._weaviate, str) else self._weaviate
            self._opened = PinnedDocuments.open(self._store, self._name, encoder)
        return self._opened

    def count_documents(self) -> int:
        """How many objects there are; of a collection that stores windows, these."""
        return len(self.documents.collection)

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Encode and write documents, with their meta as properties; how many were written.

        Args:
            policy: NONE and OVERWRITE replace a document of the same id.

        Raises:
            SpaceMismatch: documents come with vectors of another encoder.
            DuplicateDocumentError: one is there already, or given twice, with FAIL; nothing was written.
            DataInvalid: some were not written, or have properties that the collection lacks.
        """
        wanted = documents
        if policy in (DuplicatePolicy.SKIP, DuplicatePolicy.FAIL):
            known = {text.id for text in self.documents.get([document.id for document in documents])}
            wanted, twice = list[Document](), list[Document]()
            for document in documents:
                (twice if document.id in known else wanted).append(document)
                known.add(document.id)
            if twice and policy == DuplicatePolicy.FAIL:
                named = ", ".join(sorted({document.id for document in twice}))
                raise DuplicateDocumentError(f"documents are there already, or given twice: {named}")
        given = [document for document in wanted if document.embedding is not None]
        self.documents.require_own([content_of(each) for each in given], [each.embedding or [] for each in given])
        self.documents.add([Passage(each.id, content_of(each), each.meta) for each in wanted])
        return len(wanted)

    def filter_documents(self, filters: Condition | None = None) -> list[Document]:
        """The documents that *filters* match, as Haystack itself says; the collection is read once."""
        self.documents.require_whole("filters")
        texts = (_document(text) for text in self.documents)
        return [each for each in texts if filters is None or document_matches_filter(filters, each)]

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete by id, with all windows; those that are not there are passed over."""
        self.documents.delete(document_ids)

    def search(self, query: str, top_k: int, filters: Condition | None = None) -> list[Document]:
        """The nearest documents to a query's text; their score is the cosine, -1 to 1.

        Raises:
            RequestInvalid: Weaviate would not compare exactly what *filters* compare.
        """
        collection = self.documents.collection
        schema = {} if filters is None else collection.database.schema(collection.name) or {}
        chosen = None if filters is None else _filter(schema, filters)
        return [_document(text) for text in self.documents.search(query, top_k, filters=chosen)]

    def close(self) -> None:
        """Let go of the connections that this opened; it opens them again when they are needed."""
        if self._opened is not None and isinstance(self._weaviate, str) and isinstance(self._store, Store):
            self._store.close()
        self._encoder.close()
        self._opened = None

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file; raises `RequestInvalid` where Weaviate or encoder were given as objects."""
        if not isinstance(self._weaviate, str):
            raise RequestInvalid(field="weaviate", reason="is an object; a pipeline that is dumped needs an address")
        return default_to_dict(self, weaviate=self._weaviate, collection=self._name, **self._encoder.parameters())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PinnedDocumentStore:
        """From a pipeline's file."""
        made: PinnedDocumentStore = default_from_dict(cls, data)
        return made


@component
class PinnedRetriever:
    """Asks a `PinnedDocumentStore` by the query's text: a vector alone would not say its space."""

    def __init__(self, document_store: PinnedDocumentStore, top_k: int = 10, filters: Condition | None = None) -> None:
        """Args: *top_k* documents of those that *filters* match, unless a run says otherwise."""
        self.document_store, self.top_k, self.filters = document_store, top_k, filters

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None, filters: Condition | None = None) -> dict[str, Any]:
        """The nearest documents, the best first."""
        chosen = self.filters if filters is None else filters
        return {"documents": self.document_store.search(query, self.top_k if top_k is None else top_k, chosen)}

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file."""
        return default_to_dict(
            self, document_store=self.document_store.to_dict(), top_k=self.top_k, filters=self.filters
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PinnedRetriever:
        """From a pipeline's file."""
        made: PinnedRetriever = default_from_dict(cls, data)
        return made


def _document(text: PinnedText) -> Document:
    return Document(id=text.id, content=text.text, meta=dict(text.properties), score=text.cosine)


def _filter(schema: Any, filters: Condition) -> Any:
    """Haystack's conditions as Weaviate's."""
    operator = str(filters.get("operator"))
    if "conditions" in filters:
        return combine(operator.lower(), [_filter(schema, part) for part in filters["conditions"]])
    name = str(filters.get("field")).removeprefix("meta.")
    return compare(schema, name, operator, filters.get("value"))
