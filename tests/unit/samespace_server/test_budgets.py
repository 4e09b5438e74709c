"""Whose answers are given up where too many wait for their readers."""

from __future__ import annotations

from samespace_server.budgets import PATIENCE_MS, Unread, cut_off

MB = 1 << 20
NOW_MS = 100_000


def unread(connection: str, holder: str, size: int, for_ms: int = PATIENCE_MS) -> Unread:
    return Unread(connection, holder, size, NOW_MS - for_ms)


def test_nobody_loses_within_the_budget() -> None:
    assert cut_off([unread("a", "x", 60 * MB, 10**6), unread("b", "y", 40 * MB, 10**6)], 100 * MB, NOW_MS) == []


def test_whoever_holds_most_loses_what_waited_longest() -> None:
    flood = [unread(f"flood {place}", "them", 20 * MB, PATIENCE_MS + place) for place in range(4)]
    honest = unread("honest", "us", 50 * MB, 10 * PATIENCE_MS)
    assert cut_off([*flood, honest], 100 * MB, NOW_MS) == ["flood 3", "flood 2"]


def test_one_alone_and_what_came_just_now_are_left() -> None:
    assert cut_off([unread("a", "x", 500 * MB, 10**6)], 100 * MB, NOW_MS) == []
    assert cut_off([unread("a", "x", 55 * MB, 100), unread("b", "x", 55 * MB, 100)], 100 * MB, NOW_MS) == []


def test_patience_shrinks_with_what_there_is() -> None:
    """At twice the budget a quarter of the time is enough."""
    waiting = [unread(f"{place}", "x", 20 * MB, PATIENCE_MS // 4) for place in range(10)]
    assert len(cut_off(waiting, 100 * MB, NOW_MS)) == 1  # then it is below twice
    assert cut_off(waiting[:6], 100 * MB, NOW_MS) == []


def test_answers_of_one_connection_go_together() -> None:
    waiting = [unread("a", "x", 30 * MB), unread("a", "x", 30 * MB), unread("b", "x", 50 * MB, PATIENCE_MS + 1)]
    assert cut_off(waiting, 100 * MB, NOW_MS) == ["b"]
