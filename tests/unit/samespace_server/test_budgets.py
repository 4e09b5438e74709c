"""Whose answers are given up where too many wait for their readers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from samespace.errors import DeadlineExceeded
from samespace_server.budgets import PATIENCE_MS, AnswerRoom, Unread, cut_off

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


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """*test* on an event loop of its own."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


async def settled() -> None:
    """Everybody has gone as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Guests:
    """Requests with places in a room of 100 bytes, which stay until they are let go."""

    def __init__(self) -> None:
        self.room, self.inside = AnswerRoom(100), list[str]()
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, size: int, client: str = "a", left_us: int | None = None) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, size, client, left_us))
        await settled()

    async def _stay(self, name: str, size: int, client: str, left_us: int | None) -> None:
        async with self.room.place(size, client, left_us):
            self.inside.append(name)
            await self._ends[name].wait()
            self.inside.remove(name)

    async def go(self, name: str) -> None:
        self._ends[name].set()
        await settled()


@on_a_loop
async def test_large_answers_are_made_as_there_is_room() -> None:
    guests = Guests()
    for name, size in (("one", 60), ("two", 40), ("three", 50), ("four", 10)):
        await guests.come(name, size)
    assert guests.inside == ["one", "two"] and guests.room.taken_bytes == 100
    await guests.go("two")
    assert guests.inside == ["one"]  # three comes next, and does not fit beside one
    await guests.go("one")
    assert guests.inside == ["three", "four"]
    await guests.go("three")
    await guests.go("four")
    assert guests.room.taken_bytes == 0


@on_a_loop
async def test_an_answer_larger_than_the_room_is_made_alone() -> None:
    guests = Guests()
    for name, size in (("small", 10), ("huge", 1000), ("after", 10)):
        await guests.come(name, size)
    assert guests.inside == ["small"]
    await guests.go("small")
    assert guests.inside == ["huge"]
    await guests.go("huge")
    assert guests.inside == ["after"]


@on_a_loop
async def test_a_client_with_many_does_not_keep_another_out() -> None:
    guests = Guests()
    for number in range(10):
        await guests.come(f"many {number}", 100, "greedy")
    await guests.come("one", 100, "other")
    await guests.go("many 0")
    await guests.go("many 1")
    assert guests.inside == ["one"]  # after one more of theirs, and before eight others


@on_a_loop
async def test_who_waits_no_more_leaves_no_trace() -> None:
    """Cancelled or out of time, while waiting, and in the moment of being let in."""
    guests = Guests()
    await guests.come("first", 100)
    await guests.come("cancelled", 100)
    await guests.come("late", 100, left_us=1000)
    guests.tasks["cancelled"].cancel()
    with pytest.raises(DeadlineExceeded, match="1 ms"):
        await guests.tasks["late"]
    await guests.come("moment", 100)
    guests._ends["first"].set()
    while guests.room.taken_bytes and "first" in guests.inside:
        await asyncio.sleep(0)
    guests.tasks["moment"].cancel()  # let in, and not told yet
    await settled()
    await guests.come("next", 100)
    assert guests.inside == ["next"] and guests.room.taken_bytes == 100
    await guests.go("next")
    assert guests.room.taken_bytes == 0
