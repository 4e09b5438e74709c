"""One space at work: admits requests, tokenises them, and runs their windows in shared batches.

Three kinds of threads meet here. The event loop admits and answers; a small pool tokenises; one worker runs
the model and asks the planner for the next batch the moment it is free. The planner is under one lock, and
what is counted for admission is touched by the event loop alone.

A request whose caller is gone is taken out of the queue before it costs anything. A request that would make
the queue too long is refused before it is tokenised. A stream waits for room instead, because its sender
waits with it.

What it leaves to others: the choice of a batch (`batching`), finding the space (`spaces`), the wire.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from samespace.embed import Embedded, assemble, check_long_texts, reject_long
from samespace.encoder import check_dims
from samespace.errors import Overloaded, RequestInvalid, SamespaceError, SpaceNotReady, short
from samespace.runtime import LoadedBuild
from samespace.text import LongTexts, Role, TokenizedText, Window, pad
from samespace.vectors import Float32, normalise

from .batching import Item, Lane, Planner
from .settings import Limits
from .telemetry import SpaceTelemetry, Telemetry

log = logging.getLogger(__name__)

BULK_WINDOWS: Final = 8
"""A request of more windows than this does not count as interactive: nobody sits in front of it."""
BULK_SHARE: Final = (3, 4)
"""Bulk may fill this share of the queue, so that a query always finds room."""
TOKENIZER_THREADS: Final = 2
CHARS_PER_TOKEN: Final = 4
"""For the guess at a text's tokens before it is tokenised."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went, in microseconds."""

    tokenize_us: int
    queue_us: int
    run_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Vectors of one request: float32, unit rows, of the space *space_id*, all checked to be finite."""

    space_id: str
    vectors: Float32
    embedded: Embedded
    timings: Timings


@dataclass(slots=True, eq=False)
class _Job:
    """A tokenised request on its way through the worker."""

    windows: list[Window]
    vectors: Float32  # (windows, dim), filled row by row
    done: asyncio.Future[None]
    queued_us: int
    remaining: int
    items: list[Item] = field(default_factory=list)
    started_us: int = 0
    ended_us: int = 0
    failure: SamespaceError | None = None


class Engine:
    """One loaded build with its queue. Made and used on the event loop; `close` when nothing is under way."""

    def __init__(
        self, loaded: LoadedBuild, limits: Limits, telemetry: Telemetry, *, space_id: str | None = None
    ) -> None:
        """Start the worker; *space_id* is whom it answers for, where it is a part of a composite."""
        self.loaded = loaded
        self.space_id = space_id or loaded.artifact.space_id
        self.dims = loaded.artifact.manifest.identity.dims
        self.recipe = loaded.artifact.recipe
        self.broken: str | None = None
        """Why nothing more is answered: the model gave what no encoder may give. None while all is well."""
        self._limits = limits
        self._meters = SpaceTelemetry(telemetry, loaded.artifact.space_id)
        self._tokenizers = ThreadPoolExecutor(
            TOKENIZER_THREADS, thread_name_prefix=f"tokenize-{short(loaded.artifact.space_id)}"
        )
        # Of the event loop: what is admitted and not answered, and who waits for room.
        self._queued_tokens = 0
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()
        # Under the lock: the planner and whose window each item is.
        self._wake = threading.Condition()
        self._planner = Planner(batch_tokens=limits.batch_tokens, run_tokens=limits.run_tokens)
        self._waiting: dict[int, tuple[_Job, int]] = {}
        self._next_number = 0
        self._closed = False
        # Of the worker: how fast this machine is, for `retry_after_ms`.
        self._us_per_1000_tokens = 0
        self._loop = asyncio.get_running_loop()
        self._worker = threading.Thread(target=self._work, name=f"run-{short(self.space_id)}", daemon=True)
        self._worker.start()

    async def embed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        stream: bool = False,
    ) -> Answer:
        """Vectors of *texts*, in order.

        Args:
            texts: strings; the caller has checked that they are.
            dims: one of the encoder's Matryoshka sizes, or None for all.
            stream: part of a bulk stream: waits for room in the queue instead of being refused.

        Raises:
            RequestInvalid: more than the limits take, or dims that the encoder does not offer.
            TextTooLong: with long_texts="reject".
            Overloaded: the queue is full.
            SpaceNotReady: the model gave a wrong shape or a vector that is not finite; see `broken`.
        """
        if self.broken is not None:
            raise SpaceNotReady(space=short(self.space_id), reason=self.broken)
        check_long_texts(long_texts)
        check_dims(dims, self.dims, self.loaded.artifact.manifest.matryoshka_dims)
        if len(texts) > self._limits.max_texts_per_request:
            most = self._limits.max_texts_per_request
            raise RequestInvalid(field="texts", reason=f"{len(texts)} texts in one request, at most {most} are taken")
        lane: Lane = "bulk" if stream or len(texts) > BULK_WINDOWS else "interactive"
        guess = sum(len(text) // CHARS_PER_TOKEN + 1 for text in texts)
        if stream:
            await self._wait_for_room(guess)
        else:
            self._refuse_overload(self._queued_tokens, guess, lane)
        reserved = self._reserve(guess)
        try:
            before_us = _now_us()
            tokenized = await self._loop.run_in_executor(self._tokenizers, self._tokenize, texts, role, long_texts)
            tokenized_us = _now_us()
            windows = [window for text in tokenized for window in text.windows]
            if len(windows) > BULK_WINDOWS:
                lane = "bulk"
            exact = sum(len(window.ids) for window in windows)
            if not stream:
                self._refuse_overload(self._queued_tokens - reserved, exact, lane)
            reserved += self._reserve(exact - reserved)
            vectors, timings = await self._run_windows(windows, lane, tokenized_us - before_us, tokenized_us)
            if len(windows) > len(texts):
                embedded = await self._loop.run_in_executor(self._tokenizers, assemble, tokenized, vectors, long_texts)
            else:
                embedded = assemble(tokenized, vectors, long_texts)
        finally:
            self._reserve(-reserved)
        self._meters.texts[role].inc(len(texts))
        rows = embedded.vectors if dims is None or dims == self.dims else normalise(embedded.vectors[:, :dims])
        return Answer(self.space_id, rows, embedded, timings)

    def close(self) -> None:
        """Let the worker end after what it has; waits for it."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._worker.join(timeout=5)
        self._tokenizers.shutdown(wait=False, cancel_futures=True)

    # -- admission, on the event loop

    def _reserve(self, tokens: int) -> int:
        """Count *tokens* as queued (negative: no longer), and give them back."""
        self._queued_tokens += tokens
        self._meters.queued.inc(tokens)  # another engine of this space may be at work too, during a reload
        if tokens < 0:
            self._room.set()
        return tokens

    def _limit(self, lane: Lane) -> int:
        most = self._limits.max_queued_tokens
        return most if lane == "interactive" else max(1, most * BULK_SHARE[0] // BULK_SHARE[1])

    def _refuse_overload(self, queued: int, tokens: int, lane: Lane) -> None:
        """Raise where *tokens* more would make the queue too long; what fits an empty queue is overload."""
        limit = self._limit(lane)
        if queued + tokens <= limit:
            return
        if queued == 0:
            raise RequestInvalid(
                field="texts", reason=f"about {tokens} tokens in one request, at most {limit} are taken; send fewer"
            )
        self._meters.refuse(Overloaded.__name__)
        raise Overloaded(queued=queued + tokens, limit=limit, unit="tokens", retry_after_ms=self._retry_after_ms())

    async def _wait_for_room(self, tokens: int) -> None:
        """Return when *tokens* more fit beside what is queued, first come first served."""
        async with self._turn:
            while self._queued_tokens and self._queued_tokens + tokens > self._limit("bulk"):
                self._room.clear()
                await self._room.wait()

    def _retry_after_ms(self) -> int:
        """About half of the time that the queue takes, because others leave it meanwhile."""
        wait_ms = self._queued_tokens * self._us_per_1000_tokens // 2_000_000
        return max(100, min(30_000, wait_ms))

    # -- tokenising, in the pool

    def _tokenize(self, texts: Sequence[str], role: Role, long_texts: LongTexts) -> list[TokenizedText]:
        tokenized = self.loaded.text_encoder.tokenize(texts, role)
        if long_texts == "reject":
            reject_long(tokenized, self.recipe.token_limit)
        most = self._limits.max_windows_per_text
        for index, text in enumerate(tokenized):
            if len(text.windows) > most:
                raise RequestInvalid(
                    field=f"texts[{index}]", reason=f"{len(text.windows)} windows, at most {most} are taken; split it"
                )
        return tokenized

    # -- running, between the event loop and the worker

    async def _run_windows(
        self, windows: list[Window], lane: Lane, tokenize_us: int, tokenized_us: int
    ) -> tuple[Float32, Timings]:
        vectors = np.empty((len(windows), self.dims), dtype=np.float32)
        if not windows:
            return vectors, Timings(tokenize_us, 0, 0)
        job = _Job(windows, vectors, self._loop.create_future(), tokenized_us, len(windows))
        with self._wake:
            for row, window in enumerate(windows):
                item = Item(self._next_number, len(window.ids), lane)
                self._next_number += 1
                job.items.append(item)
                self._waiting[item.number] = (job, row)
                self._planner.add(item)
            self._wake.notify()
        try:
            await job.done
        finally:
            if job.remaining:  # cancelled, or one of its batches failed: nobody waits for the rest
                self._discard(job)
        if job.failure is not None:
            raise job.failure
        timings = Timings(tokenize_us, job.started_us - job.queued_us, job.ended_us - job.started_us)
        self._meters.tokenize.observe(timings.tokenize_us / 1e6)
        self._meters.queue.observe(timings.queue_us / 1e6)
        self._meters.run.observe(timings.run_us / 1e6)
        return vectors, timings

    def _discard(self, job: _Job) -> None:
        with self._wake:
            for item in job.items:
                if self._planner.discard(item):
                    del self._waiting[item.number]

    def _work(self) -> None:
        """The worker: run batch after batch until closed and empty."""
        while rows := self._take():
            finished = self._run(rows)
            if finished:
                self._loop.call_soon_threadsafe(_finish, finished)

    def _take(self) -> list[tuple[_Job, int]]:
        with self._wake:
            while True:
                batch = self._planner.next_batch()
                if batch:
                    return [self._waiting.pop(item.number) for item in batch]
                if self._closed:
                    return []
                self._wake.wait()

    def _run(self, rows: list[tuple[_Job, int]]) -> list[_Job]:
        """Run one batch; the jobs that have everything now, or will never have it."""
        windows = [job.windows[row] for job, row in rows]
        ids, mask = pad(windows)
        tokens = sum(len(window.ids) for window in windows)
        started_us = _now_us()
        try:
            vectors = self.loaded.session(ids, mask)
            if vectors.shape != (len(rows), self.dims):
                self.broken = f"the model gave shape {vectors.shape} for {len(rows)} inputs of {self.dims} dims"
                raise SamespaceError(self.broken)
            finite = np.asarray(np.isfinite(vectors).all(axis=1))
            if not finite.all():
                self.broken = "the model gave a vector that is not finite"
        except Exception as error:  # noqa: BLE001 - runtimes share no error class, and the worker has to live on
            log.error("space %s: a run of %d windows failed: %s", short(self.space_id), len(rows), error)
            vectors, finite = np.empty((len(rows), 0), np.float32), np.zeros(len(rows), bool)
        ended_us = _now_us()
        self._us_per_1000_tokens = (7 * self._us_per_1000_tokens + (ended_us - started_us) * 1000 // ids.size) // 8
        self._meters.ran(rows=len(rows), tokens=tokens, padded=int(ids.size))
        finished = []
        for index, (job, row) in enumerate(rows):
            job.started_us = job.started_us or started_us
            job.ended_us = ended_us
            if finite[index]:
                job.vectors[row] = vectors[index]
                job.remaining -= 1
                if job.remaining == 0:
                    finished.append(job)
            elif job.failure is None:
                job.failure = SamespaceError("the model failed on this request; nothing of it was answered")
                finished.append(job)
        return finished


def _finish(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_result(None)


def _now_us() -> int:
    return time.monotonic_ns() // 1000
