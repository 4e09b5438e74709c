"""From the workers' threads back to the event loop: one call for each run of the model."""

from __future__ import annotations

import asyncio
from typing import Final

from samespace.errors import DeadlineExceeded, Overloaded, SamespaceError

from .job import Job
from .meters import SpaceMeters
from .runs import Ran

Failure = tuple[Job, SamespaceError]
_FAILED: Final = "the model failed on this request; nothing of it was answered"


class Delivery:
    """Ends jobs: with their vectors, or with an error. Made on the event loop, called by any thread."""

    def __init__(self, meters: SpaceMeters) -> None:
        """Results go to the running event loop."""
        self._loop, self._meters = asyncio.get_running_loop(), meters

    def ran(self, run: Ran) -> None:
        """Give each job its vectors, and end those that have all of them, or will never have one."""
        self._loop.call_soon_threadsafe(self._settle, run)

    def failed(self, failures: list[Failure]) -> None:
        """End jobs that will not be answered."""
        self._loop.call_soon_threadsafe(self._fail, failures)

    def refused(self, refusal: SamespaceError) -> None:
        """Count a refusal, if it is one."""
        if isinstance(refusal, Overloaded | DeadlineExceeded):
            self._meters.refuse(type(refusal).__name__)

    def _settle(self, run: Ran) -> None:
        for index, (job, row) in enumerate(run.rows):
            if not run.sound[index]:
                self._fail([(job, SamespaceError(_FAILED))])
                continue
            # Runs end in another order than they began in where a session has several streams.
            job.started_us = min(job.started_us or run.started_us, run.started_us)
            job.ended_us = max(job.ended_us, run.ended_us)
            job.put(row, run.vectors, index)
            if job.missing == 0 and not job.done.done():
                job.done.set_result(None)

    def _fail(self, failures: list[Failure]) -> None:
        for job, error in failures:
            if not job.done.done():
                self.refused(error)
                job.done.set_exception(error)
