"""samespace_weaviate.cutover.watch, and the way back that a migration takes when a guard fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from samespace.errors import GuardFailed, MigrationBlocked, WeaviateError, WeaviateUnavailable
from samespace_weaviate.access.values import Hit, StoredObject
from samespace_weaviate.cutover.asking import AskedPlace, QueryGuard, query_guard
from samespace_weaviate.cutover.verdict import CutoverVerdict, Decision
from samespace_weaviate.cutover.watch import SwitchGuard, Watched, judged_guard, pin_guard, watch
from samespace_weaviate.migration import Migration, MigrationState
from samespace_weaviate.migration import session as sessions
from samespace_weaviate.migration.refusals.wishes import Asked


@dataclass
class Clock:
    """Time passes where somebody waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def guard(*said: str) -> SwitchGuard:
    """One that says these in turn, and then nothing."""
    left = iter(said)
    return SwitchGuard("it", lambda: next(left, ""))


def watched(*guards: SwitchGuard, seconds: float = 60) -> Watched:
    clock = Clock()
    return watch(guards, seconds, every_s=5, clock=clock, pause=clock.pause)


def test_guards_that_hold_are_looked_at_until_the_time_is_up() -> None:
    """Twelve looks in a minute; at least two, however short the time."""
    assert watched(guard()) == Watched(12, 60.0)
    assert watched(guard(), seconds=1).looks == 2


@pytest.mark.parametrize(("said", "looks"), [(["a", "b"], 2), (["", "a", "", "b", "c"], 5)])
def test_a_guard_that_fails_twice_in_a_row_fails(said: list[str], looks: int) -> None:
    """And names what it saw last."""
    found = watched(guard(), guard(*said))
    assert (found.looks, found.failed) == (looks, f"it: {said[-1]}")


def test_a_guard_that_failed_last_is_looked_at_once_more() -> None:
    """The time is up right after its first failure: it is not said that it held."""
    last = ["", "", "a"]
    assert watched(guard(*last), seconds=15).failed == ""
    assert watched(guard(*last, "a"), seconds=15).failed == "it: a"


def test_a_guard_that_raises_fails() -> None:
    """A Weaviate that refuses is no guard that held."""

    def look() -> str:
        raise WeaviateError("refused")

    assert watched(SwitchGuard("it", look)).failed == "it: refused"


@pytest.mark.parametrize(
    ("decision", "failed", "unseen"),
    [(Decision.GO, False, False), (Decision.CANNOT_TELL, False, True), (Decision.NO_GO, True, False)],
)
def test_judged_queries_are_asked_once(decision: Decision, failed: bool, unseen: bool) -> None:
    """Only what is shown to be worse leads back; what decides nothing is no guard that held."""
    asked = []

    def compared() -> CutoverVerdict:
        asked.append(1)
        return CutoverVerdict(decision, "why")

    found = watched(judged_guard(compared))
    assert (bool(found.failed), bool(found.unseen)) == (failed, unseen)
    assert asked == [1]


def test_judged_queries_that_cannot_be_asked_lead_nowhere() -> None:
    """Neither collection answers, or only after the watch is over."""

    def compared() -> CutoverVerdict:
        raise WeaviateError("A_old cannot be asked")

    found = watched(judged_guard(compared))
    assert not found.failed and found.unseen == ("judged queries: A_old cannot be asked",)
    hung = Event()

    def hangs() -> CutoverVerdict:
        hung.wait(20)
        return CutoverVerdict(Decision.GO, "why")

    slow = watched(judged_guard(hangs, wait_s=0.1))
    hung.set()
    assert not slow.failed and "not all answered" in slow.unseen[0]


def test_answers_that_end_are_no_guard_that_held() -> None:
    """The encoders' server dies after the first look; one answer does not stand for a quarter of an hour."""
    clock = Clock()
    asked = Both(clock)
    asks = QueryGuard(MIGRATION, [AskedPlace(asked, ["a"])], clock=clock)  # type: ignore[arg-type]
    looks = iter(range(99))

    def look() -> str:
        if next(looks) == 2:
            asked.old = asked.new = "connection refused"
        return asks.look()

    found = watched(SwitchGuard("queries", look, asks.saw_nothing))
    assert not found.failed and "answered any in the last 10 looks" in found.unseen[0]


