"""samespace_weaviate.collections.grouping"""

from __future__ import annotations

from uuid import UUID

from samespace_weaviate import Hit
from samespace_weaviate.collections.grouping import best_of_each, search_grouped


def hit(number: int, **properties: str) -> Hit:
    """The *number*-th best answer."""
    return Hit(UUID(int=number), properties, distance=number / 1000)


# 40 windows of document a, then one of each of b and c
CROWD = [hit(n, documentId="a", passageId=f"a-{n}") for n in range(40)] + [
    hit(40, documentId="b"),
    hit(41, passageId="c"),
]


def test_each_document_is_answered_by_its_best_window() -> None:
    """A whole passage is its own document, and so is an object without any id."""
    hits = [hit(1, documentId="a"), hit(2, documentId="a"), hit(3, passageId="p"), hit(4), hit(5, documentId="a")]
    assert best_of_each(hits, "passageId") == [hits[0], hits[2], hits[3]]


def test_a_document_of_many_windows_does_not_crowd_the_others_out() -> None:
    """More objects are asked for until as many documents are among them as were wanted."""
    asked: list[int] = []

    def ask(count: int) -> list[Hit]:
        asked.append(count)
        return CROWD[:count]

    found = search_grouped(ask, 3, "document", "passageId")
    assert [entry.properties.get("documentId") or entry.properties["passageId"] for entry in found] == ["a", "b", "c"]
    assert asked == [12, 48]


def test_asking_ends_when_there_is_nothing_more() -> None:
    """Fewer objects than were asked for are all there are; and nobody gives more than 10,000."""
    asked: list[int] = []

    def endless(count: int) -> list[Hit]:
        asked.append(count)
        return [hit(0, documentId="a")] * count

    assert len(search_grouped(lambda count: CROWD[:count], 5, "document", "passageId")) == 3
    assert len(search_grouped(endless, 5, "document", "passageId")) == 1
    assert asked[-1] == 10_000


def test_passages_are_asked_for_once() -> None:
    """Without grouping the limit is the limit."""
    assert search_grouped(lambda count: CROWD[:count], 3, "passage", "passageId") == CROWD[:3]
