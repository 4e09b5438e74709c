"""The guard, seen on a real Weaviate: whatever client names no vector is rejected, and whatever names one is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from samespace import Encoder
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Severity, Store, check_pin, create
from samespace_weaviate.pinning.plan import AddGuard

FOREIGN = [0.5] * 32  # as many dims as the tiny encoder


@pytest.fixture
def filled(collection: PinnedCollection) -> PinnedCollection:
    """A guarded collection with three objects."""
    assert not collection.import_passages([Passage(str(row), f"text {row}") for row in range(3)]).failed
    return collection


def attempts(store: Store, name: str) -> dict[str, Callable[[], Any]]:
    """Everything that plain clients do without naming a vector."""
    plain = store.client.collections.use(name)

    def rest(**more: Any) -> None:
        reply = httpx.post(f"{store.address}/v1/objects", json={"class": name, "properties": {"text": "x"}, **more})
        if reply.is_error:
            raise RuntimeError(reply.text)

    def graphql(search: str) -> None:
        query = "{Get{%s(%s){text}}}" % (name, search)  # noqa: UP031 - braces
        errors = httpx.post(f"{store.address}/v1/graphql", json={"query": query}).json().get("errors")
        if errors:
            raise RuntimeError(errors)

    def batch() -> None:
        with plain.batch.fixed_size(10) as writer:
            writer.add_object({"text": "x"}, vector=FOREIGN)
        if plain.batch.failed_objects:
            raise RuntimeError(plain.batch.failed_objects[0].message)

    return {
        "insert": lambda: plain.data.insert({"text": "x"}, vector=FOREIGN),
        "insert_many": lambda: _raised(plain.data.insert_many([_object()])),
        "batch": batch,
        "rest": lambda: rest(vector=FOREIGN),
        "near_vector": lambda: plain.query.near_vector(FOREIGN),
        "near_text": lambda: plain.query.near_text("text"),
        "near_object": lambda: plain.query.near_object(uuid4()),
        "hybrid": lambda: plain.query.hybrid("text"),
        "hybrid with a vector": lambda: plain.query.hybrid("text", vector=FOREIGN),
        "aggregate near_vector": lambda: plain.aggregate.near_vector(FOREIGN, object_limit=3, total_count=True),
        "graphql nearVector": lambda: graphql(f"nearVector:{{vector:{FOREIGN}}}"),
        "graphql nearText": lambda: graphql('nearText:{concepts:["text"]}'),
    }


def _object() -> Any:
    from weaviate.classes.data import DataObject

    return DataObject({"text": "x"}, vector=FOREIGN)


def _raised(result: Any) -> None:
    for error in result.errors.values():
        raise RuntimeError(error.message)


NAMES = [
    "aggregate near_vector", "batch", "graphql nearText", "graphql nearVector", "hybrid", "hybrid with a vector",
    "insert", "insert_many", "near_object", "near_text", "near_vector", "rest",
]  # fmt: skip


def test_the_list_of_attempts_is_whole(store: Store, filled: PinnedCollection) -> None:
    """Each attempt is a test of its own below."""
    assert sorted(attempts(store, filled.name)) == NAMES


@pytest.mark.parametrize("attempt", NAMES)
def test_whoever_names_no_vector_is_rejected(attempt: str, store: Store, filled: PinnedCollection) -> None:
    """And nothing of it is stored."""
    with pytest.raises(Exception, match=r"(?i)target vector|single vector index|multiple vector"):
        attempts(store, filled.name)[attempt]()
    assert len(filled) == 3


def test_named_vectors_texts_and_words_are_served(store: Store, filled: PinnedCollection) -> None:
    """What a client should do goes on as without a guard, a text without a vector too: the module encodes it."""
    plain = store.client.collections.use(filled.name)
    plain.data.insert({"text": "text 3", "passageId": "3"})
    assert [hit.properties["text"] for hit in filled.search("text 3", 1)] == ["text 3"]
    assert len(plain.query.bm25("text").objects) == 4
    assert len(plain.query.near_text("text", target_vector=filled.pin.vector).objects) == 4
    assert len(plain.query.hybrid("text", target_vector=filled.pin.vector).objects) == 4


def test_a_collection_without_a_guard_takes_anything_and_gets_one(
    store: Store, spec: CollectionSpec, encoder: Encoder
) -> None:
    """The hole is real: without the guard a foreign vector is written in silence. Adding the guard closes it."""
    bare = CollectionSpec(spec.name, spec.space_id, spec.server, guard=False)
    create(store, bare)
    collection = PinnedCollection.open(store, spec.name, encoder)
    collection.import_passages([Passage("1", "text 1")])
    attempts(store, spec.name)["insert"]()
    assert len(collection) == 2
    assert check_pin(store.schema(spec.name) or {}).worst is Severity.UNSAFE
    assert create(store, spec).actions == (AddGuard(spec.name),)
    assert check_pin(store.schema(spec.name) or {}).worst is Severity.FINE
    with pytest.raises(Exception, match="single vector index"):
        attempts(store, spec.name)["insert"]()
    assert create(store, spec).actions == ()
    assert [hit.properties["text"] for hit in collection.search("text 1", 1)] == ["text 1"]
