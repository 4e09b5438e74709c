"""samespace_weaviate.cutover.watch, and the way back that a migration takes when a guard fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.clock import watched
from samespace.errors import GuardFailed, MigrationBlocked, WeaviateError, WeaviateUnavailable
from samespace_weaviate.cutover.verdict import CutoverVerdict, Decision
from samespace_weaviate.cutover.watch import SwitchGuard, Watched, judged_guard, pin_guard
from samespace_weaviate.migration import Migration, MigrationState
from samespace_weaviate.migration import session as sessions
from samespace_weaviate.migration.refusals.wishes import Asked


def guard(*said: str) -> SwitchGuard:
    """One that says these in turn, and then nothing."""
    left = iter(said)
    return SwitchGuard("it", lambda: next(left, ""))


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


MIGRATION = Migration("m", "A", False, "A_old", "A_new", "e_1", "e_2", "1", "2", "text", False)


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


@pytest.mark.parametrize(
    ("failed", "left_out"),
    [("", ""), ("", "80 of 100 active tenants were not asked"), ("the pin: another address", "")],
)
def test_readers_are_switched_back_where_a_guard_fails(
    failed: str, left_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        watch=lambda migration: Watched(3, 15.0, failed, left_out=(left_out,) if left_out else ()),
    )  # fmt: skip
    heard = Heard()
    if failed:
        with pytest.raises(GuardFailed, match="Rolled back: A is A_old again"):
            sessions.carry(None, order, heard)  # type: ignore[arg-type]
        assert wishes == ["migrate", "rollback"]
    else:
        sessions.carry(None, order, heard)  # type: ignore[arg-type]
        assert wishes == ["migrate"]
        assert heard.told == [f"Watched for 15 s, 3 times: every guard held{'; ' * bool(left_out)}{left_out}."]


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
    dead = SwitchGuard("queries by text", lambda: "", lambda: "nobody answers", remedy="let the server answer")
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
    assert ("let the server answer" in said) == (not judged)
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
