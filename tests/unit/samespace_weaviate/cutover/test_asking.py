"""samespace_weaviate.cutover.asking: which nodes and tenants are asked, and what is said of those that were not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from fakes.clock import FakeClock, watched
from samespace.errors import WeaviateError
from samespace_weaviate.access.values import Hit, StoredObject
from samespace_weaviate.cutover.asking import AskedPlace, QueryGuard, query_guard
from samespace_weaviate.cutover.watch import SwitchGuard
from samespace_weaviate.migration import Migration

MIGRATION = Migration("m", "A", False, "A_old", "A_new", "e_1", "e_2", "1", "2", "text", False)


@dataclass
class Both:
    """Two collections: how many each finds and how many seconds it takes, or why it does not answer.

    Nodes that are named answer otherwise.
    """

    clock: FakeClock
    old: tuple[int, float] | str = (10, 0.01)
    new: tuple[int, float] | str = (10, 0.01)
    nodes: dict[str, Both] = field(default_factory=dict)

    def through(self, address: str) -> Both:
        return self.nodes.get(address, self)

    def near_text(self, name: str, vector: str, query: str, limit: int, *, bare: bool) -> list[int]:
        said = self.old if name == "A_old" else self.new
        if isinstance(said, str):
            raise WeaviateError(said)
        self.clock.pause(said[1])
        return list(range(said[0]))


def test_answers_that_end_are_no_guard_that_held() -> None:
    """The encoders' server dies after the first look; one answer does not stand for a quarter of an hour."""
    clock = FakeClock()
    asked = Both(clock)
    asks = QueryGuard(MIGRATION, [AskedPlace(asked, ["a"])], clock=clock)  # type: ignore[arg-type]
    looks = iter(range(99))

    def look() -> str:
        if next(looks) == 2:
            asked.old = asked.new = "connection refused"
        return asks.look()

    found = watched(SwitchGuard("queries", look, asks.saw_nothing))
    assert not found.failed and "answered any in the last 10 looks" in found.unseen[0]


@pytest.mark.parametrize(
    ("old", "new", "failed"),
    [
        ((10, 0.01), (10, 0.01), ""),
        ((10, 0.01), (10, 0.05), ""),  # five times as long, and next to nothing
        ((10, 0.1), (10, 0.25), ""),
        ((10, 0.1), (10, 0.5), "queries take 500 ms"),
        ((10, 0.01), (0, 0.01), "finds nothing where"),
        ((0, 0.01), (0, 0.01), ""),
        ((10, 0.01), "connection refused", "connection refused"),
        ("connection refused", "connection refused", ""),  # going back would not help
    ],
)
def test_queries_are_asked_of_both(old: tuple[int, float] | str, new: tuple[int, float] | str, failed: str) -> None:
    """What the old collection does and the new one does not is a failure; what neither does is none."""
    clock = FakeClock()
    asks = QueryGuard(MIGRATION, [AskedPlace(Both(clock, old, new), ["a", "b", "c"])], clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look))
    assert (failed in found.failed) if failed else (found.failed == "")


