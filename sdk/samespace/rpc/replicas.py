"""Which replica is asked next, and when: a client's patience, as decisions without a network.

Replicas take turns. One that does not answer is left alone for a moment that doubles with every failure in a row;
one that says "overloaded" for as long as it asked. While another is in order, a request goes there at once; where
none is, it waits for the first, a little longer than has to be, so that many who wait do not come back together.

Trying again is right for what this client sends: the same texts always give the same vectors, so an answer that got
lost costs its computation and nothing else. What cannot be better elsewhere (a wrong space, a bad request) is not
tried again.

What it gives up: a replica is a listed address. Behind a DNS name gRPC itself takes turns over the addresses, and
leaves out the ones whose health service says no.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..errors import DeadlineExceeded, Overloaded, SamespaceError, ServerUnavailable

FIRST_PAUSE_US: Final = 50_000
LONGEST_PAUSE_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, which tests bring themselves.

    Attributes:
        now_us: microseconds of a clock that is never set back or forward.
        wait_us: returns after that many microseconds.
        chance: a random number from 0 to 1.
    """

    now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000
    wait_us: Callable[[int], None] = lambda us: time.sleep(us / 1e6)
    chance: Callable[[], float] = random.random


class Replicas:
    """What is known of each replica; shared by all requests of a client, in any thread."""

    def __init__(self, addresses: tuple[str, ...], *, first: int = 0) -> None:
        """*first* is whose turn it is; clients that start together should not all say the same."""
        self.addresses = addresses
        self.met = False  # whether any of them ever answered
        self._not_before_us = [0] * len(addresses)
        self._failures = [0] * len(addresses)
        self._turn = first
        self._lock = threading.Lock()

    def pick(self, now_us: int) -> tuple[int, int]:
        """(replica, microseconds to wait before it is asked): the next that is in order, or the first to be."""
        with self._lock:
            count = len(self.addresses)
            order = [(self._turn + step) % count for step in range(count)]
            best = min(order, key=lambda replica: max(now_us, self._not_before_us[replica]))
            self._turn = (best + 1) % count
            return best, max(0, self._not_before_us[best] - now_us)

    def wait_us(self, now_us: int) -> int:
        """What `pick` would say, without taking a turn."""
        with self._lock:
            return max(0, min(self._not_before_us) - now_us)

    def is_down(self, replica: int) -> bool:
        """Whether the last thing heard of it was nothing, rather than that it has too much to do."""
        with self._lock:
            return self._failures[replica] > 0

    def answered(self, replica: int) -> None:
        """It is in order; what a replica that was down may do at once."""
        with self._lock:
            self.met = True
            if self._failures[replica]:
                self._failures[replica] = self._not_before_us[replica] = 0

    def unavailable(self, replica: int, now_us: int, *, alive: bool) -> None:
        """It did not answer, or (*alive*) is loading or going down: twice as long a pause as the time before."""
        with self._lock:
            self.met = self.met or alive
            pause_us = min(LONGEST_PAUSE_US, FIRST_PAUSE_US << min(self._failures[replica], 16))
            self._failures[replica] += 1
            self._pause(replica, now_us + pause_us)

    def overloaded(self, replica: int, now_us: int, retry_after_ms: int) -> None:
        """It is alive, and wants to be left alone for so long."""
        with self._lock:
            self.met = True
            self._failures[replica] = 0
            self._pause(replica, now_us + retry_after_ms * 1000)

    def _pause(self, replica: int, until_us: int) -> None:
        self._not_before_us[replica] = max(self._not_before_us[replica], until_us)


class Attempts:
    """The tries of one request, until it is answered or its time is up; for one thread."""

    def __init__(
        self, replicas: Replicas, timeout_ms: int, clock: Clock, until_back: Callable[[int], None] | None = None
    ) -> None:
        """The time runs from now, over all tries and the pauses between them.

        Args:
            until_back: waits that many microseconds, or until a replica that was down is back; it then says so to
                *replicas*. Just waits unless given.
        """
        self._replicas, self._timeout_ms, self._clock = replicas, timeout_ms, clock
        self._until_back = until_back or clock.wait_us
        self.restart()

    def next(self) -> tuple[int, int]:
        """(replica to ask, microseconds that are left for it), after a pause where one is due."""
        now_us = self._clock.now_us()
        replica, wait_us = self._replicas.pick(now_us)
        if wait_us:
            wait_us += int(wait_us / 4 * self._clock.chance())
            wait_us = max(1, min(wait_us, self._deadline_us - now_us))
            if self._replicas.is_down(replica):
                self._until_back(wait_us)
                replica, _ = self._replicas.pick(self._clock.now_us())
            else:
                self._clock.wait_us(wait_us)
        self._replica = replica
        self._tries += 1
        return replica, max(1, self._deadline_us - self._clock.now_us())

    def answered(self) -> None:
        """The replica gave an answer."""
        self._replicas.answered(self._replica)

    def restart(self) -> None:
        """The next answer of a stream is waited for: it has all the time again."""
        self._began_us = self._clock.now_us()
        self._deadline_us = self._began_us + self._timeout_ms * 1000
        self._tries = 0
        self._unreached: set[int] = set()
        self._last: SamespaceError | None = None

    def failed(self, error: SamespaceError, *, alive: bool = False) -> None:
        """Note *error*; return where another try makes sense.

        Args:
            alive: of a `ServerUnavailable`: there is a server, which does not take requests now.

        Raises:
            SamespaceError: *error*, where trying again cannot help, or there is no time for it. Also where no
                replica was ever reached and each was tried: such an address is most likely a wrong one.
        """
        now_us = self._clock.now_us()
        if isinstance(error, Overloaded):
            self._replicas.overloaded(self._replica, now_us, error.retry_after_ms)
        elif isinstance(error, ServerUnavailable):
            self._replicas.unavailable(self._replica, now_us, alive=alive)
            self._unreached.add(self._replica)
        elif isinstance(error, DeadlineExceeded) and self._last is not None:
            raise self._final(self._last) from error  # why there was so little time left for this one
        else:
            raise error
        self._last = error
        nobody_there = not self._replicas.met and len(self._unreached) == len(self._replicas.addresses)
        if nobody_there or now_us + self._replicas.wait_us(now_us) >= self._deadline_us:
            raise self._final(error)

    def _final(self, error: SamespaceError) -> SamespaceError:
        """*error*, or for several tries one that says so."""
        if self._tries < 2 or not isinstance(error, ServerUnavailable):
            return error
        took_ms = (self._clock.now_us() - self._began_us) // 1000
        told = ServerUnavailable(
            address=",".join(self._replicas.addresses),
            reason=f"{error.reason} (the last of {self._tries} tries in {took_ms} ms)",
        )
        told.__cause__ = error
        return told
