"""One space at work, as the event loop sees it: admits requests, hands them to the workers, and answers.

A request whose caller is gone, or whose time is up, is taken out of the queue before it costs anything. A request
that would make the queue too long is refused before it is tokenised, by a guess at its tokens, and once more when
they are known. A stream waits for room instead, because its sender waits with it.

What it leaves to others: whether there is room (`admission`), tokenising and running (`workers`), the choice of a
batch (`batching`), finding the space (`spaces`), the wire.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from samespace.embed import Embedded, assemble, check_long_texts
from samespace.encoder import check_dims
from samespace.errors import RequestInvalid, SpaceNotReady, short
from samespace.runtime import LoadedBuild
from samespace.text import LongTexts, Role
from samespace.vectors import Float32, normalise

from ..settings import Limits
from .admission import Admission
from .batching import Lane
from .bulk import WaitingRoom, cut, guessed_tokens, in_whole, joined
from .cache import Key, VectorCache, key_of
from .delivery import Delivery
from .job import Job
from .meters import Meters
from .speed import Speed
from .warmup import warm_up
from .workers import BULK_WINDOWS, Bench, Workers

AT_A_TIME: Final = 4
"""Pieces of one large request that wait or run: enough to keep the model fed while the next are tokenised."""
CHARS_OF_A_TOKEN: Final = 16
"""A text with more characters than that for each token of all its windows is not tokenised, which would take a hundred
times its bytes."""
LOOK_S: Final = 1
"""How often it is looked whether runs come back."""
SLOW: Final = 20
"""A run may take so many times of what it is expected to take, before it is believed not to come back."""
BULK_CHARS: Final = 16_384
"""A request of more characters than this is tokenised beside the queries: it may take milliseconds."""


def now_us() -> int:
    """The clock of deadlines: monotonic, in microseconds."""
    return time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where the time of a request went, in microseconds.

    Attributes:
        arrived_us: when it was admitted, by the engine's clock; the stages follow one another from there.
        batch_rows: windows of the largest run that it was part of, its own and others'.
    """

    tokenize_us: int
    queue_us: int
    run_us: int
    arrived_us: int = 0
    batch_rows: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Vectors of one request: float32, unit rows, of the space *space_id*, all checked to be finite."""

    space_id: str
    vectors: Float32
    embedded: Embedded
    timings: StageTimes


@dataclass(frozen=True, slots=True)
class _Ask:
    """What `Engine.embed` was asked for, apart from dims; a piece of it has the lane of the whole."""

    texts: Sequence[str]
    role: Role
    long_texts: LongTexts
    stream: int
    deadline_us: int | None
    client: str
    lane: Lane


class Engine:
    """One loaded build with its queue. Made and used on the event loop; `close` when nothing is under way."""

    def __init__(
        self,
        loaded: LoadedBuild,
        limits: Limits,
        meters: Meters,
        *,
        space_id: str | None = None,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        """Start the workers.

        Args:
            space_id: whom it answers for, where it is a part of a composite.
            clock_us: what deadlines and the speed of runs are measured by.
        """
        self.loaded = loaded
        self.space_id = space_id or loaded.artifact.space_id
        self.dims = loaded.artifact.manifest.identity.dims
        self.recipe = loaded.artifact.recipe
        self._limits, self._clock_us = limits, clock_us
        self._meters = meters.of_space(loaded.artifact.space_id)
        self._speed = Speed()
        runners = loaded.session.streams
        self._admission = Admission(limits, self._speed, self._meters.queued, runners=runners, space_id=self.space_id)
        self._cache = VectorCache(limits.cache_bytes) if limits.cache_bytes else None
        self._room: WaitingRoom[tuple[Job, asyncio.Future[None]]] = WaitingRoom()
        self._large: Counter[str] = Counter()  # tokens of large requests, by client
        self._loop = asyncio.get_running_loop()
        bench = Bench(loaded, limits, self._admission, self._speed, self._meters, clock_us)
        self._delivery = Delivery(self._meters)
        self._workers = Workers(bench, self._delivery, name=short(self.space_id))
        self._timer = self._loop.call_later(LOOK_S, self._look)

    @property
    def broken(self) -> str | None:
        """Why nothing is answered: the model gave what no encoder may give. None while all is well."""
        return self._workers.broken

    @property
    def hung(self) -> str | None:
        """What has not come back for so long that only a new start helps, or None."""
        return self._workers.hung

    async def warm_up(self) -> None:
        """Make the model's first runs, and learn how fast it is; before it is served."""
        await asyncio.to_thread(warm_up, self.loaded, self._limits, self._speed, clock_us=self._clock_us)

    async def embed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        stream: int = 0,
        deadline_us: int | None = None,
        client: str = "",
    ) -> Answer:
        """Vectors of *texts*, in order.

        Args:
            texts: strings; the caller has checked that they are.
            dims: one of the encoder's Matryoshka sizes, or None for all.
            stream: the number of the bulk stream that this is part of, 0 for none. It waits for room in the queue
                instead of being refused; clients share the model alike, and so do the streams of one.
            deadline_us: when the caller stops waiting, by `now_us`; None for never.
            client: who asks; clients share the model alike.

        Raises:
            RequestInvalid: more than the limits take, or dims that the encoder does not offer.
            TextTooLong: with long_texts="reject".
            Overloaded: the queue is full.
            DeadlineExceeded: the deadline came first, or surely will.
            SpaceNotReady: the model gave what no encoder may give; see `broken`.
        """
        check_long_texts(long_texts)
        check_dims(dims, self.dims, self.loaded.artifact.manifest.matryoshka_dims)
        self._check(texts)
        if not texts:
            nothing = np.empty((0, self.dims), dtype=np.float32)
            return Answer(self.space_id, nothing, Embedded(nothing, (), (), ()), StageTimes(0, 0, 0))
        lane: Lane = "query" if role == "query" else "single"
        if stream or len(texts) > BULK_WINDOWS or sum(map(len, texts)) > BULK_CHARS:
            lane = "bulk"
        ask = _Ask(texts, role, long_texts, stream, deadline_us, client, lane)
        key: Key | None = None
        if self._cache is not None and role == "query" and len(texts) == 1 and not stream:
            key = key_of(texts[0], long_texts)
            cached = self._cache.get(key)
            self._meters.looked_up(hit=cached is not None)
            if cached is not None:
                self._meters.answered(role, 1)
                return self._answer(cached, dims, StageTimes(0, 0, 0))
        embedded, timings = await (self._pieces(ask) if lane == "bulk" and not stream else self._one(ask))
        if self._cache is not None and key is not None and self.broken is None:
            self._cache.put(key, embedded)
        self._meters.answered(role, len(texts))
        return self._answer(embedded, dims, timings)

    def close(self) -> None:
        """Let the workers end after what they have; waits for them."""
        self._timer.cancel()
        self._workers.close()

    def _look(self) -> None:
        """See whether runs come back: within the limit, or what a slow model needs."""
        expected_us = self._speed.run_us(self._limits.batch_tokens)
        self._workers.look(max(self._limits.max_run_ms // 1000, SLOW * expected_us // 1_000_000, 1))
        self._timer = self._loop.call_later(LOOK_S, self._look)

    # -- admission

    def _check(self, texts: Sequence[str]) -> None:
        if len(texts) > self._limits.max_texts_per_request:
            most = self._limits.max_texts_per_request
            told = f"{len(texts)} texts in one request, at most {most} are taken"
            raise RequestInvalid(field="texts", reason=f"{told}; send fewer, or raise the server's --max-texts")
        longest = self._limits.max_windows_per_text * self.recipe.token_limit * CHARS_OF_A_TOKEN
        for place, text in enumerate(texts):
            if len(text) > longest:
                told = f"{len(text)} characters, at most {longest} are taken"
                raise RequestInvalid(
                    field=f"texts[{place}]", reason=f"{told}; split it, or raise the server's --max-windows"
                )
        if self.broken is not None:
            if self._cache is not None:
                self._cache.clear()  # what came before the fault was seen may be wrong too
            raise SpaceNotReady(space=short(self.space_id), reason=self.broken)

    async def _pieces(self, ask: _Ask) -> tuple[Embedded, StageTimes]:
        """A large request, a few pieces of it at a time."""
        waiting = guessed_tokens(ask.texts)
        if refusal := self._admission.too_many_wait(self._large, waiting, ask.client):
            self._delivery.refused(refusal)
            raise refusal
        slots, arrived_us = asyncio.Semaphore(AT_A_TIME), self._clock_us()

        async def embed(first: int, texts: Sequence[str]) -> tuple[Embedded, StageTimes]:
            async with slots:
                try:
                    return await self._one(replace(ask, texts=texts))
                except RequestInvalid as error:
                    raise in_whole(error, first) from None

        self._large[ask.client] += waiting
        work = [asyncio.create_task(embed(first, texts)) for first, texts in cut(ask.texts)]
        try:
            parts = await asyncio.gather(*work)
        finally:
            self._large[ask.client] -= waiting
            if not self._large[ask.client]:
                del self._large[ask.client]
            for task in work:
                task.cancel()
        first = parts[0][1]
        run_us = max(0, self._clock_us() - arrived_us - first.tokenize_us - first.queue_us)
        rows = max(timings.batch_rows for _, timings in parts)
        whole = StageTimes(first.tokenize_us, first.queue_us, run_us, arrived_us, rows)
        return joined([embedded for embedded, _ in parts]), whole

    async def _one(self, ask: _Ask) -> tuple[Embedded, StageTimes]:
        """A request that is one for the queue."""
        job = Job(
            ask.texts,
            ask.role,
            ask.long_texts,
            ask.lane,
            ask.stream,
            ask.deadline_us,
            self._loop.create_future(),
            self._clock_us(),
            ask.client,
            waits=ask.lane == "bulk",
        )
        await self._admit(job, guessed_tokens(ask.texts))
        await self._wait_for(job)
        assert job.vectors is not None
        return assemble(job.tokenized, job.vectors, ask.long_texts, self.recipe.combine), self._measure(job)

    async def _admit(self, job: Job, guess: int) -> None:
        left_us = None if job.deadline_us is None else job.deadline_us - job.arrived_us
        if job.waits:
            await self._wait_for_room(job, guess, left_us)
            return
        if refusal := self._admission.refusal(job.lane, guess, left_us, job.client):
            self._delivery.refused(refusal)
            raise refusal
        self._count(job, guess)

    def _count(self, job: Job, guess: int) -> None:
        self._admission.promise(job, guess, self._clock_us())
        self._admission.count(job, job.lane, guess)

    async def _wait_for_room(self, job: Job, guess: int, left_us: int | None) -> None:
        entry = (job, self._loop.create_future())
        self._room.add(entry, guess, job.client)
        self._let_in()
        try:
            async with asyncio.timeout(None if left_us is None else left_us / 1e6):
                await entry[1]
        except BaseException as error:
            self._room.discard(entry, job.client)
            self._admission.release(job)
            self._let_in()
            if isinstance(error, TimeoutError):
                raise self._workers.too_late(job) from None
            raise

    def _let_in(self) -> None:
        """Those who wait, as far as there is room; each is counted before the next is looked at."""
        while (first := self._room.first()) is not None and self._admission.has_room(*first[1:]):
            job, came_in = self._room.take()
            self._count(job, first[1])
            if not came_in.done():
                came_in.set_result(None)

    # -- between the event loop and the workers

    async def _wait_for(self, job: Job) -> None:
        """Return when every vector of *job* is there, or raise what came instead."""
        timer: asyncio.TimerHandle | None = None
        try:
            self._workers.submit(job)
            if job.deadline_us is not None:
                left_us = job.deadline_us - self._clock_us()
                timer = self._loop.call_later(left_us / 1e6, self._give_up, job)
            await job.done
        finally:
            if timer is not None:
                timer.cancel()
            if job.missing or not job.done.done() or job.done.cancelled():
                self._workers.discard(job)
            self._admission.release(job)
            self._let_in()

    def _give_up(self, job: Job) -> None:
        if not job.done.done():
            job.done.set_exception(self._workers.too_late(job))

    # -- answers

    def _measure(self, job: Job) -> StageTimes:
        queue_us = max(0, job.started_us - job.arrived_us - job.tokenize_us)
        run_us = job.ended_us - job.started_us
        timings = StageTimes(job.tokenize_us, queue_us, run_us, job.arrived_us, job.batch_rows)
        self._meters.took(tokenize_us=job.tokenize_us, queue_us=queue_us, run_us=run_us)
        return timings

    def _answer(self, embedded: Embedded, dims: int | None, timings: StageTimes) -> Answer:
        rows = embedded.vectors if dims is None or dims == self.dims else normalise(embedded.vectors[:, :dims])
        return Answer(self.space_id, rows, embedded, timings)
