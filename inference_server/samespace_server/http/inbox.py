"""Bytes of a connection that came and are not parsed yet, handed out in pieces. Pure.

A piece holds a few dozen requests at the most, because the parser cannot be stopped within one. What belongs to a body
whose length is known is one piece, however long.
"""

from __future__ import annotations

from collections import deque
from typing import Final

PIECE_BYTES: Final = 1024


class Inbox:
    """A row of bytes."""

    __slots__ = ("_at", "_parts", "size")

    def __init__(self) -> None:
        """Empty."""
        self._parts: deque[bytes] = deque()
        self._at = 0  # so much of the first part is taken already
        self.size = 0

    def put(self, data: bytes) -> None:
        """Add *data* at the end."""
        self._parts.append(data)
        self.size += len(data)

    def take(self, size: int) -> bytes:
        """Up to *size* bytes, at least `PIECE_BYTES` where so many are in one part; empty where there is nothing."""
        if not self._parts:
            return b""
        first, start = self._parts[0], self._at
        end = min(len(first), start + max(size, PIECE_BYTES))
        if end == len(first):
            self._parts.popleft()
            self._at = 0
        else:
            self._at = end
        self.size -= end - start
        return first if (start, end) == (0, len(first)) else first[start:end]

    def clear(self) -> None:
        """Throw away what there is."""
        self._parts.clear()
        self._at = self.size = 0
