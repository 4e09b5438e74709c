"""A watchdog for streams: gRPC's deadline is for a whole call, and a stream has to hear something now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self


class Watchdog:
    """Barks once if it is left waiting too long. One thread, for as long as the `with` block."""

    def __init__(self, bark: Callable[[], None], *, resting: Callable[[], bool]) -> None:
        """Nobody waits yet.

        Args:
            bark: called in the watchdog's thread.
            resting: where it says yes, nothing was asked, and there is nothing to be late.
        """
        self._bark, self._resting = bark, resting
        self._changed = threading.Condition()
        self._timeout_us = 0
        self._until_us: int | None = None  # None: nobody waits
        self._asleep = False
        self._over = False
        self.barked = False

    def wait(self, timeout_us: int) -> None:
        """Somebody waits from now on, that long at most."""
        with self._changed:
            self._timeout_us, self._until_us = timeout_us, _now_us() + timeout_us
            if self._asleep:
                self._changed.notify()

    def heard(self) -> None:
        """Nobody waits any more. Wakes no thread: it is called for every message."""
        self._until_us = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="stream-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._over and not self.barked:
                until_us = self._until_us
                left_us = None if until_us is None else until_us - _now_us()
                if left_us is None or left_us > 0:
                    self._asleep = left_us is None
                    self._changed.wait(None if left_us is None else left_us / 1e6)
                    self._asleep = False
                elif self._resting():
                    self._until_us = _now_us() + self._timeout_us
                else:
                    self.barked = True
        if self.barked:
            self._bark()


def _now_us() -> int:
    return time.monotonic_ns() // 1000
