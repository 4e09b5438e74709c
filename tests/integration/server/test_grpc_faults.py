"""Malformed requests, half-closed streams and vanishing clients over gRPC: refused by name, nothing left behind.

Everything random is seeded. What is the caller's fault never comes out as INTERNAL or UNKNOWN, which are for bugs.
"""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

from fakes.server.process import Running, serving
from samespace.rpc.client import Client
from samespace.rpc.v1 import encoder_pb2 as pb

pytestmark = pytest.mark.integration

SERVICE = "/samespace.v1.Encoder/"
OURS = {"OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
RSS_MB = 64  # what allocators may keep of a few thousand requests; a leak of each request's message would be more


@pytest.fixture(scope="module")
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact, options=("--max-request-bytes", str(1 << 20))) as running:
        yield running


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)]) as opened:
        yield opened


def outcomes(channel: grpc.Channel, method: str, messages: list[bytes], width: int = 50) -> Counter[str]:
    """The codes that raw *messages* are answered with, some at a time; each has to be answered."""
    call = channel.unary_unary(SERVICE + method)
    found: Counter[str] = Counter()
    for start in range(0, len(messages), width):
        for future in [call.future(message, timeout=30) for message in messages[start : start + width]]:
            found[future.code().name] += 1
    return found


def valid(server: Running, **fields: Any) -> bytes:
    """An honest request, with some fields changed."""
    request = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY, texts=["a list", "the text of a file"])
    request.MergeFrom(pb.EmbedRequest(**fields))
    data: bytes = request.SerializeToString()
    return data


def still_right(server: Running) -> None:
    """The server answers an honest request, and nothing is left of the others."""
    with Client(server.grpc) as client:
        vectors = np.asarray(client.embed(server.space_ids[0], "query", ["a list"]).vectors)
    assert abs(float(np.linalg.norm(vectors[0])) - 1) < 1e-5
    assert "Traceback" not in server.log.read_text()
    deadline = time.monotonic() + 20
    while (left := (server.metric("samespace_requests_at_work"), server.metric("samespace_queued_tokens"))) != (0, 0):
        assert time.monotonic() < deadline, f"{left[0]} requests at work and {left[1]} tokens queued for ever"


def test_random_bytes_are_refused(server: Running, channel: grpc.Channel) -> None:
    """1000 messages of noise: INVALID_ARGUMENT, or what the message means where noise happens to be one."""
    random_source = random.Random(1)
    noise = [random_source.randbytes(random_source.choice((1, 2, 5, 20, 200, 5000))) for _ in range(1000)]
    found = outcomes(channel, "Embed", noise)
    assert set(found) <= OURS, found
    assert found["INVALID_ARGUMENT"] > 900
    for method in ("GetSpace", "ListSpaces"):
        found = outcomes(channel, method, noise[:100])
        assert set(found) <= OURS, found
    still_right(server)


def test_damaged_requests_are_refused_or_mean_something_else(server: Running, channel: grpc.Channel) -> None:
    """1000 honest requests with flipped bits, cut ends and repeated parts: never a bug of ours."""
    random_source = random.Random(2)
    whole = valid(server)

    def damaged() -> bytes:
        data = bytearray(whole)
        for _ in range(random_source.randint(1, 4)):
            kind, place = random_source.randrange(3), random_source.randrange(len(data) or 1)
            if kind == 0 and data:
                data[place] ^= 1 << random_source.randrange(8)
            elif kind == 1:
                del data[place:]
            else:
                data += data[place:]
        return bytes(data)

    found = outcomes(channel, "Embed", [damaged() for _ in range(1000)])
    assert set(found) <= OURS, found
    assert len(found) >= 3
    still_right(server)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"role": 0}, "INVALID_ARGUMENT"),
        ({"role": 7}, "INVALID_ARGUMENT"),
        ({"long_texts": 9}, "INVALID_ARGUMENT"),
        ({"vector_type": 9}, "INVALID_ARGUMENT"),
        ({"dims": 2**32 - 1}, "INVALID_ARGUMENT"),
        ({"texts": ["a"] * 5000}, "INVALID_ARGUMENT"),
        ({"texts": ["word " * 190_000]}, "INVALID_ARGUMENT"),
        ({"texts": ["word " * 300_000]}, "RESOURCE_EXHAUSTED"),  # gRPC's own: above --max-request-bytes
        ({"texts": ["\x00\x01\x1b[2J", "\u202e\ufeff" * 50]}, "OK"),
        ({"space_id": "f" * 500_000}, "FAILED_PRECONDITION"),
        ({"space_id": "../../etc/passwd"}, "FAILED_PRECONDITION"),
        ({"sequence": 2**64 - 1}, "OK"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_is_refused_by_name(
    server: Running, channel: grpc.Channel, fields: dict[str, Any], code: str
) -> None:
    """Unknown enum values, too many or too long texts, huge ids: each has its code."""
    request = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY, texts=["a list"])
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(request, name).extend(value)
        else:
            setattr(request, name, value)
    assert outcomes(channel, "Embed", [request.SerializeToString()]) == {code: 1}
    still_right(server)


