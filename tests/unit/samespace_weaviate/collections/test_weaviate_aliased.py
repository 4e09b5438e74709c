"""A collection behind an alias that is moved to another space."""

from __future__ import annotations

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.errors import PinBroken, WeaviateError
from samespace_weaviate import AliasedCollection, CollectionSpec, PinnedCollection


def pointing_to(database: FakeDatabase, space: str) -> None:
    """Move the alias: from now on its name answers with the schema of a collection of *space*."""
    database.schemas["Articles"] = CollectionSpec(f"Articles_{space[:12]}", space, "http://encoder:8080").schema()


@pytest.fixture
def database() -> FakeDatabase:
    made = FakeDatabase()
    pointing_to(made, SPACE)
    return made


def space_or_refusal(database: FakeDatabase, collection: PinnedCollection) -> str:
    """What Weaviate does: a query that names another vector than the collection has is refused."""
    if collection.pin.vector not in database.schemas["Articles"]["vectorConfig"]:
        raise WeaviateError("does not have named vector")
    return collection.space_id


def test_a_question_is_asked_again_of_where_the_alias_points_now(database: FakeDatabase) -> None:
    """The caller sees the new collection's answer and no error; the next question goes there at once."""
    articles = AliasedCollection(database, "Articles", [FakeEncoder(SPACE), FakeEncoder(OTHER_SPACE)])
    asked: list[str] = []

    def question(collection: PinnedCollection) -> str:
        asked.append(collection.space_id)
        return space_or_refusal(database, collection)

    assert articles.ask(question) == SPACE
    pointing_to(database, OTHER_SPACE)
    assert articles.ask(question) == OTHER_SPACE
    assert articles.ask(question) == OTHER_SPACE
    assert asked == [SPACE, SPACE, OTHER_SPACE, OTHER_SPACE]


def test_queries_are_encoded_by_the_encoder_of_where_it_points(database: FakeDatabase) -> None:
    """Each space has its own encoder; one that was not given is not made up."""
    encoders = [FakeEncoder(SPACE)]
    articles = AliasedCollection(database, "Articles", encoders)
    assert articles.ask(lambda found: found.encoder) is encoders[0]
    pointing_to(database, OTHER_SPACE)
    articles.ask(lambda found: space_or_refusal(database, found))
    assert articles.ask(lambda found: found.encoder) is None


def test_an_error_that_has_another_cause_is_the_callers(database: FakeDatabase) -> None:
    """Asked once, because nothing has moved."""
    asked: list[str] = []

    def question(collection: PinnedCollection) -> None:
        asked.append(collection.space_id)
        raise WeaviateError("out of memory")

    with pytest.raises(WeaviateError, match="out of memory"):
        AliasedCollection(database, "Articles").ask(question)
    assert asked == [SPACE]


def test_without_one_pin_it_is_refused(database: FakeDatabase) -> None:
    """No such name, or a collection of two spaces: which is meant cannot be told."""
    with pytest.raises(PinBroken):
        AliasedCollection(database, "Elsewhere").ask(lambda found: found.name)
    both = database.schemas["Articles"]["vectorConfig"]
    both |= CollectionSpec("Other", OTHER_SPACE, "http://encoder:8080").schema()["vectorConfig"]
    with pytest.raises(PinBroken):
        AliasedCollection(database, "Articles").ask(lambda found: found.name)
