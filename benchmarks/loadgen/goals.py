"""What samespace's server wants to reach, and whether a measurement shows it. Pure: a record in, rows out.

Every speed is a ratio of the same round: both sides were measured seconds apart, and the median over the rounds counts.
The container is taken with whole texts: that is its faster mode on torch, and the one with the right vectors.
The bare runtime gets texts that are tokenised already, in the best batches that were found for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

BUILDS: Final = ("fp32", "bf16", "int8")
KINDS: Final = ("short", "medium", "mixed")
CONTAINER: Final = "Weaviate's container, whole texts"
QUANTISED: Final = "Weaviate's container, quantised"

_AGAINST_CONTAINER: Final = {"fp32": (8.0, 3.0, 3.0), "bf16": (12.0, 5.5, 6.0), "int8": (15.0, 8.0, 9.0)}
_INT8_AGAINST_QUANTISED: Final = (4.0, 2.0, 2.0)
_HTTP_SHARE: Final = (0.55, 0.90, 0.90)
_STREAM_SHARE: Final = (0.95, 0.95, 0.95)
_ALONE_MS: Final = {"gRPC": 1.0, "HTTP": 1.5}
_READY_S: Final = 3.0
_MEMORY_MB: Final = 400.0
_DISTANCE: Final = {"fp32": 1e-6, "bf16": 2e-4}

Contestants = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """One goal.

    Attributes:
        goal: what it is about; where there are three values, they are of short, medium and mixed texts.
        wanted, found: with their unit.
        passed: whether all values are reached; None where one was not measured.
    """

    goal: str
    wanted: str
    found: str
    passed: bool | None


def goals(record: Mapping[str, Any]) -> list[Row]:
    """Every goal, in the order in which they are told."""
    by_name: Contestants = {each["name"]: each for each in record["contestants"]}
    return [
        *(_against(by_name, build, CONTAINER, _AGAINST_CONTAINER[build]) for build in BUILDS),
        _against(by_name, "int8", QUANTISED, _INT8_AGAINST_QUANTISED),
        *(_share(by_name, build, "HTTP", _HTTP_SHARE) for build in BUILDS),
        *(_share(by_name, build, "stream", _STREAM_SHARE) for build in BUILDS),
        *(row for build in BUILDS for row in _alone(by_name, build)),
        *(row for build in BUILDS for row in _resources(by_name, build)),
        *(_exact(by_name, build) for build in _DISTANCE),
    ]


def ratio(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None, kind: str) -> float | None:
    """The median over the rounds of ours / theirs in texts a second; None where one of them was not measured."""
    if ours is None or theirs is None:
        return None
    pairs = zip(ours["rounds"][kind], theirs["rounds"][kind], strict=True)
    return median(mine["texts_per_s"] / max(other["texts_per_s"], 1e-9) for mine, other in pairs)


def bare_name(build: str, runtime: str) -> str:
    """What the bare runtime of a build is called; *runtime* as a server tells it, with its version."""
    return f"bare {runtime.partition(' ')[0]} {build}"


def _served(by_name: Contestants, build: str, door: str) -> Mapping[str, Any] | None:
    return by_name.get(f"samespace {build}, {door}")


def _bare(by_name: Contestants, build: str) -> Mapping[str, Any] | None:
    """The bare runtime that runs what the server with *build* runs."""
    server = _served(by_name, build, "HTTP")
    return None if server is None else by_name.get(bare_name(build, server["facts"]["runtime"]))


def _against(by_name: Contestants, build: str, other: str, wanted: Sequence[float]) -> Row:
    found = [ratio(_served(by_name, build, "HTTP"), by_name.get(other), kind) for kind in KINDS]
    return _row(f"{build} by HTTP, times {other}", found, wanted, "{:.1f}")


def _share(by_name: Contestants, build: str, door: str, wanted: Sequence[float]) -> Row:
    found = [ratio(_served(by_name, build, door), _bare(by_name, build), kind) for kind in KINDS]
    return _row(f"{build} by {door}, share of the bare runtime", found, wanted, "{:.0%}")


def _alone(by_name: Contestants, build: str) -> Iterator[Row]:
    bare = _bare(by_name, build)
    for door, most in _ALONE_MS.items():
        server = _served(by_name, build, door)
        keys = {"": "latency_p50_ms"}
        if door == "gRPC":
            keys[" with the Python client"] = "latency_p50_ms_of_python_client"
        for through, key in keys.items():
            pairs = [] if server is None or bare is None else zip(server["alone"], bare["alone"], strict=True)
            above = [mine[key] - other["latency_p50_ms"] for mine, other in pairs]
            found = median(above) if above else None
            yield _row(f"{build}, one client by {door}{through}: p50 above the bare run", [found], [most], "{:.2f} ms")


def _resources(by_name: Contestants, build: str) -> Iterator[Row]:
    server = _served(by_name, build, "HTTP")
    ready = None if server is None else server["ready_s"]
    yield _row(f"{build}: from start to ready", [ready], [_READY_S], "{:.1f} s")
    memory = None if server is None else server["peak_rss_bytes"] / 1e6
    yield _row(f"{build}: memory at its peak", [memory], [_MEMORY_MB], "{:.0f} MB")


def _exact(by_name: Contestants, build: str) -> Row:
    doors = [each for door in ("HTTP", "gRPC", "stream") if (each := _served(by_name, build, door)) is not None]
    worst = max((each["vectors"]["worst_distance"] for each in doors), default=None)
    return _row(f"{build}: worst 1 - cos of a vector", [worst], [_DISTANCE[build]], "{:.1e}")


def _row(goal: str, found: Sequence[float | None], wanted: Sequence[float], form: str) -> Row:
    """Speeds have to be at least what is wanted, everything else at most."""
    least = len(wanted) > 1
    told = " / ".join("-" if each is None else form.format(each) for each in found)
    passed = None
    if None not in found:
        passed = all((each >= want) if least else (each <= want) for each, want in zip(found, wanted, strict=True))
    return Row(goal, f"{'>=' if least else '<='} {' / '.join(form.format(each) for each in wanted)}", told, passed)
