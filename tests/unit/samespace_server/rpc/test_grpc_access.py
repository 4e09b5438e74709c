"""What a gRPC client may take, over real sockets and a server without spaces. Tokens and TLS: `test_security`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import grpc

from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderStub
from samespace_server.observing.logs import Refusals
from samespace_server.observing.observe import Watch
from samespace_server.observing.telemetry import Telemetry
from samespace_server.rpc.service import GrpcServer
from samespace_server.security.tokens import Guard
from samespace_server.settings import HttpLimits, Settings
from samespace_server.spaces.registry import Spaces

LIMITS = HttpLimits(max_connections=2, header_timeout_ms=300, max_header_bytes=4096)


def with_server(scenario: Callable[[int], Awaitable[None]], limits: HttpLimits = LIMITS) -> None:
    """Run *scenario* with the port of a server."""

    async def run() -> None:
        spaces, telemetry = Spaces(address="here"), Telemetry()
        spaces.state = "ready"
        settings = Settings((Path("unused"),), http=limits)
        server = GrpcServer(spaces, Watch(telemetry, Refusals(lambda: 0)), telemetry, settings, (Guard(), None))
        port = await server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(scenario(port), 30)
        finally:
            await server.stop(0)

    asyncio.run(run())


async def read(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes."""
    try:
        return await reader.read(-1)
    except ConnectionResetError:
        return b""


def test_one_connection_too_many_is_closed() -> None:
    """It is told nothing, because gRPC has no word for it; those that are open go on."""

    async def scenario(port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await EncoderStub(channel).ListSpaces(pb.ListSpacesRequest())
            with socket.create_connection(("127.0.0.1", port)):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await read(reader) == b""
                writer.close()
                await EncoderStub(channel).ListSpaces(pb.ListSpacesRequest())

    with_server(scenario, replace(LIMITS, header_timeout_ms=20_000))  # the one that is silent has to stay


def test_a_connection_that_says_nothing_is_closed() -> None:
    """The handshake of HTTP/2 has a deadline."""

    async def scenario(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await read(reader)
        writer.close()

    with_server(scenario)


def test_headers_are_bounded() -> None:
    """Metadata above the limit ends the call, and not the server."""

    async def scenario(port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = EncoderStub(channel)
            try:
                await stub.ListSpaces(pb.ListSpacesRequest(), metadata=(("x", "y" * 8000),))
                raise AssertionError("let through")
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await stub.ListSpaces(pb.ListSpacesRequest(), metadata=(("x", "y" * 1000),))

    with_server(scenario)
