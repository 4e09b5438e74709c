"""Which way of running an encoder is fastest here: two at a time, in turns. Pure: clock and sessions come in.

A machine that does other things is slow at times, for everybody. So two ways are never compared by their times but by
the ratio of two runs that follow one another, and by its median over the rounds. Where the ratios of the rounds do not
agree on who is faster, the challenger has not won, and nobody should rely on the answer at another time.

The ways come from exact to less exact. One that is less exact has to be faster by `MARGIN`, because exactness is worth
something too. Only two sessions are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median, quantiles
from typing import Final, Protocol

from ...errors import BuildError, ExtraMissing

MARGIN: Final = 1.15
"""A less exact way has to be so many times faster."""
ROUNDS: Final = 5
MOST_ROUNDS: Final = 15
PATIENCE_NS: Final = 1_500_000_000
"""More than `ROUNDS` are run only so long."""
NARROW: Final = 1.2
"""Ratios whose quartiles are that close are one ratio, whatever they say."""
SHORTEST_NS: Final = 2_000_000
MOST_REPEATS: Final = 20
PAUSE_S: Final = 0.01
"""Between two turns: threads of onnxruntime spin for a while after a run, and would slow whoever is next."""
_EXACT: Final = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class RunWay:
    """A build on a runtime, in so many runs at once."""

    build: str
    runtime: str
    precision: str
    streams: int

    @property
    def exactness(self) -> int:
        """0 for fp32; the larger, the less exact."""
        return _EXACT.index(self.precision) if self.precision in _EXACT else len(_EXACT)

    def __str__(self) -> str:
        runs = "" if self.streams == 1 else f" in {self.streams} runs at once"
        return f"{self.build} on {self.runtime}{runs}"


@dataclass(frozen=True, slots=True)
class WaySpeed:
    """What was measured of one way.

    Attributes:
        speed: times that of the first way, over all loads alike; what the choice goes by.
        load_ms: the time of one run of each load, in milliseconds, in the order of the loads. For people.
        settled: whether the rounds agreed; where they did not, *speed* is at most that of whom it was held against.
    """

    way: RunWay
    speed: float
    load_ms: tuple[float, ...]
    settled: bool = True


class RaceClock(Protocol):
    """Time, and how it is waited for."""

    def now_ns(self) -> int:
        """Nanoseconds from some beginning."""

    def pause(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class TimedLoad:
    """One load of a way.

    Attributes:
        run: does it once.
        share: how many runs of the model that are, at the same time; its time is divided by them.
    """

    run: Callable[[], object]
    share: int = 1


OpenWay = Callable[[RunWay], Sequence[TimedLoad]]
"""The loads of a way, its session open; raises `BuildError` or `ExtraMissing` where it cannot be run."""


def race(
    ways: Sequence[RunWay],
    open_way: OpenWay,
    clock: RaceClock,
    *,
    before: Sequence[WaySpeed] = (),
    until_ns: int | None = None,
) -> list[WaySpeed]:
    """The speeds *before*, and then that of each of *ways* that can be run.

    Args:
        ways: from exact to less exact.
        before: what is known already; the best of it is the first to be challenged.
        until_ns: no further way is begun after that.
    """
    speeds = list(before)
    champion = best(speeds) if speeds else None
    loads: Sequence[TimedLoad] | None = None
    for way in ways:
        if until_ns is not None and champion is not None and clock.now_ns() >= until_ns:
            break
        try:
            own = open_way(way)
        except (BuildError, ExtraMissing):
            continue
        if champion is None:
            speed = WaySpeed(way, 1.0, tuple(_times(own, [1] * len(own), clock)))
        else:
            loads = loads or open_way(champion.way)
            speed = _duel(champion, loads, way, own, clock)
        speeds.append(speed)
        if champion is None or best([champion, speed]) is speed:
            champion, loads = speed, own
        del own  # a loser leaves before the next one comes
    return speeds


def best(speeds: Sequence[WaySpeed]) -> WaySpeed:
    """The fastest, where one that is less exact is clearly faster; at least one is needed."""
    ordered = sorted(speeds, key=lambda each: each.way.exactness)
    champion = ordered[0]
    for each in ordered[1:]:
        if each.speed > champion.speed * wanted(champion.way, each.way):
            champion = each
    return champion


def ranked(speeds: Sequence[WaySpeed]) -> list[WaySpeed]:
    """*speeds* in the order in which they should be tried: the best, then the best of the others."""
    left, order = list(speeds), []
    while left:
        order.append(best(left))
        left.remove(order[-1])
    return order


def explained(chosen: WaySpeed, speeds: Sequence[WaySpeed]) -> str:
    """Why *chosen* is taken, in a few words."""
    exact = [each for each in speeds if each.way.exactness < chosen.way.exactness]
    if exact:
        other = max(exact, key=lambda each: each.speed)
        return f"measured here: {chosen.speed / other.speed:.2f} times the speed of {other.way}"
    others = [each for each in speeds if each.way.exactness > chosen.way.exactness]
    if others:
        other = max(others, key=lambda each: each.speed)
        return f"measured here: {other.way} has {other.speed / chosen.speed:.2f} times the speed, and is less exact"
    return "measured here: the fastest"


def wanted(champion: RunWay, challenger: RunWay) -> float:
    """How many times faster *challenger* has to be to be taken."""
    return MARGIN if challenger.exactness > champion.exactness else 1.0


def _duel(
    champion: WaySpeed, champion_loads: Sequence[TimedLoad], way: RunWay, loads: Sequence[TimedLoad], clock: RaceClock
) -> WaySpeed:
    """Both in turns, the first of a round being another one each time."""
    for each in (*champion_loads, *loads):
        each.run()  # kernels are made at the first run of a shape
    repeats = [
        max(1, min(MOST_REPEATS, int(SHORTEST_NS // max(1.0, 1e6 * ms))))
        for ms in _times(loads, [1] * len(loads), clock)
    ]
    ratios: list[float] = []
    taken: list[list[float]] = []
    needed, began_ns = wanted(champion.way, way), clock.now_ns()

    def undecided() -> bool:
        patient = len(ratios) < MOST_ROUNDS and clock.now_ns() - began_ns < PATIENCE_NS
        return len(ratios) < ROUNDS or (patient and not _agree(ratios, needed))

    while undecided():
        clock.pause(PAUSE_S)
        if len(ratios) % 2:
            own = _times(loads, repeats, clock)
            clock.pause(PAUSE_S)
            other = _times(champion_loads, repeats, clock)
        else:
            other = _times(champion_loads, repeats, clock)
            clock.pause(PAUSE_S)
            own = _times(loads, repeats, clock)
        taken.append(own)
        ratios.append(prod(theirs / ours for theirs, ours in zip(other, own, strict=True)) ** (1 / len(own)))
    ratio, settled = median(ratios), _agree(ratios, needed)
    load_ms = tuple(median(times) for times in zip(*taken, strict=True))
    return WaySpeed(way, champion.speed * (ratio if settled else min(ratio, 1.0)), load_ms, settled)


def _agree(ratios: Sequence[float], needed: float) -> bool:
    """Whether the middle half of the rounds is on one side of what is needed, or all but equal."""
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return low > needed or high <= needed or high <= low * NARROW


def _times(loads: Sequence[TimedLoad], repeats: Sequence[int], clock: RaceClock) -> list[float]:
    """Milliseconds of one run of each load."""
    times = []
    for load, count in zip(loads, repeats, strict=True):
        began = clock.now_ns()
        for _ in range(count):
            load.run()
        times.append(max(1, clock.now_ns() - began) / (count * load.share) / 1e6)
    return times