MIGRATION = Migration("m", "A", False, "A_old", "A_new", "e_1", "e_2", "1", "2", "text", False)


@dataclass
class Both:
    """Two collections: how many each finds and how many seconds it takes, or why it does not answer.

    Nodes that are named answer otherwise.
    """

    clock: Clock
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
    clock = Clock()
    asks = QueryGuard(MIGRATION, [AskedPlace(Both(clock, old, new), ["a", "b", "c"])], clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look))
    assert (failed in found.failed) if failed else (found.failed == "")


@pytest.mark.parametrize("old_answers", [True, False])
@pytest.mark.parametrize("answers", ["connection refused", (10, 0.01)])
def test_queries_that_nobody_answers_show_nothing(answers: Any, old_answers: bool) -> None:
    """A guard that had nothing to look at did not hold; an old collection without a module excuses no new one."""
    clock = Clock()
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
    clock = Clock()
    asked = Both(clock, nodes={"n2": Both(clock, **lost)})
    asks = QueryGuard(MIGRATION, [AskedPlace(asked, ["a"])], ("n1", "n2", "n3"), clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert (failed in found.failed) if failed else not found.failed
    assert unseen in "".join(found.unseen) and bool(found.unseen) == bool(unseen)


def test_a_query_of_seconds_is_too_slow_also_in_a_short_watch() -> None:
    """Speed was judged from 20 answers on: where a query takes 6 s there were 10, and every guard held."""
    clock = Clock()
    asks = QueryGuard(MIGRATION, [AskedPlace(Both(clock, (10, 0.008), (10, 6.0)), ["a"])], clock=clock)  # type: ignore[arg-type]
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing), seconds=8)
    assert "queries take 6000 ms at the median, 8 ms in A_old" in found.failed


def test_few_answers_judge_no_speed() -> None:
    """The old collection answers one query of ten."""
    clock = Clock()
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
    clock = Clock()

    class Vectors(Both):
        def near_text(self, *args: Any, **more: Any) -> list[Any]:
            return [Hit(UUID(int=1), {}, distance) for distance in served]

        def near_vector(self, name: str, vector: str, row: Any, limit: int) -> list[Any]:
            assert name == "A_new" and row.tolist() == [1.0, 0.0]
            return [Hit(UUID(int=1), {}, distance) for distance in (0.1, 0.3)]

    places = [AskedPlace(Vectors(clock), ["a"])]  # type: ignore[arg-type]
    asks = QueryGuard(MIGRATION, places, encode=lambda text: np.array([1.0, 0.0], np.float32), clock=clock)
    found = watched(SwitchGuard("queries", asks.look, asks.saw_nothing))
    assert ("gives a query another vector than the encoder of space 2" in found.failed) == failed
    assert not found.unseen


@pytest.mark.parametrize("finds", [10, 0])
def test_a_collection_without_a_module_is_asked_with_vectors(finds: int) -> None:
    """Of a hosted encoder: it "does not answer a query by text", and the paid vectors were thrown away."""
    clock = Clock()

    class Hosted(Both):
        def near_vector(self, name: str, vector: str, row: Any, limit: int) -> list[int]:
            return list(range(finds))

    places = [AskedPlace(Hosted(clock, new="no module"), ["a"])]
    asks = QueryGuard(MIGRATION, places, encode=lambda text: np.ones(2, np.float32), new_answers=False, clock=clock)  # type: ignore[arg-type]
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
class Heard:
    """A person who agrees."""

    told: list[str] = field(default_factory=list)

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def agree(self, question: str) -> None:
        self.told.append(question)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda count: None


