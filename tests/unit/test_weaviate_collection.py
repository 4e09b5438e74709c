"""samespace_weaviate.collection"""

from __future__ import annotations

import pytest

from fakes.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.errors import PinBroken, RequestInvalid, SpaceMismatch
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, create

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
    assert hits[0].properties == {"text": "passage number 3", "passageId": "3"}
    assert hits[0].distance == pytest.approx(0.0, abs=1e-6)


def test_every_search_names_the_vector(database: FakeDatabase) -> None:
    """Weaviate routes a query without a target to whatever vector there is, so there is none."""
    collection = PinnedCollection.open(database, "Article", SPACE)
    collection.search("x")
    collection.search_hybrid("x")
    assert database.sent == [f"near_text {SPEC.vector_name}", f"hybrid {SPEC.vector_name}"]


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
