"""Filters, documents, tenants, and queries that are encoded here or by Weaviate: on a real Weaviate."""

from __future__ import annotations

from uuid import uuid4

import pytest

from fakes.server.serving import Server
from samespace import Encoder
from samespace.errors import RequestInvalid
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, StoredObject, create
from samespace_weaviate.access.values import object_uuid

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

WORDS = ("red", "green", "blue", "fast", "slow", "north")
PASSAGES = [
    Passage(str(number), f"{word} is passage {number}", {"topic": "colour" if number < 3 else "other"})
    for number, word in enumerate(WORDS)
]


def test_filters_hold_in_every_kind_of_search(store: Store, server: Server, encoder: Encoder) -> None:
    """weaviate-client's own filters are passed through, whoever encodes the query."""
    spec = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, server.http, also_properties=("topic",))
    try:
        create(store, spec)
        collection = PinnedCollection.open(store, spec.name, encoder)
        collection.import_passages(PASSAGES)
        colours = store.equals({"topic": "colour"})
        text = PASSAGES[4].text
        for hits in (
            collection.search(text, filters=colours),
            collection.search(text, filters=colours, encoded_by="client"),
            collection.search_hybrid(text, filters=colours),
            collection.search_hybrid(text, filters=colours, encoded_by="client"),
            collection.search_words(text, filters=colours),
            *collection.search_vectors(encoder.encode([text], "query"), filters=colours),
        ):
            assert {hit.properties["passageId"] for hit in hits} == {"0", "1", "2"}
    finally:
        store.delete_collection(spec.name)


def test_both_encoders_of_a_query_give_the_same_answers(collection: PinnedCollection) -> None:
    """Weaviate's module asks the server that the SDK asks over gRPC."""
    collection.import_passages(PASSAGES)
    ours, theirs = (collection.search("blue passage", encoded_by=who) for who in ("client", "weaviate"))
    assert [hit.uuid for hit in ours] == [hit.uuid for hit in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.distance == pytest.approx(other.distance, abs=1e-4)


def test_documents_are_answered_by_their_best_window(store: Store, server: Server, encoder: Encoder) -> None:
    """Thirty windows of one document leave room for the other documents."""
    spec = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, server.http)
    try:
        create(store, spec)
        collection = PinnedCollection.open(store, spec.name, encoder)
        texts = [("a", f"red window {number}") for number in range(30)] + [("b", "red is not blue"), ("c", "north")]
        rows = encoder.encode([text for _, text in texts], "passage").__array__()
        objects = [
            StoredObject(object_uuid(spec.name, str(number)), {"text": text, "documentId": document}, rows[number])
            for number, (document, text) in enumerate(texts)
        ]
        assert store.insert(spec.name, spec.vector_name, objects) == []
        hits = collection.search("red window 7", 3, group_by="document")
        assert {hit.properties["documentId"] for hit in hits} == {"a", "b", "c"}
        assert hits[0].properties["text"].startswith("red window")
        assert len(collection.search("red window 7", 3)) == 3
    finally:
        store.delete_collection(spec.name)


def test_tenants_have_their_own_objects(store: Store, server: Server, encoder: Encoder) -> None:
    """Import and search are of one tenant; without one nothing is sent."""
    spec = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, server.http)
    try:
        store.create({**spec.schema(), "multiTenancyConfig": {"enabled": True, "autoTenantCreation": True}})
        everybody = PinnedCollection.open(store, spec.name, encoder)
        acme, other = everybody.of_tenant("acme"), everybody.of_tenant("other")
        assert acme.import_passages(PASSAGES).failed == ()
        assert other.import_passages(PASSAGES[:1]).failed == ()
        assert (len(acme), len(other)) == (len(PASSAGES), 1)
        assert acme.search(PASSAGES[3].text, 1)[0].properties["passageId"] == "3"
        assert {hit.properties["passageId"] for hit in other.search(PASSAGES[3].text)} == {"0"}
        with pytest.raises(RequestInvalid, match="of_tenant"):
            everybody.search("x")
    finally:
        store.delete_collection(spec.name)
