"""Haystack over a pinned collection: roles, names and the space are right without a word from the caller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.models.encoders import save_tiny_bert
from fakes.server.serving import Server
from samespace import Encoder
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
pytest.importorskip("haystack", reason="haystack-ai is not installed: pip install 'samespace[haystack]'")

from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils.filters import document_matches_filter

from samespace.adapters.haystack import SamespaceDocumentEmbedder, SamespaceTextEmbedder
from samespace_weaviate.adapters.haystack import PinnedDocumentStore, PinnedRetriever

TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index"]


def _documents() -> list[Document]:
    return [
        Document(id=name, content=text, meta={"topic": f"topic {place}", "words": "red and blue"})
        for place, (name, text) in enumerate(zip("abc", TEXTS, strict=True))
    ]


def test_documents_are_passages_and_queries_are_queries(tmp_path: Path) -> None:
    """An encoder with prompts gives two vectors for one text; sentence-transformers says which."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path / "model", seed=4)
    prompts = Overrides(query_prompt="query: ", passage_prompt="passage: ")
    export_artifact(load_checkpoint(folder, prompts), tmp_path / "artifact")
    model = SentenceTransformer(str(folder), device="cpu")
    with Encoder.load(tmp_path / "artifact", build="fp32") as encoder:
        embedded = SamespaceDocumentEmbedder(encoder).run(documents=_documents())
        rows = [document.embedding for document in embedded["documents"]]
        assert np.allclose(rows, model.encode(TEXTS, prompt="passage: "), atol=1e-5)
        assert [document.content for document in embedded["documents"]] == TEXTS
        asked = SamespaceTextEmbedder(encoder).run(text=TEXTS[0])
        assert np.allclose(asked["embedding"], model.encode(TEXTS[0], prompt="query: "), atol=1e-5)
        assert asked["meta"] == embedded["meta"] == {"space_id": encoder.space_id}
        with pytest.raises(RequestInvalid, match="no content"):
            SamespaceDocumentEmbedder(encoder).run(documents=[Document(id="x")])


@pytest.fixture
def plain(store: Store, spec: CollectionSpec) -> Iterator[CollectionSpec]:
    """A collection with one object a text, and properties to filter by."""
    made = CollectionSpec(
        spec.name, spec.space_id, spec.server, also_properties=("words",), exact_properties=("topic",),
        long_texts="pool",
    )  # fmt: skip
    create(store, made)
    yield made


def test_pipelines_write_and_find_and_are_read_from_a_file(store: Store, plain: CollectionSpec, server: Server) -> None:
    """An indexing and a query pipeline, dumped and loaded; the file names the space."""
    weaviate = f"{store.address}#{store.where.grpc_port}"
    documents = PinnedDocumentStore(weaviate, plain.name, server.grpc)
    indexing = Pipeline()
    indexing.add_component("embedder", SamespaceDocumentEmbedder(server.grpc))
    indexing.add_component("writer", DocumentWriter(documents))
    indexing.connect("embedder.documents", "writer.documents")
    assert indexing.run({"embedder": {"documents": _documents()}})["writer"]["documents_written"] == 3
    asking = Pipeline()
    asking.add_component("retriever", PinnedRetriever(documents, top_k=2))
    dumped = asking.dumps()
    assert server.space_id in dumped
    again = Pipeline.loads(dumped, allowed_modules=["samespace*", "samespace_weaviate*"])
    for pipeline in (asking, again):
        best, second = pipeline.run({"retriever": {"query": TEXTS[1]}})["retriever"]["documents"]
        assert (best.id, best.content, best.meta["topic"]) == ("b", TEXTS[1], "topic 1")
        assert best.score > 0.999 > second.score
    documents.close()
    again.get_component("retriever").document_store.close()
    with pytest.raises(SpaceMismatch):
        PinnedDocumentStore(weaviate, plain.name, server.grpc, "0" * 64).count_documents()


