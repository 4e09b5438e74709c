"""How many bytes of strangers are in memory at a time, over everything that holds some.

One budget for HTTP's bodies and one for gRPC's messages, of `max_held_bytes` each: who fills one of them does not take
the other's room. Answers that nobody reads have half as much, also of each, and so have the vectors of answers that are
being made. Used on the event loop alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from samespace.errors import DeadlineExceeded

from .scheduling.bulk import WaitingRoom

PATIENCE_MS: Final = 5_000
"""How long an answer may wait for its reader where all of them just fill their budget; a quarter of it at twice that.
Python programs with many threads may take a second or two."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that waits for its reader.

    Attributes:
        connection: what it goes over; anything hashable.
        holder: on whose account.
    """

    connection: Any
    holder: str
    size: int
    since_ms: int


def cut_off(unread: Iterable[Unread], limit_bytes: int, now_ms: int) -> list[Any]:
    """The connections to end, so that no more than *limit_bytes* of answers wait. Pure.

    Whoever holds most loses first, of theirs what has waited longest. One that is alone is left to its own timeout, and
    so is what has not waited for long.
    """
    waiting = list(unread)
    total = sum(each.size for each in waiting)
    lost: list[Any] = []
    while total > limit_bytes and len({each.connection for each in waiting}) > 1:
        patience_ms = PATIENCE_MS * (limit_bytes / total) ** 2
        held: Counter[str] = Counter()
        for each in waiting:
            held[each.holder] += each.size
        late = [each for each in waiting if now_ms - each.since_ms >= patience_ms]
        if not late:
            break
        loser = max(late, key=lambda each: (held[each.holder], -each.since_ms)).connection
        lost.append(loser)
        waiting = [each for each in waiting if each.connection is not loser]
        total = sum(each.size for each in waiting)
    return lost


class ByteBudget:
    """Bytes that may be held, and those that are."""

    def __init__(self, limit_bytes: int) -> None:
        """Nothing is held yet."""
        self.limit_bytes, self.held_bytes = limit_bytes, 0
        self._freed = asyncio.Event()

    def hold(self, size: int) -> bool:
        """Count *size* more bytes (negative: fewer); False where that is too much. They are counted either way."""
        self.held_bytes += size
        if size < 0:
            self._freed.set()
        return self.held_bytes <= self.limit_bytes

    async def room(self) -> None:
        """Return when less is held than may be."""
        while self.held_bytes >= self.limit_bytes:
            self._freed.clear()
            await self._freed.wait()


class AnswerRoom:
    """Room for the vectors of large answers, from before the first is computed until the answer is made.

    A few bytes of text ask for kilobytes of vectors, and all large requests are worked on at a time. So they come in as
    there is room, clients in turns; a request that is larger than all of it comes in alone.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Nobody is in."""
        self.limit_bytes, self.taken_bytes = limit_bytes, 0
        self._waiting: WaitingRoom[asyncio.Future[None]] = WaitingRoom()

    @asynccontextmanager
    async def place(self, size: int, client: str, left_us: int | None = None) -> AsyncIterator[None]:
        """Room for *size* bytes; waits for it in turn.

        Args:
            left_us: how long the caller waits; None for ever.

        Raises:
            DeadlineExceeded: that was too short.
        """
        came_in = asyncio.get_running_loop().create_future()
        self._waiting.add(came_in, size, client)
        self._let_in()
        try:
            async with asyncio.timeout(None if left_us is None else left_us / 1e6):
                await came_in
        except BaseException as error:
            if came_in.done() and not came_in.cancelled():  # it was let in while it gave up
                self._leave(size)
            else:
                self._waiting.discard(came_in, client)
                self._let_in()
            if isinstance(error, TimeoutError):
                assert left_us is not None
                where = "this server, where other large answers took the room"
                raise DeadlineExceeded(where=where, timeout_ms=max(0, left_us) // 1000) from None
            raise
        try:
            yield
        finally:
            self._leave(size)

    def _leave(self, size: int) -> None:
        self.taken_bytes -= size
        self._let_in()

    def _let_in(self) -> None:
        while (first := self._waiting.first()) is not None:
            if self.taken_bytes and self.taken_bytes + first[1] > self.limit_bytes:
                return
            came_in = self._waiting.take()
            if not came_in.done():  # else its caller gave up just now
                self.taken_bytes += first[1]
                came_in.set_result(None)
