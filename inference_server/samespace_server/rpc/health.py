"""gRPC's health service, for the server and for each space: what `Spaces` says at the moment of asking.

| asked for | serving when |
| --- | --- |
| (nothing), `samespace.v1.Encoder` | every space and reranker that is served would answer |
| `samespace.v1.Reranker` | every reranker would answer, and there is one |
| `samespace.v1.Encoder/SPACE_ID` | that space would answer; full id or at least 12 digits |
| `samespace.v1.Reranker/RERANKER_ID` | that reranker would answer |

A space that is not served is NOT_FOUND for `Check`; `Watch` says SERVICE_UNKNOWN, and goes on watching. Health says
ready, not live: whoever gets an answer at all knows that the server lives.

However many watch, one of them looks, and the others sleep until something changes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthServicer

from samespace.errors import Overloaded, SamespaceError
from samespace.text import printable

from ..spaces.registry import Spaces

WATCH_MS: Final = 1_000
"""How often a watched state is looked at where nothing has told of a change."""
MOST_WATCHES: Final = 1024
MOST_OF_ONE: Final = 256
"""Watches of one address; a load balancer has a few for each connection."""


class Health(HealthServicer):  # type: ignore[misc]
    """The standard service over the server's spaces."""

    def __init__(self, spaces: Spaces, service: str, rerankers: str) -> None:
        """*service* and *rerankers* are the full names of the services that are asked for the one and the other."""
        self._spaces, self._service, self._rerankers = spaces, service, rerankers
        self._watches: Counter[str] = Counter()  # by address
        self._change, self._looking = asyncio.Event(), False

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        """The state now."""
        status = self._status(request.service)
        if status == pb.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{printable(request.service[:200])} is not served here")
        return pb.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The state now and after each change, until the server drains. RESOURCE_EXHAUSTED where too many watch."""
        with self._counted(context.peer().rpartition(":")[0]):
            told = None
            while True:
                status = self._status(request.service)
                if status != told:
                    told = status
                    yield pb.HealthCheckResponse(status=status)  # and look again: it may have changed meanwhile
                elif self._spaces.state == "draining":
                    return  # a watch that stays open would hold up the shutdown
                elif self._looking:
                    await self._change.wait()
                else:
                    await self._look()

    @contextmanager
    def _counted(self, address: str) -> Iterator[None]:
        for watches, most in ((self._watches[address], MOST_OF_ONE), (self._watches.total(), MOST_WATCHES)):
            if watches >= most:
                raise Overloaded(queued=watches + 1, limit=most, unit="watches", retry_after_ms=WATCH_MS)
        self._watches[address] += 1
        try:
            yield
        finally:
            self._watches[address] -= 1
            if not self._watches[address]:
                del self._watches[address]

    async def _look(self) -> None:
        """Look once for all who watch, and wake them where something changed, or where this one stops looking."""
        self._looking, before = True, self._state()
        try:
            await self._spaces.changed(WATCH_MS)
            changed = self._state() != before
        except BaseException:
            changed = True  # somebody else has to look
            raise
        finally:
            self._looking = False
            if changed:
                self._change.set()
                self._change = asyncio.Event()

    def _state(self) -> tuple[object, ...]:
        served = (*self._spaces, *self._spaces.rerankers)
        ready = tuple((engine.space_id, self._spaces.is_ready(engine)) for engine in served)
        return self._spaces.state, self._spaces.ready, ready

    def _status(self, service: str) -> int:
        states = pb.HealthCheckResponse
        if service in ("", self._service):
            return _as_status(self._spaces.ready)
        name, slash, which = service.partition("/")
        if name not in (self._service, self._rerankers):
            return int(states.SERVICE_UNKNOWN)
        if self._spaces.state == "loading":
            return int(states.NOT_SERVING)
        if not slash:
            rerankers = self._spaces.rerankers
            return _as_status(bool(rerankers) and all(map(self._spaces.is_ready, rerankers)))
        try:
            find = self._spaces.find if name == self._service else self._spaces.find_reranker
            return _as_status(self._spaces.is_ready(find(which)))
        except SamespaceError:
            return int(states.SERVICE_UNKNOWN)


def _as_status(ready: bool) -> int:
    states = pb.HealthCheckResponse
    return int(states.SERVING if ready else states.NOT_SERVING)
