"""How long work says how far it is, to whoever wants to show it. Nothing is shown here.

What shows it on a terminal is in `samespace.cli.console`.
"""

from __future__ import annotations

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