@pytest.mark.parametrize("old_answers", [True, False])
@pytest.mark.parametrize("answers", ["connection refused", (10, 0.01)])
def test_queries_that_nobody_answers_show_nothing(answers: Any, old_answers: bool) -> None:
    """A guard that had nothing to look at did not hold; an old collection without a module excuses no new one."""
    clock = FakeClock()
    asked = Both(clock, "no module", answers)
    asks = QueryGuard(MIGRATION, [AskedPlace(asked, ["a"], old_answers=old_answers)], clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    if old_answers:
        assert not found.failed and found.unseen == (
            "queries: neither A_old nor A_new answered any in the last 12 looks",
        )
    elif isinstance(answers, str):
        assert "A_new does not answer a query by text" in found.failed
    else:
        assert not found.failed and not found.unseen


@pytest.mark.parametrize(
    ("lost", "failed", "unseen"),
    [
        (
            {"new": "no route to the encoder"},
            "A_new (node n2) does not answer a query by text, A_old does: no",
            "",
        ),
        ({"new": (0, 0.01)}, "A_new (node n2) finds nothing where A_old finds 10 objects", ""),
        ({"old": "gone", "new": "gone"}, "", "neither A_old nor A_new answered any through node n2 in the last"),
    ],
)
def test_each_node_is_asked(lost: dict[str, Any], failed: str, unseen: str) -> None:
    """A node encodes by itself: clients of one node got nothing while the guard asked another, and held."""
    clock = FakeClock()
    asked = Both(clock, nodes={"n2": Both(clock, **lost)})
    asks = QueryGuard(MIGRATION, [AskedPlace(asked, ["a"])], ("n1", "n2", "n3"), clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert (failed in found.failed) if failed else not found.failed
    assert unseen in "".join(found.unseen) and bool(found.unseen) == bool(unseen)


def test_a_query_of_seconds_is_too_slow_also_in_a_short_watch() -> None:
    """Speed was judged from 20 answers on: where a query takes 6 s there were 10, and every guard held."""
    clock = FakeClock()
    asks = QueryGuard(MIGRATION, [AskedPlace(Both(clock, (10, 0.008), (10, 6.0)), ["a"])], clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing), seconds=8)
    assert "queries take 6000 ms at the median, 8 ms in A_old" in found.failed


def test_few_answers_judge_no_speed() -> None:
    """The old collection answers one query of ten."""
    clock = FakeClock()
    asked, answers = Both(clock), iter([(10, 0.01)] * 3)

    class Seldom(Both):
        def near_text(self, name: str, *args: Any, **more: Any) -> list[int]:
            asked.old = next(answers, "refused") if name == "A_old" else asked.old
            return asked.near_text(name, *args, **more)

    asks = QueryGuard(MIGRATION, [AskedPlace(Seldom(clock), ["a"])], clock=clock)  # type: ignore[arg-type]
    asks.look()
    assert asks.saw_nothing() == "3 queries are too few to judge the speed"


@pytest.mark.parametrize(("served", "failed"), [([0.1, 0.3], False), ([0.104, 0.302], False), ([0.8, 0.9], True)])
def test_a_server_that_gives_other_vectors_is_seen(served: list[float], failed: bool) -> None:
    """It said the right space and found ten of something: every guard held."""
    clock = FakeClock()

    class Vectors(Both):
        def near_text(self, *args: Any, **more: Any) -> list[Any]:
            return [Hit(UUID(int=1), {}, distance) for distance in served]

        def near_vector(self, name: str, vector: str, row: Any, limit: int) -> list[Any]:
            assert name == "A_new" and row.tolist() == [1.0, 0.0]
            return [Hit(UUID(int=1), {}, distance) for distance in (0.1, 0.3)]

    places = [AskedPlace(Vectors(clock), ["a"])]  # type: ignore[arg-type]
    asks = QueryGuard(MIGRATION, places, encode=lambda texts: np.array([[1.0, 0.0]], np.float32), clock=clock)
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert ("gives a query another vector than the encoder of space 2" in found.failed) == failed
    assert not found.unseen


@pytest.mark.parametrize("nodes", range(1, 8))
@pytest.mark.parametrize("tenants", range(1, 8))
def test_the_vectors_of_each_node_are_held_against_the_encoder(nodes: int, tenants: int) -> None:
    """One query of each look was, and with five nodes that was always asked through the first one."""
    clock = FakeClock()
    names = [f"n{number}" for number in range(nodes)]

    @dataclass
    class Node:
        served: float = 0.1

        def through(self, address: str) -> Node:
            return Node(0.8) if address == names[-1] else Node()

        def near_text(self, *args: Any, **more: Any) -> list[Any]:
            return [Hit(UUID(int=1), {}, self.served)]

        def near_vector(self, *args: Any) -> list[Any]:
            return [Hit(UUID(int=1), {}, 0.1)]

        def tenant_state(self, name: str, tenant: str) -> str:
            return "HOT"

    places = [AskedPlace(Node(), ["a"], f"t{number}") for number in range(tenants)]  # type: ignore[arg-type]
    asks = QueryGuard(MIGRATION, places, names, encode=lambda texts: np.ones((1, 2), np.float32), clock=clock)
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert f"A_new (node {names[-1]}) gives a query another vector" in found.failed


@pytest.mark.parametrize("alone", [True, False])
def test_vectors_that_were_never_held_against_the_encoder_are_told(alone: bool) -> None:
    """The encoder of the new space is away: what the nodes give may be anything, and every guard held."""
    clock = FakeClock()

    def away(texts: Sequence[str]) -> Any:
        raise WeaviateError("the encoder is away")

    names = ("",) if alone else ("n1", "n2")
    asks = QueryGuard(MIGRATION, [AskedPlace(Both(clock), ["a"])], names, encode=away, clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    through = "" if alone else " through node n1, n2"
    assert found.unseen == (f"queries: the vectors of queries{through} were not held against the encoder's",)


def test_a_node_that_was_never_asked_is_told() -> None:
    """Two tenants and five nodes: one look asks through three of them."""
    clock = FakeClock()
    places = [AskedPlace(Both(clock), ["a"], tenant) for tenant in ("a", "b")]  # type: ignore[arg-type]
    asks = QueryGuard(MIGRATION, places, ("n0", "n1", "n2", "n3", "n4"), clock=clock)
    asks.look()
    assert "nothing was asked through node n3, n4" in asks.saw_nothing()


@pytest.mark.parametrize("finds", [10, 0])
def test_a_collection_without_a_module_is_asked_with_vectors(finds: int) -> None:
    """Of a hosted encoder: it "does not answer a query by text", and the paid vectors were thrown away."""
    clock = FakeClock()

    class Hosted(Both):
        def near_vector(self, name: str, vector: str, row: Any, limit: int) -> list[int]:
            return list(range(finds))

    places = [AskedPlace(Hosted(clock, new="no module"), ["a"])]  # type: ignore[arg-type]
    asks = QueryGuard(
        MIGRATION, places, encode=lambda texts: np.ones((1, 2), np.float32), new_answers=False, clock=clock
    )
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert ("finds nothing" in found.failed) == (finds == 0) and not found.unseen


def test_an_encoder_that_hangs_does_not_hold_up_the_watch() -> None:
    """Two looks of a tenth of a second, not a minute for each query."""
    hung = Event()

    class Hangs:
        def through(self, address: str) -> Hangs:
            return self

        def near_text(self, name: str, vector: str, query: str, limit: int, *, bare: bool) -> list[int]:
            if name == "A_new":
                hung.wait(20)
            return [1]

    asks = QueryGuard(MIGRATION, [AskedPlace(Hangs(), ["a"])], limit_s=0.1)  # type: ignore[arg-type]
    began = time.monotonic()
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    took = time.monotonic() - began
    hung.set()
    assert "no answer within 0.1 s" in found.failed and took < 10


@dataclass
class Tenants:
    """Texts by tenant; the encoder of both collections is dead."""

    texts: dict[str, list[str]]
    tenant: str = ""
    lost: str = ""
    nodes: tuple[str, ...] = ("n1",)
    states: dict[tuple[str, str], str] = field(default_factory=dict)
    emptied: dict[str, str] = field(default_factory=dict)
    asleep: dict[str, str] = field(default_factory=dict)

    def each_node(self) -> dict[str, Tenants]:
        return dict.fromkeys(self.nodes, self)

    def through(self, address: str) -> Tenants:
        return self

    def schema(self, name: str) -> dict[str, Any]:
        vectors = {"e": {"vectorizer": {"text2vec-transformers": {}}}}
        return {"class": name, "multiTenancyConfig": {"enabled": True}, "vectorConfig": vectors}

    def tenants(self, name: str) -> dict[str, bool]:
        return {tenant: self.asleep.get(name) != tenant for tenant in self.texts}

    def tenant_state(self, name: str, tenant: str) -> str:
        return self.states.get((name, tenant), "HOT")

    def of_tenant(self, tenant: str) -> Tenants:
        return replace(self, tenant=tenant)

    def page(self, name: str, after: str, count: int, **more: Any) -> list[StoredObject]:
        own = self.texts[self.tenant] if not after and self.emptied.get(name) != self.tenant else []
        return [StoredObject(UUID(int=number + 1), {"text": text}) for number, text in enumerate(own)][:count]

    def near_text(self, name: str, *args: Any, **more: Any) -> list[Any]:
        if not self.lost:
            raise WeaviateError("connection refused")
        return [] if name == "New" and self.tenant == self.lost else ["a hit"]


@pytest.mark.parametrize("texts", [{"a": [], "b": ["one", "two"]}, {"a": ["one"], "b": []}])
def test_the_tenant_that_is_asked_is_one_with_objects(texts: dict[str, list[str]]) -> None:
    """The first by name may be empty: its guard saw nothing, and "every guard held" over a dead encoder."""
    plan = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", True)
    asked, own = query_guard(Tenants(texts), plan, ())  # type: ignore[arg-type]
    assert own.tenant == next(tenant for tenant, some in texts.items() if some)
    assert "answered any" in watched(asked).unseen[0]


@pytest.mark.parametrize("lost", ["a", "d", "f"])
@pytest.mark.parametrize("queries", [(), ("a query",)])
def test_every_tenant_with_objects_is_asked(lost: str, queries: tuple[str, ...]) -> None:
    """The index of one tenant is lost: the guard asked the first one alone, and held."""
    plan = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", True)
    texts = {tenant: ["one", "two"] if tenant != "b" else [] for tenant in "abcdef"}
    asked, _ = query_guard(Tenants(texts, lost=lost, nodes=("n1", "n2", "n3")), plan, queries)  # type: ignore[arg-type]
    assert "finds nothing where Old finds 1 objects" in watched(asked).failed
    held, _ = query_guard(Tenants(texts, lost="nobody"), plan, queries)  # type: ignore[arg-type]
    assert not watched(held).failed and not watched(held).unseen


TENANTS = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", True)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"emptied": {"New": "d"}}, "tenant d has no object in New"),
        ({"states": {("New", "d"): "COLD"}}, "tenant d is not active in New"),
        ({"states": {("New", "d"): ""}}, "tenant d is gone from New"),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_tenant_that_is_not_there_is_told_and_leads_nowhere(more: dict[str, Any], told: str, later: bool) -> None:
    """Empty before the watch it was left out in silence; put to sleep by a client meanwhile, all was rolled back."""
    texts = {tenant: ["one", "two"] for tenant in "abcde"}
    now = Tenants(texts, lost="nobody")
    asked, _ = query_guard(now if later else replace(now, **more), TENANTS, ("a",))  # type: ignore[arg-type]
    if later:
        guards = asked.look.__self__  # type: ignore[attr-defined]
        guards.places = [replace(each, database=replace(each.database, **more)) for each in guards.places]
        for place in guards.places:
            if place.tenant == "d":
                place.database.lost = "d"
    found = watched(asked)
    assert not found.failed and [each.removeprefix("queries by text: ") for each in found.unseen] == [told]


@pytest.mark.parametrize(("count", "told"), [(20, ()), (30, ("10 of 30 active tenants were not asked",))])
def test_of_many_tenants_some_are_drawn_and_the_others_told(count: int, told: tuple[str, ...]) -> None:
    """The first twenty by name stood for all, in silence."""
    database = Tenants({f"t{number:02}": ["one"] for number in range(count)}, lost="nobody")
    asked, _ = query_guard(database, TENANTS, ("a",))  # type: ignore[arg-type]
    found = watched(asked)
    places = [each.tenant for each in asked.look.__self__.places]  # type: ignore[attr-defined]
    assert not found.failed and not found.unseen and found.left_out == told
    assert len(set(places)) == 20 and (count == 20 or max(places) > "t20")


def test_tenants_of_which_the_old_one_answers_none_are_asked_of_the_new_one() -> None:
    """b was activated after the switch: each look began with it, ended with it, and the others were never asked."""
    database = Tenants({tenant: ["one"] for tenant in "abcde"}, lost="d", asleep={"Old": "b"})
    asked, _ = query_guard(database, TENANTS, ("a",))  # type: ignore[arg-type]
    assert "finds nothing where Old finds 1 objects" in watched(asked).failed


@pytest.mark.parametrize("queries", [(), ("a query",)])
def test_where_nothing_can_be_asked_the_watch_has_seen_nothing(queries: tuple[str, ...]) -> None:
    plan = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", True)
    for texts in ({}, {"a": [], "b": [" "]}):
        asked, _ = query_guard(Tenants(texts), plan, queries)  # type: ignore[arg-type]
        assert len(watched(asked).unseen) == 1
