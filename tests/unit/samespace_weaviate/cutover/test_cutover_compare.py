"""samespace_weaviate.cutover.compare: what counts as the same answer of two collections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from samespace.errors import RequestInvalid
from samespace_weaviate.access.values import Hit, Shard, StoredObject
from samespace_weaviate.cutover.compare import DEPTH, CutoverSide, compare_collections
from samespace_weaviate.cutover.verdict import Decision
from samespace_weaviate.cutover.words import sentences

PROPERTIES = ("text", "passageId", "lang", "documentId")
QUERIES = [f"query {number}" for number in range(100)]


@dataclass
class Collections:
    """Each with objects in a fixed order of relevance, and a log of how many hits were asked for."""

    objects: dict[str, Sequence[dict[str, str]]]
    limits: list[int] = field(default_factory=list)
    queued: dict[str, int] = field(default_factory=dict)
    bare: dict[str, set[int]] = field(default_factory=dict)
    others: dict[str, Collections] = field(default_factory=dict)

    def schema(self, name: str) -> dict[str, Any]:
        names = [each for each in PROPERTIES if each in self.objects[name][0]]
        properties = [{"name": each, "dataType": ["text"]} for each in names]
        return {"class": name, "properties": properties, "vectorConfig": {"e": {"vectorizer": {"none": {}}}}}

    def near_text(self, name: str, vector: str, query: str, limit: int) -> list[Hit]:
        self.limits.append(limit)
        return [Hit(UUID(int=number + 1), each) for number, each in enumerate(self.objects[name][:limit])]

    def page(self, name: str, after: str, count: int, *, vectors: bool = False) -> list[StoredObject]:
        start, bare = UUID(after).int if after else 0, self.bare.get(name, ())
        rows = [
            StoredObject(UUID(int=place + 1), each, vectors={} if place in bare else {"e": np.ones(2, np.float32)})
            for place, each in enumerate(self.objects[name])
        ]
        return rows[start : start + count]

    def each_node(self) -> dict[str, Any]:
        return {"n0": self, **self.others}

    def through(self, address: str) -> Any:
        return self.others.get(address, self)

    def shards(self, name: str) -> list[Shard]:
        return [Shard("s", node, len(self.objects[name]), "READY", name, self.queued.get(name, 0)) for node in "ab"]

    def count(self, name: str) -> int:
        return len(self.objects[name])


def sides(database: Collections, id_property: str) -> tuple[CutoverSide, CutoverSide]:
    old, new = (CutoverSide(database, name, None, id_property) for name in ("Old", "New"))  # type: ignore[arg-type]
    return old, new


def plain(order: Sequence[int]) -> list[dict[str, str]]:
    return [{"text": f"text {number}", "passageId": str(number), "lang": "en"} for number in order]


def test_a_property_that_does_not_tell_objects_apart_gives_no_verdict() -> None:
    """Ten hits of one language are no ten answers: two collections that share nothing were the same by it."""
    database = Collections({"Old": plain(range(100)), "New": plain(range(99, -1, -1))})
    with pytest.raises(RequestInvalid, match="two objects of Old have the same lang"):
        compare_collections(*sides(database, "lang"), QUERIES)
    assert compare_collections(*sides(database, "uuid"), QUERIES).overlap == 1.0  # the objects' own ids
    found = compare_collections(*sides(database, "passageId"), QUERIES)
    assert found.overlap == 0.0 and found.verdict.decision is not Decision.GO


def test_judged_queries_may_name_documents_of_several_objects() -> None:
    """A judged set names documents, and the best object of one counts."""
    database = Collections({"Old": plain(range(100)), "New": plain(range(100))})
    judged = SimpleNamespace(qrels={"q": {"en": 1.0}}, query_ids=["q"])
    found = compare_collections(*sides(database, "lang"), ["query"], judged)  # type: ignore[arg-type]
    assert [each.document for each in found.asked[0].old] == ["en"]


def test_documents_of_many_windows_do_not_take_the_places_of_others() -> None:
    """Hits are windows: more of them are asked for until there are ten documents."""
    rows = [
        {"text": "w", "passageId": f"{number // 60}#{number}", "documentId": str(number // 60)} for number in range(900)
    ]
    database = Collections({"Old": rows, "New": rows})
    found = compare_collections(*sides(database, "passageId"), ["query"])
    assert len(found.asked[0].old) == DEPTH
    assert max(database.limits) <= 1000


def test_answers_without_the_id_that_judgements_name_decide_nothing() -> None:
    """Their own ids stood for them, in silence."""
    without = [{"text": "text", "passageId": "" if number % 2 else str(number), "lang": "en"} for number in range(100)]
    database = Collections({"Old": without, "New": plain(range(100))})
    judged = SimpleNamespace(qrels={query: {"1": 1.0, "2": 1.0} for query in QUERIES}, query_ids=QUERIES)
    found = compare_collections(*sides(database, "passageId"), QUERIES, judged)  # type: ignore[arg-type]
    assert found.verdict.decision is Decision.CANNOT_TELL
    assert "5 objects of Old that were found have no value in --id-property" in found.verdict.why


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize(("new", "decided"), [(100, "GO"), (99, "GO"), (60, "CANNOT TELL")])
def test_a_new_collection_that_lacks_objects_is_no_go(new: int, decided: str, judged: bool) -> None:
    """Fewer others to be mixed up with: 76 of 400 objects scored far better, and were a GO; sizes were told nowhere."""
    database = Collections({"Old": plain(range(100)), "New": plain(range(new))})
    asked = SimpleNamespace(qrels={query: {"3": 1.0} for query in QUERIES}, query_ids=QUERIES) if judged else None
    found = compare_collections(*sides(database, "passageId"), QUERIES, asked)  # type: ignore[arg-type]
    assert found.verdict.decision.value == decided, found.verdict.why
    assert (found.old_objects, found.new_objects) == (100, new)
    assert any(f"100 and {new} objects" in sentence for sentence in sentences(found))
    assert ("New has 60 objects, Old 100" in found.verdict.why) == (decided != "GO")


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_each_known_node_is_asked(place: int, judged: bool) -> None:
    """The index of the new one is lost on one node: the connection's own node was asked for all, and it was a GO."""
    whole = {"Old": plain(range(100)), "New": plain(range(100))}
    database = Collections(whole, others={f"n{number}": Collections(whole) for number in range(1, 4)})
    spoilt = database.others.get(f"n{place}", database)
    spoilt.objects = whole | {"New": plain(range(99, -1, -1))}
    asked = SimpleNamespace(qrels={query: {"3": 1.0} for query in QUERIES}, query_ids=QUERIES) if judged else None
    found = compare_collections(*sides(database, "passageId"), QUERIES, asked)  # type: ignore[arg-type]
    assert found.verdict.decision is not Decision.GO
    assert sum(each.old != each.new for each in found.asked) == len(QUERIES) // 4


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("who", ["Old", "New"])
@pytest.mark.parametrize("worse", [False, True])
def test_objects_that_no_search_can_find_decide_nothing(who: str, judged: bool, worse: bool) -> None:
    """Half have no vector, or wait for the index: they are counted, and not in anybody's way."""
    order = range(99, -1, -1) if worse else range(100)
    for more, told in (
        ({"queued": {who: 20}}, f"40 vectors of {who} wait to be indexed"),
        ({"bare": {who: set(range(50, 100))}}, f"of 100 objects of {who} that were looked at have no vector"),
    ):
        database = Collections({"Old": plain(range(100)), "New": plain(order)}, **more)  # type: ignore[arg-type]
        asked = SimpleNamespace(qrels={query: {"3": 1.0} for query in QUERIES}, query_ids=QUERIES) if judged else None
        found = compare_collections(*sides(database, "passageId"), QUERIES, asked)  # type: ignore[arg-type]
        assert found.verdict.decision is Decision.CANNOT_TELL
        assert (told in found.verdict.why) or (worse and not judged), found.verdict.why


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("word " * 80, "word " * 60 + "..."), ("x" * 400, "x" * 300 + " ...")]
)
def test_what_is_shown_of_an_answer_ends_with_a_word(text: str, shown: str) -> None:
    database = Collections({"Old": [{"text": text, "passageId": "1"}], "New": plain([1])})
    found = compare_collections(*sides(database, "passageId"), ["query"])
    assert found.asked[0].old[0].text == shown


def test_a_property_that_is_not_there_is_answered_with_what_to_name() -> None:
    database = Collections({"Old": plain([1]), "New": plain([1])})
    with pytest.raises(RequestInvalid, match=r"Old has lang, passageId, text. Name the one with the documents' ids"):
        sides(database, "docid")
