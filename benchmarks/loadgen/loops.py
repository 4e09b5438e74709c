"""Closed and open loops over lanes, and what they record.

Closed: each client sends its next request when the last one is answered; it measures what a server can do.
Open: requests come at random times of a given rate, whether or not earlier ones are answered, as users do; latency
counts from the time at which a request was *meant* to be sent, so a server that stalls is charged for everybody
who would have come in the meantime (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from .lanes import OK, Lane, Open, Ticket

_NS: Final = 1_000_000_000
_BACK_OFF_S: Final = 0.05  # of a closed loop's client that was refused
_PATIENCE_S: Final = 30.0  # for stragglers of an open loop; what is unanswered then counts as an error
_STEP_S: Final = 0.05
_SAMPLES: Final = 4000  # replies that are kept for their timings


class Meter(Protocol):
    """Told when the measured time begins and ends."""

    def begin(self) -> None:
        """Start to count."""

    def end(self) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Window:
    """How long to load.

    Attributes:
        warmup_s: seconds before it counts.
        measure_s: seconds that count.
        least: a closed loop goes on until that many requests were answered ...
        most_s: ... or that many seconds have counted.
    """

    warmup_s: float
    measure_s: float
    least: int = 0
    most_s: float = 0.0


@dataclass(slots=True)
class Record:
    """What came back in the measured time.

    Attributes:
        seconds: how long was measured.
        latencies_ns: of the answered requests.
        done_ns: when each answer of the measured time came.
        done: which payload it answered.
        outcomes: how many requests ended how; of an open loop those that were due in the measured time, whenever
            they ended.
        bodies: the first reply to each payload, by its index; of the whole run.
        sampled: bodies of up to 4000 replies of the measured time.
        lags_ns: of an open loop, how late each request was sent, for want of a lane or of our own time.
    """

    seconds: float = 0.0
    latencies_ns: array[int] = field(default_factory=lambda: array("q"))
    done_ns: array[int] = field(default_factory=lambda: array("q"))
    done: array[int] = field(default_factory=lambda: array("q"))
    outcomes: Counter[str] = field(default_factory=Counter)
    bodies: dict[int, bytes] = field(default_factory=dict)
    sampled: list[bytes] = field(default_factory=list)
    lags_ns: array[int] = field(default_factory=lambda: array("q"))


def round_rate(done_ns: Sequence[int], sizes: Sequence[int], under_way: int) -> float | None:
    """What was done a second, over as many whole rounds of all clients as there are; None for less than one.

    A server that batches answers its clients in bursts; a window that happens to hold one burst more or less would
    be off by that much. From one answer to the one that is a multiple of *under_way* requests later, it is exact.

    Args:
        done_ns: when each answer came, in order.
        sizes: what each answer counts for.
        under_way: how many requests are in flight.
    """
    rounds = (len(done_ns) - 1) // under_way
    if rounds < 1:
        return None
    last = rounds * under_way
    return sum(sizes[1 : last + 1]) * _NS / (done_ns[last] - done_ns[0])


class _Loop:
    """What both loops share: the record and its window."""

    def __init__(self, payloads: Sequence[bytes], window: Window, meter: Meter, *, seed: int = 0) -> None:
        self.record = Record()
        self._payloads, self._window, self._meter = payloads, window, meter
        self._order = list(range(len(payloads)))
        random.Random(seed).shuffle(self._order)
        self._sent = 0
        self._from_ns = self._until_ns = 0

    def _start(self) -> None:
        window = self._window
        self._from_ns = time.perf_counter_ns() + int(window.warmup_s * _NS)
        self._until_ns = self._from_ns + int(max(window.measure_s, window.most_s) * _NS)

    async def _measured(self) -> None:
        """Wait until the measured time is over."""
        window, done = self._window, self.record.done_ns
        await asyncio.sleep(window.warmup_s)
        self._meter.begin()
        await asyncio.sleep(window.measure_s)
        while len(done) < window.least and time.perf_counter_ns() < self._until_ns:
            await asyncio.sleep(_STEP_S)
        self._until_ns = min(self._until_ns, max(time.perf_counter_ns(), self._from_ns + 1))
        self._meter.end()
        self.record.seconds = (self._until_ns - self._from_ns) / _NS

    def _next(self) -> int:
        index = self._order[self._sent % len(self._order)]
        self._sent += 1
        return index

    def _note(self, ticket: Ticket, now_ns: int, at_ns: int, outcome: str, body: bytes) -> None:
        """Record a reply whose moment *at_ns* is in the window."""
        record = self.record
        if outcome == OK and ticket[0] not in record.bodies:
            record.bodies[ticket[0]] = body
        if outcome == OK and self._from_ns <= now_ns < self._until_ns:
            record.done_ns.append(now_ns)
            record.done.append(ticket[0])
        if self._from_ns <= at_ns < self._until_ns:
            record.outcomes[outcome] += 1
            if outcome == OK:
                record.latencies_ns.append(now_ns - ticket[1])
                if len(record.sampled) < _SAMPLES:
                    record.sampled.append(body)


class ClosedLoop(_Loop):
    """Clients that wait for their answer, each with *depth* requests under way (more than 1 only on streams)."""

    async def run(self, connect: Open, clients: int, *, depth: int = 1) -> Record:
        """Load with *clients* lanes and return what was seen."""
        self._connect, self._tasks = connect, set[asyncio.Task[None]]()
        lanes = [await connect(self._reply) for _ in range(clients)]
        self._lanes = set(lanes)
        self._start()
        for lane in lanes:
            for _ in range(depth):
                self._send(lane)
        await self._measured()
        for lane in self._lanes:
            lane.close()
        return self.record

    def _send(self, lane: Lane) -> None:
        lane.send(self._payloads[index := self._next()], (index, time.perf_counter_ns()))

    def _reply(self, lane: Lane, ticket: Ticket, outcome: str, body: bytes) -> None:
        now_ns = time.perf_counter_ns()
        self._note(ticket, now_ns, now_ns, outcome, body)
        if now_ns >= self._until_ns:
            return
        if outcome == OK:
            self._send(lane)
        elif lane.closed:
            task = asyncio.ensure_future(self._reopen(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            asyncio.get_running_loop().call_later(_BACK_OFF_S, self._send, lane)

    async def _reopen(self, lane: Lane) -> None:
        self._lanes.discard(lane)
        while time.perf_counter_ns() < self._until_ns:
            await asyncio.sleep(_BACK_OFF_S)
            try:
                fresh = await self._connect(self._reply)
            except OSError:
                continue
            self._lanes.add(fresh)
            self._send(fresh)
            return


class OpenLoop(_Loop):
    """Requests at random times (Poisson) of a mean rate."""

    async def run(self, connect: Open, connections: int, *, rate: float, seed: int = 0) -> Record:
        """Load at *rate* requests a second.

        Args:
            connections: the most lanes that are opened, as they are needed; what finds none free waits, and pays.
        """
        self._connect, self._connections, self._rate = connect, connections, rate
        self._idle: list[Lane] = []
        self._lanes: set[Lane] = set()
        self._opening = set[asyncio.Task[None]]()
        self._backlog, self._under_way = deque[Ticket](), 0
        self._loop, self._random = asyncio.get_running_loop(), random.Random(seed)
        self._finished = asyncio.Event()
        self._start()
        self._due_ns = time.perf_counter_ns()
        self._tick()
        await self._measured()
        try:
            await asyncio.wait_for(self._finished.wait(), _PATIENCE_S)
        except TimeoutError:
            self.record.outcomes[f"unanswered after {_PATIENCE_S:.0f} s"] += self._under_way + len(self._backlog)
        for lane in self._lanes:
            lane.close()
        return self.record

    def _tick(self) -> None:
        """Send all that is due, and come back when the next one is."""
        now_ns = time.perf_counter_ns()
        while self._due_ns <= min(now_ns, self._until_ns):
            self._backlog.append((self._next(), self._due_ns))
            self._due_ns += int(self._random.expovariate(self._rate) * _NS)
        self._dispatch()
        if self._due_ns <= self._until_ns:
            self._loop.call_later((self._due_ns - now_ns) / _NS, self._tick)
        else:
            self._check_finished()

    def _dispatch(self) -> None:
        """Send what waits over the lanes that are free, and open more if they are too few."""
        while self._backlog and self._idle:
            ticket = self._backlog.popleft()
            if ticket[1] >= self._from_ns:
                self.record.lags_ns.append(time.perf_counter_ns() - ticket[1])
            self._under_way += 1
            self._idle.pop().send(self._payloads[ticket[0]], ticket)
        missing = min(len(self._backlog), self._connections - len(self._lanes)) - len(self._opening)
        for _ in range(missing):
            task = asyncio.ensure_future(self._open_lane())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_lane(self) -> None:
        try:
            lane = await self._connect(self._reply)
        except OSError:
            await asyncio.sleep(_BACK_OFF_S)  # nobody listens: the next tick tries again
            return
        self._lanes.add(lane)
        self._idle.append(lane)
        self._dispatch()

    def _reply(self, lane: Lane, ticket: Ticket, outcome: str, body: bytes) -> None:
        self._under_way -= 1
        self._note(ticket, time.perf_counter_ns(), ticket[1], outcome, body)
        if lane.closed:
            self._lanes.discard(lane)
        else:
            self._idle.append(lane)
        self._dispatch()
        self._check_finished()

    def _check_finished(self) -> None:
        if self._due_ns > self._until_ns and not self._under_way and not self._backlog:
            self._finished.set()
