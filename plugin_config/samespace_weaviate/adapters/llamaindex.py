"""LlamaIndex's vector store over a pinned collection: it always names vector and space.

from llama_index.core import VectorStoreIndex
from samespace_weaviate.adapters.llamaindex import PinnedNodeStore

nodes = PinnedNodeStore.open(Store.connect("http://localhost:8080"), "Article", Encoder.connect("localhost:8081"))
nodes.add(...)
index = VectorStoreIndex.from_vector_store(nodes, embed_model=nodes.embedding)

Texts are encoded here, by the pinned encoder and without their metadata, and queries by their text: LlamaIndex's own
embeddings carry no space. Those that come with nodes are held against the encoder, and are not stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterOperator,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from samespace.adapters.llamaindex import SamespaceEmbedding
from samespace.encoder import Encoder
from samespace.errors import RequestInvalid

from ..access.database import Database
from ..access.values import Passage
from ..collections.collection import PinnedCollection
from .documents import PinnedDocuments, PinnedText, refuse_options
from .filters import combine, compare

SOURCE_PROPERTY = "ref_doc_id"
"""Names the document that a node is a part of, in collections that have such a property."""


class PinnedNodeStore(BasePydanticVectorStore):
    """A pinned collection; see `open`. Not for tenants: give the collection of one (`collection.of_tenant`)."""

    stores_text: bool = True
    is_embedding_query: bool = False
    _documents: PinnedDocuments = PrivateAttr()

    def __init__(self, collection: PinnedCollection) -> None:
        super().__init__(stores_text=True)
        self._documents = PinnedDocuments(collection)

    @classmethod
    def open(cls, database: Database, name: str, encoder: Encoder) -> Self:
        """The collection *name*, pinned to the space of *encoder*.

        Raises:
            SpaceMismatch: it is pinned to another space.
            PinBroken: it is not there, or its pin does not hold.
        """
        return cls(PinnedCollection.open(database, name, encoder))

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex dumps it."""
        return "PinnedNodeStore"

    @property
    def client(self) -> PinnedCollection:
        """The pinned collection."""
        return self._documents.collection

    @property
    def embedding(self) -> SamespaceEmbedding:
        """Of the pinned space."""
        return SamespaceEmbedding(self._documents.encoder)

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes under their ids, with their metadata as properties; the same id again replaces the text.

        Raises:
            SpaceMismatch: nodes come with vectors of another encoder.
            DataInvalid: some were not written, or have properties that the collection lacks.
        """
        refuse_options(kwargs)
        given = [(node.get_content(MetadataMode.EMBED), node.embedding) for node in nodes if node.embedding]
        self._documents.require_own([text for text, _ in given], [row or [] for _, row in given])
        named = self._names_sources()
        self._documents.add([_passage(node, named) for node in nodes])
        return [node.node_id for node in nodes]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nearest nodes to the query's text, with their cosine, -1 to 1.

        Raises:
            RequestInvalid: a vector without its text, whose space nobody knows; another mode; inexact filters.
        """
        refuse_options(kwargs)
        if not query.query_str:
            raise RequestInvalid(
                field="query_embedding", reason="comes without query_str: a vector alone does not say its space"
            )
        if query.mode != VectorStoreQueryMode.DEFAULT:
            raise RequestInvalid(field="mode", reason=f"{query.mode.value}; expected default")
        narrowed = {"doc_ids": query.doc_ids, "node_ids": query.node_ids}
        refuse_options({name: value for name, value in narrowed.items() if value})
        schema = self.client.database.schema(self.client.name) or {}
        filters = None if query.filters is None else _filter(schema, query.filters)
        texts = self._documents.search(query.query_str, query.similarity_top_k, filters=filters)
        return VectorStoreQueryResult(
            nodes=[_node(text) for text in texts],
            similarities=[text.cosine or 0.0 for text in texts],
            ids=[text.id for text in texts],
        )

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes by id, in that order; those that are not there are left out; without ids, all of them."""
        refuse_options({} if filters is None else {"filters": filters})
        texts = list(self._documents) if node_ids is None else self._documents.get(node_ids)
        return [_node(text) for text in texts]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a document; the collection is read once to find them.

        Raises:
            RequestInvalid: the collection has no property `ref_doc_id`, so nobody knows them.
        """
        refuse_options(delete_kwargs)
        if not self._names_sources():
            remedy = f"create it with --also-property {SOURCE_PROPERTY}, or delete nodes by their ids"
            raise RequestInvalid(
                field="ref_doc_id", reason=f"{self.client.name} has no property {SOURCE_PROPERTY}: {remedy}"
            )
        of_it = {text.id for text in self._documents if text.properties.get(SOURCE_PROPERTY) == ref_doc_id}
        self._documents.delete(sorted(of_it))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes by id; those that are not there are passed over."""
        refuse_options(delete_kwargs | ({} if filters is None else {"filters": filters}))
        if node_ids is None:
            raise RequestInvalid(field="node_ids", reason="are missing; a whole collection is deleted in Weaviate")
        self._documents.delete(node_ids)

    def _names_sources(self) -> bool:
        """Whether the collection has a property for the document that a node is a part of."""
        schema = self.client.database.schema(self.client.name) or {}
        return SOURCE_PROPERTY in {entry["name"] for entry in schema.get("properties") or ()}


def _passage(node: BaseNode, names_source: bool) -> Passage:
    source = {SOURCE_PROPERTY: node.ref_doc_id} if node.ref_doc_id and names_source else {}
    return Passage(node.node_id, node.get_content(MetadataMode.NONE), {**node.metadata, **source})


def _node(text: PinnedText) -> TextNode:
    properties = dict(text.properties)
    source = properties.pop(SOURCE_PROPERTY, None)
    related = {} if source is None else {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=str(source))}
    return TextNode(id_=text.id, text=text.text, metadata=properties, relationships=related)


def _filter(schema: Any, filters: MetadataFilters) -> Any:
    """LlamaIndex's conditions as Weaviate's; raises `RequestInvalid` for those that it has not, or not exactly."""
    operators = {FilterOperator.NIN: "not in"}
    parts = [
        _filter(schema, part)
        if isinstance(part, MetadataFilters)
        else compare(schema, part.key, operators.get(part.operator, part.operator.value), part.value)
        for part in filters.filters
    ]
    return combine("and" if filters.condition is None else filters.condition.value, parts)
