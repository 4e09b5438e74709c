"""SIGTERM under load: what was accepted is answered, everything else is turned away politely."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.server.process import Running, serving
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderStub

pytestmark = pytest.mark.integration

LONG = "the value of the index is in the file " * 20
HEAVY = {"texts": [LONG] * 400, "input_type": "search_document"}
GOAWAY = 7  # the type of HTTP/2's frame


@pytest.fixture
def server(tiny_artifact: Path) -> Iterator[Running]:
    options = ("--max-queued-tokens", "10000000", "--max-queue-ms", "100000", "--drain-timeout-ms", "120000")
    with serving(tiny_artifact, options=options) as running:
        yield running


def drained(server: Running) -> bool:
    """Whether it ended with 0, having answered everything that it had accepted."""
    code = server.process.wait(timeout=120)
    log = server.log.read_text()
    return code == 0 and " drained" in log and " stopped" not in log


def until_at_work(server: Running, requests: int) -> None:
    while server.metric("samespace_requests_at_work") < requests:
        pass


def test_clients_that_never_stop_see_answers_and_then_polite_refusals(server: Running) -> None:
    """HTTP keep-alive clients, unary calls and streams at once: no reset, no half answer, no lost request."""
    space = server.space_ids[0]
    url = f"{server.http}/e/{space}/vectors"
    ask = {"text": "reset the password", "config": {"task_type": "query"}}
    answered = dict.fromkeys(("http", "unary", "stream"), 0)

    async def over_http(client: httpx.AsyncClient) -> None:
        while True:
            response = await client.post(url, json=ask)
            if response.status_code != 200:
                assert response.status_code == 503
                assert "failed with status: 503 error" in response.json()["error"]
                assert response.headers["connection"] == "close"
                assert int(response.headers["retry-after"]) >= 1
                return
            assert len(response.json()["vector"]) == 32
            answered["http"] += 1

    async def over_grpc(stub: Any) -> None:
        request = pb.EmbedRequest(space_id=space, role=pb.ROLE_QUERY, texts=["a list"])
        try:
            while True:
                assert (await stub.Embed(request)).rows == 1
                answered["unary"] += 1
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE

    def over_a_stream() -> None:  # not by grpc.aio, whose client says INTERNAL where the server ends a stream
        requests = (
            pb.EmbedRequest(space_id=space, role=pb.ROLE_PASSAGE, texts=["a", "b"], sequence=sequence)
            for sequence in range(1_000_000)
        )
        try:
            with grpc.insecure_channel(server.grpc) as channel:
                for reply in EncoderStub(channel).EmbedStream(requests):
                    assert (reply.sequence, reply.rows) == (answered["stream"], 2)
                    answered["stream"] += 1
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in error.details()

    async def scenario() -> None:
        async with httpx.AsyncClient(timeout=120) as client, grpc.aio.insecure_channel(server.grpc) as channel:
            stub = EncoderStub(channel)
            heavy = [asyncio.create_task(client.post(f"{server.http}/e/{space}/v2/embed", json=HEAVY)) for _ in "ab"]
            clients = [each for _ in range(4) for each in (over_http(client), over_grpc(stub))]
            clients.append(asyncio.to_thread(over_a_stream))
            work = [asyncio.create_task(each) for each in clients]
            while min(answered.values()) < 4:
                await asyncio.sleep(0)
            server.process.terminate()
            await asyncio.gather(*work)
            for response in await asyncio.gather(*heavy):
                assert response.status_code == 200, response.text
                assert len(response.json()["embeddings"]["float"]) == 400

    asyncio.run(scenario())
    assert all(answered.values()), answered
    assert drained(server)


def test_connections_are_closed_politely(server: Running) -> None:
    """An old HTTP connection is told `Connection: close` with its refusal; an HTTP/2 one gets GOAWAY, both at once."""
    heavy = threading.Thread(
        target=lambda: httpx.post(f"{server.http}/e/{server.space_ids[0]}/v2/embed", json=HEAVY, timeout=120)
    )
    old = http.client.HTTPConnection("127.0.0.1", server.told["http_port"], timeout=60)
    old.request("GET", "/.well-known/live")
    assert old.getresponse().read() == b""
    with socket.create_connection(("127.0.0.1", server.told["grpc_port"]), timeout=60) as http2:
        http2.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))  # an empty SETTINGS
        heavy.start()
        until_at_work(server, 1)
        server.process.terminate()
        assert GOAWAY in frames(http2)
    old.request("GET", "/.well-known/ready")
    reply = old.getresponse()
    assert reply.status == 503 and reply.headers["connection"] == "close"
    assert server.process.poll() is None  # both were told while there was still work
    old.close()
    heavy.join()
    assert drained(server)


def test_what_only_waits_does_not_hold_the_server_up(server: Running) -> None:
    """An idle stream ends with UNAVAILABLE, a health watch with NOT_SERVING, and the server is gone in a moment."""
    more = threading.Event()

    def requests() -> Iterator[pb.EmbedRequest]:
        yield pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY, texts=["a"])
        more.wait(60)

    with grpc.insecure_channel(server.grpc) as channel:
        replies = EncoderStub(channel).EmbedStream(requests())
        assert next(replies).rows == 1
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="samespace.v1.Encoder"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.terminate()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            next(replies)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE and "shutting down" in caught.value.details()
        assert drained(server)
        more.set()


def frames(connection: socket.socket) -> Iterator[int]:
    """The types of the HTTP/2 frames that come, until the connection ends."""
    stream = connection.makefile("rb")
    while len(head := stream.read(9)) == 9:
        yield head[3]
        stream.read(int.from_bytes(head[:3], "big"))
