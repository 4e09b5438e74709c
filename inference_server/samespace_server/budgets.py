"""How many bytes of strangers are in memory at a time, over everything that holds some.

One budget for HTTP's bodies and one for gRPC's messages, of `max_held_bytes` each: who fills one of them does not take
the other's room. Answers that nobody reads have half as much, also of each. Used on the event loop alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

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