@pytest.mark.parametrize("failed", ["", "the pin: another address"])
def test_readers_are_switched_back_where_a_guard_fails(
    failed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the command fails, so that a pipeline stops; where all held, it says how often that was seen."""
    wishes: list[str] = []

    def go_on(*arguments: Any) -> MigrationState:
        order: sessions.Order = arguments[3]
        wishes.append(order.wish)
        return MigrationState.SETTLED if order.wish == "migrate" else MigrationState.ROLLED_BACK

    monkeypatch.setattr(sessions, "_go_on", go_on)
    monkeypatch.setattr(sessions, "_take_up", lambda *arguments: (None, MIGRATION))
    order = sessions.Order(
        "migrate", Asked("A"), tmp_path / "journal", lambda: MIGRATION, lambda migration: None, None, sessions.Terms(),
        watch=lambda migration: Watched(3, 15.0, failed),
    )  # fmt: skip
    heard = Heard()
    if failed:
        with pytest.raises(GuardFailed, match="Rolled back: A is A_old again"):
            sessions.carry(None, order, heard)  # type: ignore[arg-type]
        assert wishes == ["migrate", "rollback"]
    else:
        sessions.carry(None, order, heard)  # type: ignore[arg-type]
        assert wishes == ["migrate"]
        assert heard.told == ["Watched for 15 s, 3 times: every guard held."]


def test_a_watch_that_saw_nothing_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch stays, because going back would not help; the command fails."""
    monkeypatch.setattr(sessions, "_go_on", lambda *arguments: MigrationState.SETTLED)
    monkeypatch.setattr(sessions, "_take_up", lambda *arguments: (None, MIGRATION))
    order = sessions.Order(
        "migrate", Asked("A"), tmp_path / "journal", lambda: MIGRATION, lambda migration: None, None, sessions.Terms(),
        watch=lambda migration: Watched(3, 15.0, unseen=("queries by text: neither answered any",)),
    )  # fmt: skip
    with pytest.raises(MigrationBlocked, match="watched for 15 s, and some guards saw nothing that decides: queries"):
        sessions.carry(None, order, Heard())  # type: ignore[arg-type]


@pytest.mark.parametrize("judged", [True, False])
def test_what_decided_nothing_gets_the_advice_that_is_about_it(
    judged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few judged queries over a server that answers all the time: the advice was to let that server answer."""
    monkeypatch.setattr(sessions, "_go_on", lambda *arguments: MigrationState.SETTLED)
    monkeypatch.setattr(sessions, "_take_up", lambda *arguments: (None, MIGRATION))
    few = judged_guard(lambda: CutoverVerdict(Decision.CANNOT_TELL, "7 judged queries are too few"))
    plan = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", True)
    dead, _ = query_guard(Tenants({"a": ["one"]}), plan, ())  # type: ignore[arg-type]
    seen = watched(few if judged else dead)
    order = sessions.Order(
        "migrate", Asked("A"), tmp_path / "journal", lambda: MIGRATION, lambda migration: None, None, sessions.Terms(),
        watch=lambda migration: seen,
    )  # fmt: skip
    with pytest.raises(MigrationBlocked) as raised:
        sessions.carry(None, order, Heard())  # type: ignore[arg-type]
    said = str(raised.value)
    assert ("7 judged queries are too few" in said) == judged
    assert ("samespace weaviate compare" in said) == judged
    assert ("let the encoder's server answer" in said) == (not judged)
    assert said.count("--rollback leads back") == 1


def test_what_is_no_watch_is_refused() -> None:
    """Nothing but a switch is watched."""
    from click.testing import CliRunner

    from samespace.cli.weaviate import weaviate

    for arguments in (
        ["--watch", "1m", "--strategy", "named-vector"],
        ["--judged", "."],
    ):
        command: Sequence[str] = ["migrate", "Article", *arguments]
        result = CliRunner().invoke(weaviate, list(command))
        assert result.exit_code == 1 and "--watch" in str(result.exception), result.output


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


def test_a_node_that_is_not_asked_for_its_pin_has_shown_nothing() -> None:
    """Three nodes are there and the address of one is known: its pin held, and so "every guard held"."""
    pins = SimpleNamespace(
        alias_target=lambda alias: "New", schema=lambda name: None, own_schema=lambda name: None,
        each_node=lambda: {"n1": pins}, node_names=lambda: frozenset("abc"),
    )  # fmt: skip
    plan = Migration("m", "Articles", False, "Old", "New", "e", "e", "1", "2", "text", False)
    seen = pin_guard(pins, plan)  # type: ignore[arg-type]
    assert seen.saw_nothing() == "2 more nodes were not asked"
    pins.each_node = lambda: dict.fromkeys("abc", pins)
    assert seen.saw_nothing() == ""

    def away(name: str) -> None:
        raise WeaviateUnavailable(address="n3", reason="refused")

    pins.each_node = lambda: {"n1": pins, "n2": pins, "n3": SimpleNamespace(own_schema=away)}
    seen.look()
    assert seen.saw_nothing() == "node n3 did not answer in the last look"


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
