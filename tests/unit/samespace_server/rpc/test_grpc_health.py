"""gRPC's health service over the spaces, called directly."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2 as pb

from fakes.server.engines import fake_engine
from samespace.errors import Overloaded
from samespace_server.rpc.health import MOST_OF_ONE, Health
from samespace_server.spaces.registry import Spaces

A, B = "a" * 64, "b" * 64
SERVICE, RERANKERS = "samespace.v1.Encoder", "samespace.v1.Reranker"
UNKNOWN, SERVING, NOT_SERVING = (
    pb.HealthCheckResponse.SERVICE_UNKNOWN, pb.HealthCheckResponse.SERVING, pb.HealthCheckResponse.NOT_SERVING,
)  # fmt: skip


class Aborted(Exception):
    pass


class Context:
    def peer(self) -> str:
        return "ipv4:127.0.0.1:12345"

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(code)


def check(health: Health, service: str) -> Any:
    return asyncio.run(health.Check(pb.HealthCheckRequest(service=service), Context())).status


def test_each_space_has_a_health_of_its_own() -> None:
    """The server is serving when all spaces are; a space when it is."""
    spaces = Spaces(address="host:1")
    health = Health(spaces, SERVICE, RERANKERS)
    for service in ("", SERVICE, f"{SERVICE}/{A}"):
        assert check(health, service) == NOT_SERVING  # loading
    spaces.put(fake_engine(A))
    spaces.put(fake_engine(B))
    spaces.state = "ready"
    for service in ("", SERVICE, f"{SERVICE}/{A}", f"{SERVICE}/{B[:12]}"):
        assert check(health, service) == SERVING
    spaces.find(B).broken = "NaN"
    for service in ("", SERVICE, f"{SERVICE}/{B}"):
        assert check(health, service) == NOT_SERVING
    assert check(health, f"{SERVICE}/{A}") == SERVING


def test_each_reranker_has_a_health_of_its_own() -> None:
    """Under the service that gives its scores, and nowhere else."""
    spaces = Spaces(address="host:1")
    spaces.put(fake_engine(A))
    spaces.state = "ready"
    health = Health(spaces, SERVICE, RERANKERS)
    assert check(health, RERANKERS) == NOT_SERVING  # there is none
    reranker: Any = SimpleNamespace(space_id=B, reranker_id=B, broken=None)
    spaces.put_reranker(reranker)
    for service in ("", RERANKERS, f"{RERANKERS}/{B}", f"{RERANKERS}/{B[:12]}"):
        assert check(health, service) == SERVING
    for service in (f"{RERANKERS}/{A}", f"{SERVICE}/{B}"):
        with pytest.raises(Aborted):
            check(health, service)
    reranker.broken = "NaN"
    for service in ("", RERANKERS, f"{RERANKERS}/{B}"):
        assert check(health, service) == NOT_SERVING
    assert check(health, f"{SERVICE}/{A}") == SERVING


@pytest.mark.parametrize("service", [f"{SERVICE}/{'c' * 64}", f"{SERVICE}/", "another.Service", f"another/{A}"])
def test_what_is_not_served_is_not_found(service: str) -> None:
    """As gRPC's health protocol has it."""
    spaces = Spaces(address="host:1")
    spaces.put(fake_engine(A))
    spaces.state = "ready"
    with pytest.raises(Aborted) as caught:
        check(Health(spaces, SERVICE, RERANKERS), service)
    assert caught.value.args == (grpc.StatusCode.NOT_FOUND,)


def test_a_watch_tells_of_each_change_and_ends_with_the_drain() -> None:
    """Loading, served, unloaded, served again, draining: each is told once, and then the watch is over."""

    async def scenario() -> None:
        spaces = Spaces(address="host:1")
        told: asyncio.Queue[int] = asyncio.Queue()

        async def watch() -> None:
            request = pb.HealthCheckRequest(service=f"{SERVICE}/{A}")
            async for reply in Health(spaces, SERVICE, RERANKERS).Watch(request, Context()):
                told.put_nowait(reply.status)

        watching = asyncio.create_task(watch())
        assert await told.get() == NOT_SERVING
        spaces.state = "ready"
        assert await told.get() == UNKNOWN
        spaces.put(fake_engine(A))
        assert await told.get() == SERVING
        spaces.remove(A)
        assert await told.get() == UNKNOWN
        spaces.put(fake_engine(A))
        assert await told.get() == SERVING
        spaces.state = "draining"
        assert await told.get() == NOT_SERVING
        await watching
        assert told.empty()

    asyncio.run(scenario())


def test_a_drain_that_begins_while_a_state_is_sent_is_told() -> None:
    """The last word of a watch is never SERVING, however slow its client is."""

    async def scenario() -> None:
        spaces = Spaces(address="host:1")
        spaces.put(fake_engine(A))
        spaces.state = "ready"
        watch = Health(spaces, SERVICE, RERANKERS).Watch(pb.HealthCheckRequest(service=SERVICE), Context())
        assert (await anext(watch)).status == SERVING
        spaces.state = "draining"  # the watch has not gone on since
        assert (await anext(watch)).status == NOT_SERVING
        with pytest.raises(StopAsyncIteration):
            await anext(watch)

    asyncio.run(scenario())


def test_whoever_looks_for_all_may_leave() -> None:
    """Three watch; the one that looks hangs up, and then an engine breaks without telling: both others hear of it."""

    async def scenario() -> None:
        spaces = Spaces(address="host:1")
        spaces.put(fake_engine(A))
        spaces.state = "ready"
        health = Health(spaces, SERVICE, RERANKERS)
        watches = [health.Watch(pb.HealthCheckRequest(service=SERVICE), Context()) for _ in range(3)]
        for watch in watches:
            assert (await anext(watch)).status == SERVING
        waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.sleep(0.01)
        spaces.find(A).broken = "NaN"
        assert [(await each).status for each in waiting[1:]] == [NOT_SERVING] * 2

    asyncio.run(scenario())


def test_one_address_cannot_take_all_watches() -> None:
    """Beyond 256 of one address a watch is refused, until one of them ends."""

    async def scenario() -> None:
        spaces = Spaces(address="host:1")
        spaces.put(fake_engine(A))
        spaces.state = "ready"
        health = Health(spaces, SERVICE, RERANKERS)
        request = pb.HealthCheckRequest(service=SERVICE)
        watches = [health.Watch(request, Context()) for _ in range(MOST_OF_ONE)]
        for watch in watches:
            await anext(watch)
        with pytest.raises(Overloaded, match="watches"):
            await anext(health.Watch(request, Context()))
        await watches[0].aclose()
        assert (await anext(health.Watch(request, Context()))).status == SERVING

    asyncio.run(scenario())
