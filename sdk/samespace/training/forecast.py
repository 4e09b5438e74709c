"""How long a run will take, said after its first ten steps.

Steps, looks and mining are timed apart, since a run has as many of each as its plan says.

What it leaves to others: what is done when (`finetuning.loop`), the time left while it goes on (`progress`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

STEP: Final = "step"
AFTER: Final = 10
"""Steps after which a run's time is told."""


class Forecast:
    """Times what a run does.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began = clock, clock()
        self._taken: dict[str, list[float]] = {}
        self._step_began = self._began

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Time what is done inside."""
        began = self._clock()
        yield
        self._taken.setdefault(what, []).append(self._clock() - began)

    def step_begins(self) -> None:
        """A step begins here."""
        self._step_began = self._clock()

    def step_ends(self) -> int:
        """A step ends here; how many there were."""
        self._taken.setdefault(STEP, []).append(self._clock() - self._step_began)
        return len(self._taken[STEP])

    def whole_s(self, left: Mapping[str, int]) -> float:
        """Seconds of the whole run, where *left* says how much of each thing is still to come.

        The median tells of steps, because the first one makes ready; of the rest the longest, because most are not due.
        """
        spent = self._clock() - self._began
        for what, count in left.items():
            if seen := self._taken.get(what):
                spent += count * (statistics.median(seen) if what == STEP else max(seen))
        return spent


def in_words(seconds: float) -> str:
    """A time for people: "40 s", "6 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
