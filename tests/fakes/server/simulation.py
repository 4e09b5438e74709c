"""The server's queue on a virtual clock: the real planner, admission, pacing and speed over a model that takes as
long as it is told. Nothing here depends on how fast a machine is, and every run of it is the same.

A `Sender` is asked for its next request whenever it may send one; a trace of what happened is what golden files
hold. What the engine does beside this (threads, tokenising, the wire) takes no time here.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from samespace_server.scheduling.admission import Admission
from samespace_server.scheduling.batching import Item, Lane, Planner
from samespace_server.scheduling.bulk import WaitingRoom
from samespace_server.scheduling.pacing import next_turn
from samespace_server.scheduling.speed import Speed
from samespace_server.settings import Limits


@dataclass(frozen=True)
class Model:
    """How long a run takes: a CPU of 2 cores with MiniLM in fp32 does about 15,000 tokens a second."""

    run_us: int = 500
    us_per_1000_tokens: int = 66_000

    def time_us(self, padded: int) -> int:
        return self.run_us + padded * self.us_per_1000_tokens // 1000


@dataclass(eq=False)
class Request:
    """What somebody sends; *windows* are lengths in tokens."""

    name: str
    windows: list[int]
    stream: int = 0
    timeout_us: int | None = None
    gives_up_us: int | None = None
    then: Callable[[], None] = lambda: None  # called when it is answered or refused
    at_us: int = 0
    missing: int = 0
    items: list[Item] = field(default_factory=list)
    outcome: str = ""
    latency_us: int = 0
    # What admission counts by.
    lane: Lane = "query"
    reserved: int = 0
    gone: bool = False
    client: str = ""
    admitted_us: int = 0
    estimate_us: int = 0
    slept_us: int = 0

    @property
    def tokens(self) -> int:
        return sum(self.windows)


class _Gauge:
    def inc(self, amount: float) -> None:
        pass


class Simulation:
    """A virtual server. Schedule senders with `at`, then `run`; `lines` is what happened."""

    def __init__(self, model: Model, *, runners: int = 1, known_speed: bool = True, **limits: int) -> None:
        self.now_us = 0
        self.lines: list[str] = []
        self.ended: list[Request] = []
        self.runs: Counter[Lane] = Counter()
        self.tokens: Counter[Lane] = Counter()
        self.stream_tokens: Counter[int] = Counter()
        self._model, self._limits = model, Limits(**{"max_queue_ms": 500} | limits)
        self._speed = Speed()
        if known_speed:
            for size in range(4, self._limits.batch_tokens.bit_length()):
                self._speed.observe(1 << size, model.time_us(1 << size))
        self._admission = Admission(self._limits, self._speed, _Gauge(), runners=runners, space_id="simulated")
        self._planner = Planner(batch_tokens=self._limits.batch_tokens, run_tokens=self._limits.run_tokens)
        self._waiting: dict[int, Request] = {}
        self._room: WaitingRoom[Request] = WaitingRoom()
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order, self._number, self._idle = 0, 0, runners
        self._query_us: int | None = None

    def at(self, at_us: int, action: Callable[[], None]) -> None:
        """Do *action* at that time."""
        self._order += 1
        heapq.heappush(self._events, (at_us, self._order, action))

    def run(self, until_us: int | None = None) -> None:
        """Let time pass, until nothing happens any more or the time is up."""
        while self._events and (until_us is None or self._events[0][0] <= until_us):
            self.now_us, _, action = heapq.heappop(self._events)
            action()
            if not self._events or self._events[0][0] > self.now_us:  # what comes together is seen together
                self._start_runs()

    def send(self, request: Request) -> None:
        """A request arrives."""
        request.at_us = self.now_us
        request.missing = len(request.windows)
        if request.stream or len(request.windows) > 8:
            request.lane = "bulk"
        elif request.lane == "query":
            self._query_us = self.now_us
        if request.gives_up_us is not None:
            self.at(self.now_us + request.gives_up_us, lambda: self._give_up(request))
        if not request.stream:
            refusal = self._admission.refusal(request.lane, request.tokens, request.timeout_us, request.client)
            if refusal is not None:
                self._end(request, type(refusal).__name__)
                return
            self._admission.promise(request, request.tokens, self.now_us)
        else:
            self._room.add(request, request.tokens, request.client)
            self._let_in()
            return
        self._queue(request)

    def _let_in(self) -> None:
        while (first := self._room.first()) is not None and self._admission.has_room(*first[1:]):
            self._queue(self._room.take())

    def _queue(self, request: Request) -> None:
        self._admission.count(request, request.lane, request.tokens)
        deadline_us = None if request.timeout_us is None else request.at_us + request.timeout_us
        for tokens in request.windows:
            item = Item(
                self._number, tokens, request.lane, request.stream or request.client, deadline_us, request.client
            )
            self._number += 1
            request.items.append(item)
            self._waiting[item.number] = request
            self._planner.add(item)

    def _start_runs(self) -> None:
        while self._idle:
            for item in self._planner.expire(self.now_us):
                request = self._waiting.pop(item.number)
                if not request.outcome:
                    self._end(request, "DeadlineExceeded")
            turn = next_turn(
                self._limits, self._speed, now_us=self.now_us, query_us=self._query_us, idle=self._idle - 1
            )
            batch = self._planner.next_batch(turn)
            if not batch:
                return
            self._idle -= 1
            padded = len(batch) * batch[-1].tokens
            took_us = self._model.time_us(padded)
            requests = [self._waiting.pop(item.number) for item in batch]
            for request in requests:
                self._admission.came(request, self.now_us)
            self.runs[batch[0].lane] += 1
            self.tokens[batch[0].lane] += sum(item.tokens for item in batch)
            for item in batch:
                self.stream_tokens[item.flow] += item.tokens
            self._tell(f"run  {batch[0].lane:6} {_lengths(batch)}, {took_us} us: {_names(requests)}")
            self.at(self.now_us + took_us, lambda *, p=padded, t=took_us, r=requests: self._ran(p, t, r))

    def _ran(self, padded: int, took_us: int, requests: list[Request]) -> None:
        self._idle += 1
        self._admission.slept(self._speed.observe(padded, took_us))
        for request in requests:
            request.missing -= 1
            if request.missing == 0 and not request.outcome:
                self._end(request, "ok")

    def _give_up(self, request: Request) -> None:
        if not request.outcome:
            self._end(request, "gone")

    def _end(self, request: Request, outcome: str) -> None:
        request.outcome, request.latency_us = outcome, self.now_us - request.at_us
        for item in request.items:
            if self._planner.discard(item):
                del self._waiting[item.number]
        self._room.discard(request, request.client)
        self._admission.release(request)
        self.ended.append(request)
        if outcome != "ok":
            self._tell(f"end  {request.name}: {outcome} after {request.latency_us} us")
        self._let_in()
        request.then()

    def _tell(self, what: str) -> None:
        self.lines.append(f"{self.now_us:>9} {what}")

    def summary(self, prefixes: Iterable[str]) -> list[str]:
        """For each kind of request, by how its name begins: outcomes, and the latencies of what was answered."""
        lines = []
        for prefix in prefixes:
            mine = [request for request in self.ended if request.name.startswith(prefix)]
            outcomes = ", ".join(f"{count} {name}" for name, count in sorted(Counter(r.outcome for r in mine).items()))
            late = [request.latency_us for request in mine if request.outcome == "ok"]
            told = f"; p50 {percentile(late, 50)} us, p99 {percentile(late, 99)} us" if late else ""
            lines.append(f"{prefix}: {outcomes}{told}")
        return lines


def percentile(values: list[int], share: int) -> int:
    """The smallest value that *share* percent are not above."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]


def _lengths(batch: tuple[Item, ...]) -> str:
    shortest, longest = batch[0].tokens, batch[-1].tokens
    return f"{len(batch)} x {longest}" if shortest == longest else f"{len(batch)} x {shortest}..{longest}"


def _names(requests: list[Request]) -> str:
    counts = Counter(request.name for request in requests)
    told = [name if count == 1 else f"{name} x{count}" for name, count in counts.items()]
    return " ".join(told) if len(told) <= 8 else " ".join([*told[:7], f"and {len(told) - 7} more"])
