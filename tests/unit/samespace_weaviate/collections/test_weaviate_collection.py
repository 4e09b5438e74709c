"""samespace_weaviate.collections.collection"""

from __future__ import annotations

from uuid import UUID

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.errors import PinBroken, RequestInvalid, SpaceMismatch
from samespace_weaviate import CollectionSpec, Hit, Passage, PinnedCollection, create

SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080")
PASSAGES = [Passage(str(number), f"passage number {number}") for number in range(5)]


@pytest.fixture
def database() -> FakeDatabase:
    """A Weaviate with one pinned, empty collection."""
    made = FakeDatabase()
    create(made, SPEC)
    made.sent.clear()
    return made


def test_creating_twice_sends_nothing_the_second_time(database: FakeDatabase) -> None:
    """`create` is idempotent."""
    create(database, SPEC)
    assert database.sent == []


def test_creating_over_another_pin_of_the_same_vector_is_refused(database: FakeDatabase) -> None:
    """The same space at another address would need other settings, which are for good."""
    with pytest.raises(PinBroken, match="elsewhere"):
        create(database, CollectionSpec("Article", SPACE, "http://elsewhere:8080"))
    assert database.sent == []


def test_passages_are_found_by_vectors_of_the_same_encoder(database: FakeDatabase) -> None:
    """What was imported is found again by its own vector, at distance 0."""
    encoder = FakeEncoder()
    collection = PinnedCollection.open(database, "article", encoder)
    assert collection.import_passages(PASSAGES).written == len(collection) == 5
    (hits,) = collection.search_vectors(encoder.encode([PASSAGES[3].text], "passage"), limit=2)
    assert (hits[0].properties["text"], hits[0].properties["passageId"]) == ("passage number 3", "3")
    assert hits[0].distance == pytest.approx(0.0, abs=1e-6)


def test_every_search_names_the_vector(database: FakeDatabase) -> None:
    """Weaviate routes a query without a target to whatever vector there is, so there is none."""
    collection = PinnedCollection.open(database, "Article", SPACE)
    collection.search("x")
    collection.search_hybrid("x")
    assert database.sent == [f"near_text {SPEC.vector_name}", f"hybrid {SPEC.vector_name}"]


def test_a_query_is_encoded_by_weaviate_or_by_the_encoder_as_asked(database: FakeDatabase) -> None:
    """Both ways for vector and hybrid search; filters are passed on as they are."""
    encoder, marker = FakeEncoder(), object()
    collection = PinnedCollection.open(database, "Article", encoder)
    collection.search("x", 3, filters=marker)
    collection.search("x", 3, filters=marker, encoded_by="client")
    collection.search_hybrid("x", 3, filters=marker)
    collection.search_hybrid("x", 3, filters=marker, encoded_by="client")
    vector = SPEC.vector_name
    assert database.sent == [
        f"near_text {vector}",
        f"near_vector {vector}",
        f"hybrid {vector}",
        f"hybrid {vector} with a vector",
    ]
    assert database.asked == [(3, marker)] * 4
    assert encoder.calls == 2


def test_without_a_module_the_encoder_encodes_queries(database: FakeDatabase) -> None:
    """Weaviate has nobody to ask: a collection opened with a bare space id says so."""
    database.schemas["Article"]["vectorConfig"][SPEC.vector_name]["vectorizer"] = {
        "none": {"samespaceSpace": SPACE, "properties": ["text"]}
    }
    PinnedCollection.open(database, "Article", FakeEncoder()).search("x")
    assert database.sent == [f"near_vector {SPEC.vector_name}"]
    with pytest.raises(RequestInvalid, match="opened without one"):
        PinnedCollection.open(database, "Article", SPACE).search("x")
    with pytest.raises(RequestInvalid, match="no vectorizer"):
        PinnedCollection.open(database, "Article", SPACE).search("x", encoded_by="weaviate")


def test_a_hit_tells_its_cosine_whatever_the_form(database: FakeDatabase) -> None:
    """Weaviate's distance is 1 - cosine, and for multi-vectors the negative product; words have none."""
    one, words = Hit(UUID(int=1), {}, distance=0.25), Hit(UUID(int=1), {}, score=3.0)
    collection = PinnedCollection.open(database, "Article", SPACE)
    assert (collection.similarity(one), collection.similarity(words)) == (0.75, None)
    create(database, CollectionSpec("Many", SPACE, long_texts="multivector", route="none"))
    many = PinnedCollection.open(database, "Many", SPACE)
    assert many.similarity(Hit(UUID(int=1), {}, distance=-0.75)) == 0.75


def test_each_tenant_has_its_own_objects(database: FakeDatabase) -> None:
    """What is imported for one tenant is not the other's; without a tenant nothing is sent."""
    database.schemas["Article"]["multiTenancyConfig"] = {"enabled": True}
    encoder = FakeEncoder()
    everybody = PinnedCollection.open(database, "Article", encoder)
    acme = everybody.of_tenant("acme")
    assert acme.import_passages(PASSAGES).written == len(acme) == 5
    assert len(everybody.of_tenant("other")) == 0
    before = list(database.sent)
    for act in (lambda: everybody.search("x"), lambda: everybody.import_passages(PASSAGES), lambda: len(everybody)):
        with pytest.raises(RequestInvalid, match="of_tenant"):
            act()
    assert database.sent == before


def test_a_collection_without_tenants_has_none_to_open(database: FakeDatabase) -> None:
    """Weaviate would say so later, and less clearly."""
    with pytest.raises(RequestInvalid, match="has no tenants"):
        PinnedCollection.open(database, "Article", SPACE).of_tenant("acme")


def test_another_encoder_is_refused_before_anything_is_sent(database: FakeDatabase) -> None:
    """Opening, and searching with foreign vectors, fail with both ids."""
    with pytest.raises(SpaceMismatch) as opened:
        PinnedCollection.open(database, "Article", FakeEncoder(OTHER_SPACE))
    collection = PinnedCollection.open(database, "Article", SPACE)
    with pytest.raises(SpaceMismatch) as searched:
        collection.search_vectors(FakeEncoder(OTHER_SPACE).encode(["x"], "query"))
    for caught in (opened, searched):
        assert (caught.value.expected, caught.value.found) == (SPACE, OTHER_SPACE)
    assert database.sent == []


def test_a_pin_that_changes_after_opening_stops_the_import(database: FakeDatabase) -> None:
    """The pin is read again before an import."""
    encoder = FakeEncoder()
    collection = PinnedCollection.open(database, "Article", encoder)
    vectorizer = database.schemas["Article"]["vectorConfig"][SPEC.vector_name]["vectorizer"]
    vectorizer["text2vec-transformers"]["inferenceUrl"] = f"http://encoder:8080/e/{OTHER_SPACE}"
    with pytest.raises(PinBroken, match=OTHER_SPACE):
        collection.import_passages(PASSAGES)
    assert database.sent == []
    assert encoder.calls == 0


def test_a_missing_collection_and_a_missing_encoder_are_named() -> None:
    """Both errors say what to do."""
    database = FakeDatabase()
    with pytest.raises(PinBroken, match="weaviate create"):
        PinnedCollection.open(database, "Article", SPACE)
    create(database, SPEC)
    with pytest.raises(RequestInvalid, match="without one"):
        PinnedCollection.open(database, "Article", SPACE).import_passages(PASSAGES)
