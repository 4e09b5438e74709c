"""The room outside of the queue: clients take turns by tokens, each client's in order of arrival."""

from __future__ import annotations

import time

import pytest

from samespace_server.scheduling.bulk import WaitingRoom


def test_clients_take_turns_and_nobody_overtakes_within_one() -> None:
    """A hundred of one client, then one of another: it is second, and the hundred keep their order."""
    room: WaitingRoom[str] = WaitingRoom()
    for number in range(100):
        room.add(f"a{number}", 10, "a")
    assert room.take() == "a0"
    room.add("b0", 10, "b")
    assert [room.take() for _ in range(3)] == ["b0", "a1", "a2"]
    assert [room.take() for _ in range(97)] == [f"a{number}" for number in range(3, 100)]
    assert not room and room.first() is None


def test_turns_are_by_tokens() -> None:
    """One with messages of 30 tokens comes in once while another comes in three times with 10."""
    room: WaitingRoom[str] = WaitingRoom()
    for number in range(9):
        room.add(f"long{number}", 30, "a")
        room.add(f"short{number}", 10, "b")
    taken = [room.take()[:4] for _ in range(8)]
    assert taken.count("long") == 2 and taken.count("shor") == 6


def test_a_client_saves_nothing_up() -> None:
    """Who comes back after a long time is not let in before all that waited meanwhile."""
    room: WaitingRoom[str] = WaitingRoom()
    for number in range(50):
        room.add(f"a{number}", 10, "a")
    room.add("b0", 10, "b")
    for _ in range(41):
        room.take()
    for number in range(1, 5):
        room.add(f"b{number}", 10, "b")
    taken = [room.take()[0] for _ in range(8)]
    assert taken.count("a") == 4


def test_who_waits_no_more_is_out() -> None:
    """Also where they were the only one of their client, or are out already."""
    room: WaitingRoom[str] = WaitingRoom()
    room.add("a0", 10, "a")
    room.add("b0", 10, "b")
    room.discard("a0", "a")
    room.discard("a0", "a")
    assert room.first() == ("b0", 10, "b")
    room.discard("b0", "b")
    assert not room
    with pytest.raises(AssertionError):
        room.take()


def test_what_is_kept_is_bounded() -> None:
    """Ten thousand clients that came and went leave nothing behind while one line never empties."""
    room: WaitingRoom[str] = WaitingRoom()
    room.add("first", 1, "patient")
    for number in range(10_000):
        room.add("patient", 10**6, "patient")
        room.add("brief", 1, f"client {number}")
        room.discard("brief", f"client {number}")
        room.take()
    assert len(room._places) < 200


def test_thousands_who_leave_at_once_cost_nobody_anything() -> None:
    """Each from wherever it stands; those who stay keep their order."""
    room: WaitingRoom[int] = WaitingRoom()
    for who in range(40_000):
        room.add(who, 1, "one")
    began = time.perf_counter()
    for who in range(39_999, 0, -2):
        room.discard(who, "one")
    assert time.perf_counter() - began < 1
    assert [room.take() for _ in range(20_000)] == list(range(0, 40_000, 2))
    assert not room
