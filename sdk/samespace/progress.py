"""How long work says how far it is, to whoever wants to show it. Nothing is shown here.

What shows it on a terminal is in `samespace.cli.console`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
"""Called with each number of things done since the last call."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""(what is counted, how many there are; 0 for unknown) to a context that gives the `Advance` to call."""


@contextmanager
def silent(label: str, total: int) -> Iterator[Advance]:
    """A `Progress` that shows nothing."""
    yield lambda count: None


class SaidRarely:
    """Says how far long work is at most every *every_s* seconds, with the time that it has taken so far."""

    def __init__(self, say: Callable[[str], None], *, every_s: float = 10.0) -> None:
        self._say, self._every_s = say, every_s
        self._began = self._said = time.monotonic()

    def __call__(self, sentence: str) -> None:
        now = time.monotonic()
        if now - self._said >= self._every_s:
            self._said = now
            self._say(f"{sentence}, {now - self._began:.0f} s so far.")
