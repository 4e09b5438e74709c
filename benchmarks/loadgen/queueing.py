"""Replicas behind a load balancer, as a discrete-event simulation, and the formulas that it has to agree with.

Times are integers in microseconds. A replica runs one batch at a time: when it is free it takes what waits, up to a
bound, as samespace's server does. The simulation knows no network and no failures.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Route = Literal["turns", "random", "one_queue"]
"""Who gets a request: each replica in turn (gRPC's round_robin), any one, or whoever is free first."""

Service = Callable[[int], int]
"""From the number of texts of a run to how long it takes."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated.

    Attributes:
        replicas: each with one run at a time.
        service_us: how long a run of so many texts takes; may draw from a distribution.
        most_texts: of one run.
        route: how requests are given out.
    """

    replicas: int
    service_us: Service
    most_texts: int
    route: Route = "turns"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests, in the order in which they came.

    Attributes:
        waits_us: from coming to the beginning of the run.
        sojourns_us: from coming to the end of the run.
        busy_us: added up over all replicas.
        span_us: from the first coming to the last end.
        runs: how many there were.
    """

    waits_us: list[int]
    sojourns_us: list[int]
    busy_us: int
    span_us: int
    runs: int


def poisson(rate_per_s: float, count: int, seed: int) -> list[int]:
    """When *count* requests come, at random with *rate_per_s* on average."""
    chosen = random.Random(seed)
    at, times = 0.0, []
    for _ in range(count):
        at += chosen.expovariate(rate_per_s) * 1e6
        times.append(round(at))
    return times


def simulate(fleet: Fleet, arrivals_us: Sequence[int], *, seed: int = 0) -> Outcome:
    """Let requests of one text each come at *arrivals_us*, sorted, and run all of them."""
    chosen = random.Random(seed)
    shared = fleet.route == "one_queue"
    queues: list[deque[int]] = [deque() for _ in range(1 if shared else fleet.replicas)]
    free = set(range(fleet.replicas))
    ends: list[tuple[int, int]] = []  # (when a run ends, whose it is)
    waits, sojourns = [0] * len(arrivals_us), [0] * len(arrivals_us)
    busy = runs = now = 0

    def begin(replica: int) -> None:
        nonlocal busy, runs
        queue = queues[0 if shared else replica]
        if not queue:
            free.add(replica)
            return
        free.discard(replica)
        batch = [queue.popleft() for _ in range(min(len(queue), fleet.most_texts))]
        taken = fleet.service_us(len(batch))
        for request in batch:
            waits[request] = now - arrivals_us[request]
            sojourns[request] = now + taken - arrivals_us[request]
        busy += taken
        runs += 1
        heapq.heappush(ends, (now + taken, replica))

    for request, at in enumerate(arrivals_us):
        while ends and ends[0][0] <= at:
            now, replica = heapq.heappop(ends)
            begin(replica)
        now = at
        if shared:
            queues[0].append(request)
            if free:
                begin(min(free))
            continue
        replica = request % fleet.replicas if fleet.route == "turns" else chosen.randrange(fleet.replicas)
        queues[replica].append(request)
        if replica in free:
            begin(replica)
    while ends:
        now, replica = heapq.heappop(ends)
        begin(replica)
    return Outcome(waits, sojourns, busy, now - arrivals_us[0] if arrivals_us else 0, runs)


def percentile(values: Sequence[int], at: float) -> int:
    """The value that *at* of 1 of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(at * len(ordered)) - 1))]


def md1_wait_us(rate_per_s: float, service_us: float) -> float:
    """Mean wait before service of M/D/1. Source: Pollaczek and Khinchine, with no variance of the service."""
    load = rate_per_s * service_us / 1e6
    return load * service_us / (2 * (1 - load))


def mmc_wait_us(rate_per_s: float, service_us: float, servers: int) -> float:
    """Mean wait before service of M/M/c. Source: Erlang 1917, formula C."""
    offered = rate_per_s * service_us / 1e6
    blocked = 1.0  # Erlang B, by its recursion, which does not overflow
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    waiting = blocked / (1 - offered / servers * (1 - blocked))
    return waiting * service_us / (servers - offered)


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """How long a run takes by number of texts, for texts of one length; between the measured points a line.

    Attributes:
        rows: measured, increasing, from 1.
        us: of each.
    """

    rows: tuple[int, ...]
    us: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.us) or list(self.rows) != sorted(set(self.rows)) or self.rows[0] != 1:
            raise ValueError(f"rows {self.rows} with times {self.us}; expected increasing rows from 1, a time for each")

    def __call__(self, rows: int) -> int:
        """Microseconds of a run of *rows*; beyond the last point its slope goes on."""
        at = min(max(1, bisect_left(self.rows, rows)), len(self.rows) - 1)
        low, high = self.rows[at - 1], self.rows[at]
        slope = (self.us[at] - self.us[at - 1]) / (high - low)
        return max(1, round(self.us[at - 1] + slope * (rows - low)))

    def full_texts_per_s(self, most_texts: int) -> float:
        """What a replica does that always has full runs."""
        return most_texts * 1e6 / self(most_texts)
