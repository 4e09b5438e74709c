"""LangChain over a pinned collection: roles, names and the space are right without a word from the caller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.models.encoders import save_tiny_bert
from samespace import Encoder
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create

pytest.importorskip("langchain_core", reason="langchain-core is not installed: pip install 'samespace[langchain]'")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from samespace.adapters.langchain import SamespaceEmbeddings
from samespace_weaviate.adapters.langchain import PinnedVectorStore

TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index"]


def test_documents_are_passages_and_queries_are_queries(tmp_path: Path) -> None:
    """An encoder with prompts gives two vectors for one text; sentence-transformers says which."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path / "model", seed=4)
    prompts = Overrides(query_prompt="query: ", passage_prompt="passage: ")
    export_artifact(load_checkpoint(folder, prompts), tmp_path / "artifact")
    model = SentenceTransformer(str(folder), device="cpu")
    with Encoder.load(tmp_path / "artifact", build="fp32") as encoder:
        made = SamespaceEmbeddings(encoder)
        assert np.allclose(made.embed_documents(TEXTS), model.encode(TEXTS, prompt="passage: "), atol=1e-5)
        assert np.allclose(made.embed_query(TEXTS[0]), model.encode(TEXTS[0], prompt="query: "), atol=1e-5)
        assert made.embed_documents([]) == [] and isinstance(made.embed_query("a")[0], float)


@pytest.fixture
def plain(store: Store, spec: CollectionSpec) -> CollectionSpec:
    """A collection with one object a text and a property."""
    made = CollectionSpec(spec.name, spec.space_id, spec.server, also_properties=("topic",), long_texts="pool")
    create(store, made)
    return made


def test_texts_are_added_found_read_and_deleted(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """As LangChain's own chains use a vector store, with a retriever at the end."""
    vectors = PinnedVectorStore.open(store, plain.name, encoder)
    metadatas = [{"topic": str(place)} for place in range(3)]
    assert vectors.add_texts(TEXTS, metadatas, ids=["a", "b", "c"]) == ["a", "b", "c"]
    (best, cosine), *_ = vectors.similarity_search_with_score(TEXTS[1], k=2)
    assert (best.page_content, best.id, best.metadata) == (TEXTS[1], "b", {"topic": "1"}) and cosine > 0.999
    assert vectors.as_retriever(search_kwargs={"k": 1}).invoke(TEXTS[2])[0].id == "c"
    assert vectors.similarity_search_with_relevance_scores(TEXTS[0], k=1)[0][1] == pytest.approx(1.0, abs=1e-3)
    assert [each.id for each in vectors.get_by_ids(["c", "nobody", "a"])] == ["c", "a"]
    assert vectors.delete(["a"]) and [each.id for each in vectors.get_by_ids(["a", "b"])] == ["b"]
    assert len(PinnedCollection.open(store, plain.name, encoder)) == 2


def test_documents_without_an_id_get_one_each(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """LangChain hands over None for those where any other document has one: they became one object of id "None"."""
    vectors = PinnedVectorStore.open(store, plain.name, encoder)
    documents = [Document(TEXTS[0], id="a"), Document(TEXTS[1]), Document(TEXTS[2])]
    names = vectors.add_documents(documents)
    assert names[0] == "a" and len(set(names)) == 3 and all(names)
    assert [each.page_content for each in vectors.get_by_ids(names)] == TEXTS


def test_a_foreign_collection_is_refused(store: Store, plain: CollectionSpec, other: Encoder) -> None:
    """Equal dimensions, another space: nothing is written and nothing is asked."""
    with pytest.raises(SpaceMismatch):
        PinnedVectorStore.open(store, plain.name, other)
    with pytest.raises(SpaceMismatch):
        PinnedVectorStore.from_texts(TEXTS, SamespaceEmbeddings(other), database=store, name=plain.name)
    with pytest.raises(RequestInvalid, match="whose space is known"):
        PinnedVectorStore.from_texts(TEXTS, DeterministicFakeEmbedding(size=32), database=store, name=plain.name)


def test_nothing_is_dropped_in_silence(store: Store, plain: CollectionSpec, encoder: Encoder) -> None:
    """A property that the collection lacks, an option that is not known, lists of unlike length."""
    vectors = PinnedVectorStore.open(store, plain.name, encoder)
    with pytest.raises(DataInvalid, match="author"):
        vectors.add_texts(TEXTS[:1], [{"author": "x"}])
    with pytest.raises(RequestInvalid, match="score_threshhold"):
        vectors.similarity_search("x", score_threshhold=0.5)
    with pytest.raises(RequestInvalid, match="3, 1 and 3"):
        vectors.add_texts(TEXTS, [{}], ids=["a", "b", "c"])


def test_long_documents_are_windows(store: Store, spec: CollectionSpec, encoder: Encoder) -> None:
    """Deleting one takes all of its windows; answers can be joined by document."""
    create(store, spec)
    vectors = PinnedVectorStore.open(store, spec.name, encoder)
    vectors.add_texts([" ".join(TEXTS * 20), "short"], ids=["long", "short"])
    many = len(PinnedCollection.open(store, spec.name, encoder))
    assert many > 3
    joined = vectors.similarity_search("list", k=5, group_by="document")
    assert len(joined) == 2
    vectors.delete(["long"])
    assert len(PinnedCollection.open(store, spec.name, encoder)) == 1
