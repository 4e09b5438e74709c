"""The threads of one space: they tokenise what came in, ask the planner for a batch, and run it.

Whoever runs the model tokenises too: a free worker first takes all small requests that wait, tokenises them in
one call, and runs the next batch. So a lone request goes from the event loop to one thread and back, and
hundreds that came during a run cost one wake-up. Large requests are tokenised by a thread of their own,
one at a time: a text of megabytes must not hold up the queries behind it.

The planner and what waits are under one lock. Results go back to the event loop once a run.

After a run that no encoder may give (NaN, a wrong shape, or one error after the other) nothing more is run until
the probes pass again; they are tried at once, and then less and less often. Nor while something has not come back for
very long (`hung`).
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from samespace.errors import DeadlineExceeded, SamespaceError, SpaceNotReady
from samespace.runtime import LoadedBuild, check_probes

from ..settings import Limits
from .admission import Admission
from .batching import Item, Lane, Planner
from .delivery import Delivery
from .hung import StepsUnderWay
from .job import Job, tokenize
from .meters import SpaceMeters
from .pacing import next_turn
from .runs import Rows, run
from .speed import Speed

log = logging.getLogger(__name__)

BULK_WINDOWS: Final = 8
"""A request of more windows than this is bulk: nobody sits in front of it."""
FAILED_RUNS: Final = 3
"""So many runs that raise, one after the other, are not the fault of what was run."""
RETRY_MS: Final = (1_000, 60_000)
"""The wait between two tries of the probes, at first and at most."""
JOIN_S: Final = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """What the workers of one space share."""

    loaded: LoadedBuild
    limits: Limits
    admission: Admission
    speed: Speed
    meters: SpaceMeters
    clock_us: Callable[[], int]


class Workers:
    """Everything of a space that is not on the event loop."""

    def __init__(self, bench: Bench, delivery: Delivery, *, name: str) -> None:
        """Start the threads; *name* is what they are called."""
        self._bench, self._delivery, self._name = bench, delivery, name
        identity = bench.loaded.artifact.manifest.encoder
        self._dims, self._unit = identity.dims, identity.normalise
        # Under the lock: what came in, the planner, whose window each of its items is, and who has nothing to do.
        self._wake = threading.Condition(threading.Lock())
        self._fresh: list[Job] = []
        self._planner = Planner(batch_tokens=bench.limits.batch_tokens, run_tokens=bench.limits.run_tokens)
        self._waiting: dict[int, tuple[Job, int]] = {}
        self._next_number = 0
        self._idle = 0
        self._query_us: int | None = None  # when the last query came
        self._failed_runs = 0
        self._broken: str | None = None
        self._steps = StepsUnderWay()
        self._hung: str | None = None
        self._closing = threading.Event()
        self._large: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"run-{name}", daemon=True)
            for _ in range(bench.loaded.session.streams)
        ]
        self._threads.append(threading.Thread(target=self._tokenize_large, name=f"tokenize-{name}", daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def broken(self) -> str | None:
        """Why nothing is run, or None."""
        return self._broken or self.hung

    @property
    def hung(self) -> str | None:
        """What has not come back for too long, in words, or None."""
        return self._hung

    @property
    def waiting(self) -> int:
        """How many windows, and texts that are not windows yet, wait for a run."""
        return len(self._planner) + sum(len(job.texts) for job in self._fresh)

    # -- for the event loop

    def submit(self, job: Job) -> None:
        """Take *job* on; raises `SpaceNotReady` where nothing is run."""
        with self._wake:
            if self.broken is not None:
                raise self._not_ready()
            if job.lane == "bulk":
                self._large.put(job)
            else:
                self._fresh.append(job)
                if job.lane == "query":
                    self._query_us = job.arrived_us
                self._wake.notify()

    def discard(self, job: Job) -> None:
        """Nobody waits for *job* any more: what was not run of it never will be."""
        with self._wake:
            job.gone = True
            for item in job.items:
                if self._planner.discard(item):
                    del self._waiting[item.number]

    def look(self, patience: int) -> None:
        """Once a second: a step that *patience* looks found under way will not come back, and nothing else is run."""
        before, step = self._hung, self._steps.look()
        jobs = list(self._steps.left)
        self._hung = None
        if not self._closing.is_set() and not all(thread.is_alive() for thread in self._threads):
            self._hung = "one of its threads ended by an error"
        elif step is not None and step.looks >= patience:
            self._hung = f"{step.what} has not come back for {step.looks} s"
            jobs += step.jobs
        if self._hung is not None:
            if before is None:
                log.error("space %s answers nothing more: %s", self._name, self._hung)
            self._drop_all()
            self._delivery.failed([(job, self._not_ready()) for job in jobs])
        elif before is not None:
            log.warning("space %s answers again: what had not come back did", self._name)

    def close(self) -> None:
        """Let the threads end after what they have; waits for them."""
        with self._wake:
            self._closing.set()
            self._wake.notify_all()
        self._large.put(None)
        for thread in self._threads:
            thread.join(timeout=JOIN_S)

    # -- the threads

    def _work(self) -> None:
        while (fresh := self._await_work()) is not None:
            if fresh:
                self._prepare(fresh)
            if rows := self._take():
                self._run(rows)

    def _tokenize_large(self) -> None:
        while (job := self._large.get()) is not None:
            self._prepare([job])

    def _await_work(self) -> list[Job] | None:
        """What is to be tokenised, or nothing where a batch can be had; None when all is done."""
        with self._wake:
            while self._broken is not None or not (self._fresh or len(self._planner)):
                if self._closing.is_set():
                    return None
                self._idle += 1
                self._wake.wait()
                self._idle -= 1
            fresh, self._fresh = self._fresh, []
            return fresh

    def _prepare(self, batch: list[Job]) -> None:
        """Tokenise, and let the planner have the windows."""
        bench = self._bench
        batch = [job for job in batch if not job.gone]
        started_us = bench.clock_us()
        with self._steps.step("the tokenizer", batch):
            failures = tokenize(batch, bench.loaded.text_encoder, max_windows=bench.limits.max_windows_per_text)
        now_us = bench.clock_us()
        for job in batch:
            job.tokenize_us = now_us - started_us
            if job.windows and (refusal := self._refusal(job, now_us)) is not None:
                job.windows = []
                failures.append((job, refusal))
        with self._wake:
            for job in batch:
                if job.windows and self.broken is not None:
                    failures.append((job, self._not_ready()))
                elif job.windows and not job.gone:
                    self._enqueue(job)
            if self._idle:
                self._wake.notify()
        if failures:
            self._delivery.failed(failures)

    def _refusal(self, job: Job, now_us: int) -> SamespaceError | None:
        """Why *job* is refused, now that its length is known; where it is not, its tokens are counted.

        How long it may have to wait was judged when it came, and is not judged again.
        """
        lane: Lane = "bulk" if len(job.windows) > BULK_WINDOWS else job.lane
        exact = sum(len(window.ids) for window in job.windows)
        admission, refusal = self._bench.admission, None
        admission.count(job, lane, 0)  # the guess is no part of what it waits for
        if not job.waits:
            left_us = None if job.deadline_us is None else job.deadline_us - now_us
            refusal = admission.too_many(lane, exact, job.client) or admission.hopeless(
                lane, exact, left_us, job.client
            )
        if refusal is None:
            admission.count(job, lane, exact)
        return refusal

    def _enqueue(self, job: Job) -> None:
        for row, window in enumerate(job.windows):
            item = Item(
                self._next_number, len(window.ids), job.lane, job.stream or job.client, job.deadline_us, job.client
            )
            self._next_number += 1
            job.items.append(item)
            self._waiting[item.number] = (job, row)
            self._planner.add(item)

    def _take(self) -> Rows:
        """The next batch; empty where nothing waits."""
        bench, now_us = self._bench, self._bench.clock_us()
        with self._wake:
            late = {self._waiting.pop(item.number)[0] for item in self._planner.expire(now_us)}
            turn = next_turn(bench.limits, bench.speed, now_us=now_us, query_us=self._query_us, idle=self._idle)
            batch = self._planner.next_batch(turn) if self._broken is None else ()
            rows = [self._waiting.pop(item.number) for item in batch]
            if self._idle and len(self._planner):
                self._wake.notify()
        for job, _ in rows:
            bench.admission.came(job, now_us)
        if late:
            self._delivery.failed([(job, self.too_late(job)) for job in late])
        return rows

    def _run(self, rows: Rows) -> None:
        bench = self._bench
        with self._steps.step("a run of the model", [job for job, _ in rows]):
            done = run(bench.loaded.session, rows, dims=self._dims, clock_us=bench.clock_us, unit=self._unit)
        self._failed_runs = self._failed_runs + 1 if done.raised else 0
        fault = done.fault
        if self._failed_runs >= FAILED_RUNS:
            fault = f"the model failed {self._failed_runs} times in a row"
        first = fault is not None and self._break(fault)
        self._delivery.ran(done)
        bench.admission.slept(bench.speed.observe(done.padded, done.ended_us - done.started_us))
        bench.meters.ran(rows=len(rows), tokens=done.tokens, padded=done.padded)
        if first:
            self._recover()

    # -- when the model cannot be trusted

    def _break(self, fault: str) -> bool:
        """Run nothing more; whether it is this call that says so."""
        with self._wake:
            first = self._broken is None
            self._broken = self._broken or fault
        if first:
            log.error("space %s answers nothing more: %s", self._name, fault)
        return first

    def _recover(self) -> None:
        """Come back when the probes pass. Until the first try is over, what waits goes on waiting."""
        loaded, wait_ms = self._bench.loaded, RETRY_MS[0]
        while True:
            try:
                with self._steps.step("a run of the probes", ()):
                    check_probes(
                        loaded.artifact, loaded.session, loaded.text_encoder, loaded.build_name, bound=loaded.bound
                    )
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, the space stays as it is
                log.error("space %s: its probes do not pass, next try in %d ms: %s", self._name, wait_ms, error)
            self._drop_all()
            if self._closing.wait(wait_ms / 1000):
                return
            wait_ms = min(2 * wait_ms, RETRY_MS[1])
        with self._wake:
            self._broken, self._failed_runs = None, 0
            self._wake.notify_all()
        log.warning("space %s answers again: its probes pass", self._name)

    def _drop_all(self) -> None:
        large = []
        with self._wake, suppress(queue.Empty):
            while not self._closing.is_set():
                large.append(self._large.get_nowait())
        with self._wake:
            dropped = dict.fromkeys([*filter(None, large), *self._fresh, *(job for job, _ in self._waiting.values())])
            self._fresh = []
            for job in dropped:
                for item in job.items:
                    if self._planner.discard(item):
                        del self._waiting[item.number]
        if dropped:
            self._delivery.failed([(job, self._not_ready()) for job in dropped])

    def _not_ready(self) -> SpaceNotReady:
        return SpaceNotReady(space=self._name, reason=self.broken or "its probes are still running")

    def too_late(self, job: Job) -> DeadlineExceeded:
        """What *job* ends with when its deadline has come."""
        assert job.deadline_us is not None
        timeout_ms = (job.deadline_us - job.arrived_us) // 1000
        return DeadlineExceeded(where=f"space {self._name}, which had no capacity in time", timeout_ms=timeout_ms)