def test_text_that_is_not_utf8_is_refused(server: Running, channel: grpc.Channel) -> None:
    """A lone byte, an overlong form and a surrogate in a text or an id: INVALID_ARGUMENT."""
    for bad in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80"):
        text = valid(server) + b"\x1a" + bytes([len(bad)]) + bad
        space = b"\x0a" + bytes([len(bad)]) + bad
        assert outcomes(channel, "Embed", [text]) == {"INVALID_ARGUMENT": 1}
        assert outcomes(channel, "GetSpace", [space]) == {"INVALID_ARGUMENT": 1}
    still_right(server)


def test_methods_that_do_not_exist_are_unimplemented(channel: grpc.Channel) -> None:
    """So are the wrong names of services."""
    for method in (SERVICE + "Drop", "/samespace.v2.Encoder/Embed", "/x/y"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method)(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_streams_that_are_malformed_end_with_a_code(server: Running, channel: grpc.Channel) -> None:
    """Noise as the first or a later message of 200 streams ends them with INVALID_ARGUMENT, after the right answers."""
    random_source = random.Random(3)
    call = channel.stream_stream(SERVICE + "EmbedStream")
    for turn in range(200):
        good = [valid(server)] * (turn % 4)
        stream = call(iter([*good, b"\xff" + random_source.randbytes(30), valid(server)]), timeout=30)
        answers = []
        with pytest.raises(grpc.RpcError) as caught:
            for answer in stream:
                answers.append(answer)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert len(answers) == len(good)
    still_right(server)


def test_a_stream_that_says_nothing_ends_well(server: Running, channel: grpc.Channel) -> None:
    """Half-closed at once: no answers, and OK; given up without a word: nothing is left."""
    call = channel.stream_stream(SERVICE + "EmbedStream")
    for _ in range(50):
        assert list(call(iter([]), timeout=30)) == []
    waiting = [call(_never(), timeout=30) for _ in range(50)]
    for stream in waiting:
        stream.cancel()
    still_right(server)


def _never() -> Iterator[bytes]:
    from threading import Event

    Event().wait(60)
    yield b""


def test_clients_that_vanish_leave_nothing_behind(server: Running) -> None:
    """200 connections closed with requests and streams under way: requests and file descriptors go back."""
    process = psutil.Process(server.process.pid)
    space = server.space_ids[0]
    texts = ["the value of the index is in the file"] * 64

    def vanish(turn: int) -> None:
        with Client(server.grpc) as client:
            if turn % 2:
                replies = client.embed_stream(space, "passage", [texts] * 50)
                for _ in range(turn % 3):
                    next(replies)
                replies.close()
            else:
                client.list_spaces()
                request = pb.EmbedRequest(space_id=space, role=pb.ROLE_QUERY, texts=texts)
                channel = grpc.insecure_channel(server.grpc)
                channel.unary_unary(SERVICE + "Embed").future(request.SerializeToString())
                channel.close()

    for turn in range(20):
        vanish(turn)
    still_right(server)
    before = process.num_fds(), process.memory_info().rss
    for turn in range(200):
        vanish(turn)
    still_right(server)
    poll_files(process, before[0])
    assert process.memory_info().rss - before[1] < RSS_MB << 20


def test_bytes_that_are_not_http2_are_hung_up_on(server: Running) -> None:
    """300 raw connections with noise, half a preface, or a preface and broken frames; none of them is kept for ever."""
    process = psutil.Process(server.process.pid)
    still_right(server)
    before = process.num_fds()
    random_source = random.Random(4)
    host, _, port = server.grpc.rpartition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for turn in range(300):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            frame = random_source.randbytes(9) + random_source.randbytes(random_source.randint(0, 300))
            raw.sendall((random_source.randbytes(100), preface[: turn % 24], preface + frame)[turn % 3])
    still_right(server)
    poll_files(process, before)


def poll_files(process: psutil.Process, before: int) -> None:
    """Return when the process has as many file descriptors as *before*, and a few at most."""
    deadline = time.monotonic() + 30
    while (now := process.num_fds()) > before + 5:
        assert time.monotonic() < deadline, f"{now} file descriptors, {before} before: {process.net_connections()}"
