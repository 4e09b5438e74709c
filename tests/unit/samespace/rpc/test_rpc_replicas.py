"""Which replica is asked, when, and when to give up: with a clock that the tests turn."""

from __future__ import annotations

import pytest

from samespace.errors import DeadlineExceeded, Overloaded, RequestInvalid, ServerUnavailable
from samespace.rpc.replicas import FIRST_PAUSE_US, LONGEST_PAUSE_US, Attempts, Clock, Replicas

AB = ("a:1", "b:1")
DOWN = ServerUnavailable(address="a:1", reason="connection refused")
BUSY = Overloaded(queued=2, limit=1, unit="tokens", retry_after_ms=300)


class Turned:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self.now_us = 1_000_000
        self.waits: list[int] = []

    def wait(self, us: int) -> None:
        self.waits.append(us)
        self.now_us += us

    def clock(self, chance: float = 0.0) -> Clock:
        return Clock(now_us=lambda: self.now_us, wait_us=self.wait, chance=lambda: chance)


def test_replicas_take_turns() -> None:
    """Each gets every other request, from whichever it begins with."""
    replicas = Replicas(AB, first=1)
    assert [replicas.pick(0) for _ in range(4)] == [(1, 0), (0, 0), (1, 0), (0, 0)]


def test_one_that_does_not_answer_is_left_alone_for_longer_and_longer() -> None:
    """The pause doubles with each failure in a row, up to a bound, and an answer forgets it."""
    replicas = Replicas(("a:1",))
    pauses = []
    for _ in range(8):
        replicas.unavailable(0, 0, alive=False)
        pauses.append(replicas.pick(0)[1])
    assert pauses[:3] == [FIRST_PAUSE_US, 2 * FIRST_PAUSE_US, 4 * FIRST_PAUSE_US]
    assert pauses[-1] == LONGEST_PAUSE_US
    replicas.answered(0)
    replicas.unavailable(0, 10 * LONGEST_PAUSE_US, alive=False)
    assert replicas.pick(10 * LONGEST_PAUSE_US)[1] == FIRST_PAUSE_US


def test_another_is_asked_at_once() -> None:
    """While one replica is out, requests go to the other without a pause, and all of them."""
    turned = Turned()
    replicas = Replicas(AB)
    attempts = Attempts(replicas, 1000, turned.clock())
    assert attempts.next()[0] == 0
    attempts.failed(DOWN)
    assert attempts.next()[0] == 1
    attempts.answered()
    assert turned.waits == []
    assert {replicas.pick(turned.now_us)[0] for _ in range(3)} == {1}


def test_overload_is_waited_for_as_long_as_it_says_and_a_little_longer() -> None:
    """With one server the pause is `retry_after_ms` and up to a quarter more; never less."""
    for chance, expected in ((0.0, 300_000), (1.0, 375_000)):
        turned = Turned()
        attempts = Attempts(Replicas(("a:1",)), 1000, turned.clock(chance))
        attempts.next()
        attempts.failed(BUSY)
        attempts.next()
        assert turned.waits == [expected]


def test_what_is_refused_is_not_asked_again() -> None:
    """A bad request comes out as it is, at the first try."""
    attempts = Attempts(Replicas(AB), 1000, Turned().clock())
    attempts.next()
    with pytest.raises(RequestInvalid):
        attempts.failed(RequestInvalid(field="texts", reason="none"))


def test_where_nobody_was_ever_reached_each_is_tried_once() -> None:
    """A wrong address is said at once, not after a minute of trying."""
    turned = Turned()
    attempts = Attempts(Replicas(AB), 60_000, turned.clock())
    attempts.next()
    attempts.failed(DOWN)
    attempts.next()
    with pytest.raises(ServerUnavailable) as caught:
        attempts.failed(DOWN)
    assert caught.value.address == "a:1,b:1"
    assert turned.waits == []


def test_a_server_that_loads_is_waited_for() -> None:
    """One that says that it is not ready yet is there: the request is tried again, also at first contact."""
    turned = Turned()
    attempts = Attempts(Replicas(("a:1",)), 1000, turned.clock())
    attempts.next()
    attempts.failed(DOWN, alive=True)
    attempts.next()
    assert turned.waits == [FIRST_PAUSE_US]


def test_servers_that_were_there_are_tried_until_the_time_is_up() -> None:
    """Two that went away are asked again and again, and the error says how often, within the time and not after it."""
    turned = Turned()
    replicas = Replicas(AB)
    replicas.answered(0)
    attempts = Attempts(replicas, 5000, turned.clock())
    began_us, tries = turned.now_us, 0
    with pytest.raises(ServerUnavailable, match="tries in") as caught:
        while tries < 1000:
            tries += 1
            attempts.next()
            attempts.failed(DOWN)
    assert 8 < tries < 100
    assert turned.now_us - began_us < 5_000_000
    assert "connection refused" in caught.value.reason


def test_an_attempt_gets_the_time_that_is_left() -> None:
    """The deadline that the server is told shrinks with every pause."""
    turned = Turned()
    attempts = Attempts(Replicas(("a:1",)), 1000, turned.clock())
    assert attempts.next()[1] == 1_000_000
    attempts.failed(BUSY)
    assert attempts.next()[1] == 700_000


def test_a_pause_that_would_be_too_long_is_not_begun() -> None:
    """Where the server wants more time than there is, its refusal comes out at once."""
    turned = Turned()
    attempts = Attempts(Replicas(("a:1",)), 200, turned.clock())
    attempts.next()
    with pytest.raises(Overloaded):
        attempts.failed(BUSY)
    assert turned.waits == []


def test_one_that_is_back_is_asked_at_once() -> None:
    """A pause for a server that is down ends when it is back; a pause that was asked for does not end early."""
    turned = Turned()
    replicas = Replicas(("a:1",))
    replicas.answered(0)

    def back(us: int) -> None:
        turned.now_us += 10
        replicas.answered(0)

    attempts = Attempts(replicas, 1000, turned.clock(), back)
    attempts.next()
    attempts.failed(DOWN)
    assert attempts.next() == (0, 1_000_000 - 10)
    attempts.failed(BUSY)
    attempts.next()
    assert turned.waits == [300_000]


def test_a_short_last_try_that_was_late_tells_why_it_was_short() -> None:
    """After a server that was gone, the caller hears of it, and not of the few milliseconds left for the last try."""
    replicas = Replicas(("a:1",))
    replicas.answered(0)
    attempts = Attempts(replicas, 1000, Turned().clock())
    attempts.next()
    attempts.failed(DOWN)
    attempts.next()
    with pytest.raises(ServerUnavailable):
        attempts.failed(DeadlineExceeded(where="server a:1", timeout_ms=1000))
