"""Whose turn it is on the event loop: connections that have more to do than a moment's work take turns.

A client may send thousands of requests in one read, and hundreds of clients may do so together. What they sent is
worked on piece by piece; in one round of the loop no more than `ROUND_MS` of it, then the others come first, and
whoever has nothing in arrears does not wait behind those who have. What a large body begins waits for a round too:
reading it takes milliseconds, and two hundred of them may be complete at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from .messages import Request, Response, Work

ROUND_MS: Final = 5
LIGHT_BYTES: Final = 2048
"""A body of this size begins at once: a query and its like."""


class Turns:
    """Shares out the rounds of the running event loop."""

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        """Nobody is in arrears."""
        self._loop, self._clock_ns = asyncio.get_running_loop(), clock_ns
        self._arrears: deque[Callable[[], None]] = deque()
        self._until_ns: int | None = None

    def now(self, go_on: Callable[[], None]) -> bool:
        """Whether there is time now; where there is not, *go_on* is called when there is."""
        if self._until_ns is None:
            self._begin()
        assert self._until_ns is not None
        if self._clock_ns() < self._until_ns:
            return True
        self._arrears.append(go_on)
        return False

    async def wait(self) -> None:
        """Return when there is time."""
        while True:
            woken = self._loop.create_future()
            if self.now(partial(_wake, woken)):
                return
            await woken

    def _begin(self) -> None:
        self._until_ns = self._clock_ns() + ROUND_MS * 1_000_000
        self._loop.call_soon(self._next_round)

    def _next_round(self) -> None:
        self._until_ns = None
        if not self._arrears:
            return
        self._begin()
        # Those that do not come to their end stand at the back again, so this ends with the time or with the row.
        for _ in range(len(self._arrears)):
            assert self._until_ns is not None
            if self._clock_ns() >= self._until_ns:
                break
            self._arrears.popleft()()
        self._until_ns = self._clock_ns() + ROUND_MS * 1_000_000  # whoever comes new has a share of their own


def in_turn(work: Work, turns: Turns) -> Work:
    """*work*, which begins in its turn where the body is large."""

    async def answer(request: Request) -> Response:
        if len(request.body) > LIGHT_BYTES:
            await turns.wait()
        return await work(request)

    return answer


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
