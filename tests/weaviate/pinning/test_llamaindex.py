"""LlamaIndex over a pinned collection: roles, names and the space are right without a word from the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.models.encoders import save_tiny_bert
from samespace import Encoder
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed: pip install 'samespace[llamaindex]'")

from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)

from samespace.adapters.llamaindex import SamespaceEmbedding
from samespace_weaviate.adapters.llamaindex import PinnedNodeStore

TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index"]


def test_texts_are_passages_and_queries_are_queries(tmp_path: Path) -> None:
    """An encoder with prompts gives two vectors for one text; sentence-transformers says which; asyncio too."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path / "model", seed=4)
    prompts = Overrides(query_prompt="query: ", passage_prompt="passage: ")
    export_artifact(load_checkpoint(folder, prompts), tmp_path / "artifact")
    model = SentenceTransformer(str(folder), device="cpu")
    passages, queries = (model.encode(TEXTS, prompt=prompt) for prompt in ("passage: ", "query: "))
    with Encoder.load(tmp_path / "artifact", build="fp32") as encoder:
        made = SamespaceEmbedding(encoder)
        assert made.model_name == encoder.space_id
        assert np.allclose(made.get_text_embedding_batch(TEXTS), passages, atol=1e-5)
        assert np.allclose(made.get_text_embedding(TEXTS[0]), passages[0], atol=1e-5)
        assert np.allclose(made.get_query_embedding(TEXTS[0]), queries[0], atol=1e-5)
        assert np.allclose(asyncio.run(made.aget_text_embedding_batch(TEXTS)), passages, atol=1e-5)
        assert np.allclose(asyncio.run(made.aget_query_embedding(TEXTS[0])), queries[0], atol=1e-5)


@pytest.fixture
def plain(store: Store, spec: CollectionSpec) -> Iterator[CollectionSpec]:
    """A collection with one object a text, and properties to filter by."""
    made = CollectionSpec(
        spec.name, spec.space_id, spec.server, also_properties=("words",), exact_properties=("topic", "ref_doc_id"),
        long_texts="pool",
    )  # fmt: skip
    create(store, made)
    yield made


def _nodes() -> list[TextNode]:
    return [
        TextNode(
            id_=name,
            text=text,
            metadata={"topic": f"topic {place}", "words": "red and blue"},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book-1" if place < 2 else "book-2")},
        )
        for place, (name, text) in enumerate(zip("abc", TEXTS, strict=True))
    ]


def test_an_index_adds_finds_reads_and_deletes(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """As LlamaIndex's own index and retriever use a vector store."""
    nodes = PinnedNodeStore.open(store, plain.name, encoder)
    index = VectorStoreIndex.from_vector_store(nodes, embed_model=nodes.embedding)
    index.insert_nodes(_nodes())
    best = index.as_retriever(similarity_top_k=2).retrieve(TEXTS[1])[0]
    assert (best.node.node_id, best.text, best.node.metadata["topic"]) == ("b", TEXTS[1], "topic 1")
    assert best.score is not None and best.score > 0.999 and best.node.ref_doc_id == "book-1"
    assert [node.node_id for node in nodes.get_nodes(["c", "nobody", "a"])] == ["c", "a"]
    nodes.delete("book-1")
    assert [node.node_id for node in nodes.get_nodes()] == ["c"]
    nodes.delete_nodes(["c"])
    assert len(PinnedCollection.open(store, plain.name, encoder)) == 0


def test_filters_are_exact_or_refused(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """`== "topic"` must not find "topic 1"; a property that is compared by its words cannot promise that."""
    nodes = PinnedNodeStore.open(store, plain.name, encoder)
    nodes.add(_nodes())

    def found(*conditions: tuple[str, str, FilterOperator], how: str = "and") -> set[str]:
        parts = [MetadataFilter(key=key, value=value, operator=operator) for key, value, operator in conditions]
        filters = MetadataFilters(filters=list(parts), condition=FilterCondition(how))
        return set(nodes.query(VectorStoreQuery(query_str="list", similarity_top_k=9, filters=filters)).ids or [])

    equal, unequal = FilterOperator.EQ, FilterOperator.NE
    assert found(("topic", "topic", equal)) == set()
    assert found(("topic", "topic 1", equal)) == {"b"}
    assert found(("topic", "topic 1", unequal)) == {"a", "c"}
    assert found(("topic", "topic 1", equal), ("topic", "topic 2", equal), how="or") == {"b", "c"}
    assert found(("topic", "topic 1", equal), ("topic", "topic 2", equal)) == set()
    for key, operator, reason in (
        ("words", equal, "compared by word"), ("topic", FilterOperator.GT, "no order"),
        ("topic", FilterOperator.TEXT_MATCH, "text_match"), ("author", equal, "no such property"),
    ):  # fmt: skip
        with pytest.raises(RequestInvalid, match=reason):
            found((key, "red", operator))


def test_a_foreign_collection_or_vector_is_refused(
    store: Store, plain: CollectionSpec, encoder: Encoder, other: Encoder
) -> None:
    """Equal dimensions, another space: nothing is written and nothing is asked."""
    with pytest.raises(SpaceMismatch):
        PinnedNodeStore.open(store, plain.name, other)
    nodes = PinnedNodeStore.open(store, plain.name, encoder)
    for foreign in (SamespaceEmbedding(other), MockEmbedding(embed_dim=encoder.dims)):
        with pytest.raises(SpaceMismatch, match="another encoder"):
            VectorStoreIndex.from_vector_store(nodes, embed_model=foreign).insert_nodes(_nodes())
    assert len(PinnedCollection.open(store, plain.name, encoder)) == 0
    with pytest.raises(RequestInvalid, match="does not say its space"):
        nodes.query(VectorStoreQuery(query_embedding=[0.0] * encoder.dims))


def test_nothing_is_dropped_in_silence(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """A property that the collection lacks, an option that is not known, a mode that is not offered."""
    nodes = PinnedNodeStore.open(store, plain.name, encoder)
    with pytest.raises(DataInvalid, match="author"):
        nodes.add([TextNode(text="x", metadata={"author": "x"})])
    with pytest.raises(RequestInvalid, match="cutoff"):
        nodes.query(VectorStoreQuery(query_str="x"), cutoff=0.5)
    with pytest.raises(RequestInvalid, match="doc_ids"):
        nodes.query(VectorStoreQuery(query_str="x", doc_ids=["a"]))
