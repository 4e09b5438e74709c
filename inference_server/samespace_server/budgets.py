"""How many bytes of strangers are in memory at a time, over everything that holds some.

One budget for HTTP's bodies and one for gRPC's messages, of `max_held_bytes` each: who fills one of them does not take
the other's room. Used on the event loop alone.
"""

from __future__ import annotations

import asyncio


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
