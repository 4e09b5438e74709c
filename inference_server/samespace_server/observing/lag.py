"""How long the event loop keeps everybody waiting: everything of the server that is not the model runs on it.

A timer that is due every `EVERY_MS` tells how late it was. Nothing on the loop may take longer than 50 ms: work on
large requests is cut into pieces, or done in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

EVERY_MS: Final = 20


class LagMeter:
    """Measures the running event loop until it is closed. 50 wake-ups a second take about 0.1 % of a core."""

    def __init__(self, observe_s: Callable[[float], None]) -> None:
        """Begin; *observe_s* is told of each delay, in seconds."""
        self._loop, self._observe_s = asyncio.get_running_loop(), observe_s
        self._wait()

    def close(self) -> None:
        """Measure no more."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._due_s = self._loop.time() + EVERY_MS / 1000
        self._timer = self._loop.call_later(EVERY_MS / 1000, self._rang)

    def _rang(self) -> None:
        self._observe_s(max(0.0, self._loop.time() - self._due_s))
        self._wait()
