"""Queries as people ask them, from a stream of lines: the log of a search page, through a pipe.

What it leaves to others: who is asked (`compare`), and what follows (`verdict`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from samespace.errors import RequestInvalid

MOST: Final = 10_000
"""Queries after which the stream is left: their answers are kept in memory."""
WAITING: Final = 256
"""Queries that may wait for their turn; of more, the newest are left out."""


class LiveQueries(Iterable[str]):
    """The queries of *lines* as they come, without empty ones, until they end or the time is over.

    Args:
        lines: read by a thread of its own, which waits for the next one also when the time is over.
        seconds: how long to listen; None until the lines end.

    Attributes:
        left_out: queries that came faster than both collections answered.

    Raises:
        RequestInvalid: on the way, where *lines* cannot be read, or are no UTF-8.
    """

    def __init__(
        self,
        lines: Iterable[str],
        seconds: float | None = None,
        *,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines, self._seconds, self._most, self._clock = lines, seconds, most, clock
        self._waiting: queue.Queue[str | Exception | None] = queue.Queue(WAITING)
        self.left_out = 0

    def __iter__(self) -> Iterator[str]:
        ends = None if self._seconds is None else self._clock() + self._seconds
        threading.Thread(target=self._read, name="live queries", daemon=True).start()
        for _ in range(self._most):
            try:
                line = self._waiting.get(timeout=None if ends is None else max(0.0, ends - self._clock()))
            except queue.Empty:
                return
            if isinstance(line, Exception):
                raise RequestInvalid(field="queries", reason=f"cannot be read: {line}") from line
            if line is None:
                return
            yield line

    def _read(self) -> None:
        try:
            for line in self._lines:
                if query := line.strip():
                    self._offer(query)
        except (OSError, ValueError) as error:  # ValueError: text that is no UTF-8, a file that was closed
            self._waiting.put(error)
        else:
            self._waiting.put(None)

    def _offer(self, query: str) -> None:
        if self._seconds is None:
            self._waiting.put(query)  # a file, or a pipe that can wait
            return
        try:
            self._waiting.put_nowait(query)
        except queue.Full:
            self.left_out += 1
