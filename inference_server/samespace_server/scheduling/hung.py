"""Work that does not come back: a run of the model or of the tokenizer that nothing ends, or a thread that ended.

Nobody can end a thread in foreign code. So the space answers nothing more, those who wait are told, and the server is
no longer live, because a new start is the only cure. Time is counted in looks of the event loop, of which there is one
a second: a machine that sleeps, or a process that is stopped, does not look.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .job import Job


@dataclass(slots=True, eq=False)
class WorkStep:
    """What one thread is at.

    Attributes:
        what: in words.
        jobs: whose work it is.
        looks: how many looks found it there.
    """

    what: str
    jobs: Sequence[Job]
    looks: int = 0


class StepsUnderWay:
    """The step of each thread. Steps are taken by the threads, looks by the event loop."""

    def __init__(self) -> None:
        """Nobody works."""
        self._steps: dict[int, WorkStep] = {}  # by thread
        self.left: list[Job] = []
        """Jobs of steps that an error ended: whoever was at them may be no more."""

    @contextmanager
    def step(self, what: str, jobs: Sequence[Job]) -> Iterator[None]:
        """While the calling thread is at *what*."""
        self._steps[threading.get_ident()] = WorkStep(what, jobs)
        try:
            yield
        except BaseException:
            self.left.extend(jobs)
            raise
        finally:
            del self._steps[threading.get_ident()]

    def look(self) -> WorkStep | None:
        """Look once; the step that was seen most often."""
        steps = tuple(self._steps.values())
        for each in steps:
            each.looks += 1
        return max(steps, key=lambda each: each.looks, default=None)
