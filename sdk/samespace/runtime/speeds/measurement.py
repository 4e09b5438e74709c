"""How fast each way of running an encoder is on this machine: kept from an earlier start, or measured now.

Loads are what a server meets: a few short texts, two of medium length, and a lone short one. For ways of several runs
at once the first two are run by so many callers. What a load holds is the encoder's own: real ids, its token limit.

What it leaves to others: the comparison (`race`), the file (`kept`), whether the vectors are right (`load`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from ...artifact import Artifact
from ...errors import BuildUnavailable
from ...text import Int64
from ..choice import BuildCandidate
from ..cpu import Cpu, streams_of
from ..session import Placement, Session
from . import kept
from .race import RaceClock, RunWay, TimedLoad, WaySpeed, best, race

SHORT, MEDIUM, LONE = (8, 16), (2, 128), (1, 16)
"""Rows and tokens of the loads."""
MOST_STREAMS: Final = 4
PATIENCE_NS: Final = 20_000_000_000
"""No further way is begun after that; on an idle machine a small encoder takes a fifth of it."""
_RULE: Final = 1  # of measuring; another one makes what was kept worthless
_PACKAGES: Final = ("onnxruntime", "openvino", "numpy")
OpenSession = Callable[[BuildCandidate, Placement], Session]


class _WallClock:
    def now_ns(self) -> int:
        return time.perf_counter_ns()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The speeds of all ways that can be run here, and whether they are of an earlier start."""

    speeds: tuple[WaySpeed, ...]
    kept: bool


def measure(
    artifact: Artifact,
    found: Sequence[BuildCandidate],
    place: Placement,
    cpu: Cpu,
    open_session: OpenSession,
    clock: RaceClock | None = None,
) -> Measurement:
    """The speeds of *found* at *place*; where it leaves the number of streams open, of the best with others too.

    Costs some seconds where nothing is kept, and the memory of two sessions at a time. What the rounds did not agree
    on, and what there was no time for, is measured at the next start.
    """
    threads = place.threads or cpu.cores
    by_way = {_way(each, place.streams or streams_of(threads)): each for each in found}
    ways = sorted(by_way, key=lambda way: way.exactness)
    circumstances = _circumstances(artifact, ways, place, cpu)
    known = kept.recall(circumstances, ways) or []
    clock = clock or _WallClock()

    def open_way(way: RunWay) -> Sequence[TimedLoad]:
        candidate = by_way[replace(way, streams=ways[0].streams)]
        session = open_session(candidate, replace(place, threads=threads, streams=way.streams))
        return _loads(session, _row(artifact), way)

    until_ns = clock.now_ns() + PATIENCE_NS
    speeds = race(_without(ways, known), open_way, clock, before=known, until_ns=until_ns)
    if speeds and not place.streams:
        chosen = best(speeds).way
        others = [replace(chosen, streams=each) for each in sorted({1, min(threads, MOST_STREAMS)})]
        speeds = race(_without(others, speeds), open_way, clock, before=speeds, until_ns=until_ns)
    if len(speeds) > len(known):
        kept.keep(circumstances, [each for each in speeds if each.settled])
    return Measurement(tuple(speeds), kept=len(speeds) == len(known))


def _without(ways: Sequence[RunWay], known: Sequence[WaySpeed]) -> list[RunWay]:
    measured = {each.way for each in known}
    return [way for way in ways if way not in measured]


def _way(candidate: BuildCandidate, streams: int) -> RunWay:
    return RunWay(candidate.build.name, candidate.measured.runtime, candidate.measured.precision, streams)


def _circumstances(artifact: Artifact, ways: Sequence[RunWay], place: Placement, cpu: Cpu) -> kept.Circumstances:
    from ... import __version__  # the package is whole by now

    files = {build.file: artifact.manifest.files[build.file].sha256 for build in artifact.manifest.builds}
    return {
        "rule": _RULE,
        "cpu": [cpu.model, *cpu.flags],
        "cores": cpu.cores,
        "threads": place.threads,
        "streams": place.streams,
        "files": files,
        "token_limit": artifact.recipe.token_limit,
        "ways": sorted(map(str, ways)),
        "versions": {"samespace": __version__} | {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # 30 ms, for the few who measure

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _row(artifact: Artifact) -> Int64:
    """Real ids, as many as the longest load has."""
    encoder = artifact.text_encoder()
    (text,) = encoder.tokenize([encoder.as_input("a " * MEDIUM[1])], "passage")
    row = np.resize(np.array(text.windows[0].ids, dtype=np.int64), MEDIUM[1])
    return row[: artifact.recipe.token_limit]


def _loads(session: Session, row: Int64, way: RunWay) -> Sequence[TimedLoad]:
    """Of one way; raises `BuildUnavailable` where the session does not run."""

    def batch(shape: tuple[int, int]) -> tuple[Int64, Int64]:
        ids = np.tile(row[: shape[1]], (shape[0], 1))
        return ids, np.ones_like(ids)

    short, medium, lone = map(batch, (SHORT, MEDIUM, LONE))
    try:
        session(*lone)
    except Exception as error:  # runtimes share no error class
        raise BuildUnavailable(wanted=way.build, available=(), reason=f"a run failed: {error}") from error
    if way.streams == 1:
        return [TimedLoad(partial(session, *each)) for each in (short, medium, lone)]
    pool = ThreadPoolExecutor(way.streams)

    def together(ids: Int64, mask: Int64) -> None:
        list(pool.map(lambda _: session(ids, mask), range(way.streams)))

    return [
        *(TimedLoad(partial(together, *each), way.streams) for each in (short, medium)),
        TimedLoad(partial(session, *lone)),
    ]
