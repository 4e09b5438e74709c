"""What becomes known of each request, told to whoever wants to know: counters, log lines, traces.

    with watch.request("vectors", parent) as seen:
        seen.space_id = ...
        seen.answer = await ...

However the block ends, it is told once: with an answer, with an error of ours by its class, or because the caller
is gone. Nothing that the caller sent is told: no text, no token, no id that was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NamedTuple, Self

from prometheus_client import Counter, Histogram

from samespace.errors import SamespaceError, short

from ..scheduling.engine import Answer
from .logs import Refusals
from .telemetry import UNKNOWN_SPACE, Telemetry

OK: Final = "ok"
GONE: Final = "gone"
BUG: Final = "bug"


class Parent(NamedTuple):
    """W3C trace context, as the caller sent it.

    Attributes:
        traceparent, tracestate: the values of the headers of these names; None where there is none.
    """

    traceparent: str | None
    tracestate: str | None = None


NO_PARENT: Final = Parent(None)


@dataclass(slots=True)
class Seen:
    """One request, as far as it may be told of.

    Attributes:
        route: how it came.
        parent: the trace that it is part of.
        started_ns: when it came, by the clock of the world.
        space_id: full id of the space that was found; None before, or where none was.
        answer: what was answered, if it was.
        outcome: "ok", "gone", "bug", or the error's class; known at the end.
        elapsed_us: how long it took; known at the end.
    """

    watch: Watch = field(repr=False)
    route: str
    parent: Parent
    started_ns: int
    began_us: int
    space_id: str | None = None
    answer: Answer | None = None
    outcome: str = GONE
    elapsed_us: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.outcome = OK
        elif isinstance(error, SamespaceError):
            self.outcome = type(error).__name__
        elif not isinstance(error, asyncio.CancelledError):
            self.outcome = BUG
        self.elapsed_us = _now_us() - self.began_us
        self.watch.tell(self)


class Watch:
    """Tells of requests."""

    def __init__(self, telemetry: Telemetry, refusals: Refusals, trace: Callable[[Seen], None] | None = None) -> None:
        """*trace* is called with each request at its end; None where nobody traces."""
        self._telemetry, self._refusals, self._trace = telemetry, refusals, trace
        self._meters: dict[tuple[str | None, str, str], tuple[Counter, Histogram | None]] = {}

    def request(self, route: str, parent: Parent = NO_PARENT) -> Seen:
        """A request that has just come; to be used in a `with`, once."""
        return Seen(self, route, parent, time.time_ns(), _now_us())

    def tell(self, seen: Seen) -> None:
        """Tell that *seen* is over."""
        kind = (seen.space_id, seen.route, seen.outcome)
        meters = self._meters.get(kind)
        if meters is None:  # looking labels up takes longer than counting
            meters = self._meters[kind] = self._look_up(seen)
        requests, seconds = meters
        requests.inc()
        if seconds is not None:
            seconds.observe(seen.elapsed_us / 1e6)
        elif seen.outcome != GONE:
            self._refusals.refused(_shown(seen), seen.outcome)
        if self._trace is not None:
            self._trace(seen)

    def _look_up(self, seen: Seen) -> tuple[Counter, Histogram | None]:
        space, telemetry = _shown(seen), self._telemetry
        counted = telemetry.requests.labels(space, seen.route, seen.outcome)
        return counted, telemetry.request_seconds.labels(space, seen.route) if seen.outcome == OK else None


def _shown(seen: Seen) -> str:
    return UNKNOWN_SPACE if seen.space_id is None else short(seen.space_id)


def _now_us() -> int:
    return time.monotonic_ns() // 1000