def test_filters_match_what_haystack_says(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """Of a whole collection and of a search; what Weaviate would compare otherwise is refused."""
    documents = PinnedDocumentStore(store, plain.name, encoder)
    documents.write_documents([*_documents(), Document(id="d", content="no topic")])
    for condition in (
        {"field": "meta.topic", "operator": "==", "value": "topic 1"},
        {"field": "meta.topic", "operator": "==", "value": "topic"},
        {"field": "meta.topic", "operator": "!=", "value": "topic 1"},
        {"field": "meta.topic", "operator": "in", "value": ["topic 0", "topic 2", "x"]},
        {"field": "meta.topic", "operator": "not in", "value": ["topic 0", "topic 2"]},
        {"operator": "OR", "conditions": [
            {"field": "meta.topic", "operator": "==", "value": "topic 0"},
            {"field": "meta.topic", "operator": "==", "value": "topic 1"},
        ]},
    ):  # fmt: skip
        everything = [*_documents(), Document(id="d", content="no topic")]
        wanted = {document.id for document in everything if document_matches_filter(condition, document)}
        assert {document.id for document in documents.filter_documents(condition)} == wanted, condition
        assert {document.id for document in documents.search("list", 9, condition)} == wanted, condition
    assert len(documents.filter_documents()) == documents.count_documents() == 4
    for field, operator, reason in (("meta.words", "==", "compared by word"), ("meta.topic", ">", "no order")):
        with pytest.raises(RequestInvalid, match=reason):
            documents.search("list", 9, {"field": field, "operator": operator, "value": "red"})
    with pytest.raises(RequestInvalid, match="'not'; expected and, or"):
        documents.search("list", 9, {"operator": "NOT", "conditions": []})


def test_duplicates_are_treated_as_asked(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """Haystack's four policies, and deleting."""
    documents = PinnedDocumentStore(store, plain.name, encoder)
    assert documents.write_documents(_documents()) == 3
    changed = [replace(_documents()[0], content="update the name"), Document(id="d", content="new")]
    with pytest.raises(DuplicateDocumentError, match="a"):
        documents.write_documents(changed, DuplicatePolicy.FAIL)
    assert documents.write_documents(changed, DuplicatePolicy.SKIP) == 1
    assert {each.id: each.content for each in documents.filter_documents()}["a"] == TEXTS[0]
    assert documents.write_documents(changed, DuplicatePolicy.OVERWRITE) == 2
    assert {each.id: each.content for each in documents.filter_documents()}["a"] == "update the name"
    pair = [Document(id="e", content="one"), Document(id="e", content="other")]
    with pytest.raises(DuplicateDocumentError, match="given twice: e"):
        documents.write_documents(pair, DuplicatePolicy.FAIL)
    assert documents.write_documents(pair, DuplicatePolicy.SKIP) == 1
    documents.delete_documents(["a", "e", "nobody"])
    assert {each.id for each in documents.filter_documents()} == {"b", "c", "d"}


def test_a_foreign_collection_or_vector_is_refused(
    store: Store, plain: CollectionSpec, encoder: Encoder, other: Encoder
) -> None:
    """Equal dimensions, another space: nothing is written and nothing is asked."""
    with pytest.raises(SpaceMismatch):
        PinnedRetriever(PinnedDocumentStore(store, plain.name, other)).run(query="x")
    with pytest.raises(SpaceMismatch):
        PinnedDocumentStore(store, plain.name, other).write_documents(_documents())
    documents = PinnedDocumentStore(store, plain.name, encoder)
    foreign = SamespaceDocumentEmbedder(other).run(documents=_documents())["documents"]
    with pytest.raises(SpaceMismatch, match="another encoder"):
        documents.write_documents(foreign)
    assert len(PinnedCollection.open(store, plain.name, encoder)) == 0
    with pytest.raises(DataInvalid, match="author"):
        documents.write_documents([Document(content="x", meta={"author": "x"})])
