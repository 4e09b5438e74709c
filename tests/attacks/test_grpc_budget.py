"""What a stranger can make a server hold over gRPC: measured on a real process, against the memory that it is given."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from fakes.server.budget import LIMIT_BYTES, peak_of, resident
from fakes.server.frames import Peer, message
from fakes.server.process import Running, serving
from samespace.rpc.client import Client
from samespace.rpc.v1 import encoder_pb2 as pb

pytestmark = pytest.mark.integration

MB = 1 << 20
HELD_BYTES = 32 * MB
MORE_BYTES = 128 * MB  # the budget, what came between two looks, one message in its three shapes, the allocator's share
REQUEST_BYTES = 7 * MB  # below --max-request-bytes
EMBED, STREAM = "/samespace.v1.Encoder/Embed", "/samespace.v1.Encoder/EmbedStream"
HEALTH = "/grpc.health.v1.Health/Check"
TOKEN = "the-only-token-of-this-test"


@pytest.fixture
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact, options=("--max-held-bytes", str(HELD_BYTES), "--admin-port", "0")) as running:
        yield running
        assert resident(running.process.pid, "VmHWM") < LIMIT_BYTES
        assert "Traceback" not in running.log.read_text()


def answers(server: Running) -> None:
    """An honest client is served."""
    with Client(server.grpc, timeout_ms=20_000) as client:
        assert len(client.embed(server.space_ids[0], "query", ["a list"]).vectors) == 1


def bomb(size: int) -> bytes:
    """A compressed message of *size* bytes of one text."""
    text = pb.EmbedRequest(role=pb.ROLE_QUERY, texts=["a" * size]).SerializeToString()
    return message(gzip.compress(text, 1), compressed=True)


@pytest.mark.parametrize("which", ["grpc", "admin"])
def test_a_compressed_message_is_refused_before_it_is_unpacked(server: Running, which: str) -> None:
    """A megabyte that unpacks to hundreds: the call ends, and the memory stays as it was; on the admin port too."""
    packed = bomb(128 * MB)
    with peak_of(server.process.pid) as peak, Peer(getattr(server, which)) as peer:
        method = EMBED if which == "grpc" else "/samespace.v1.Admin/ListServed"
        for _ in range(2):
            call = peer.call(method, ("grpc-encoding", "gzip"))
            peer.write(call, packed, end=True)
            while call not in peer.ended and peer.pump(10):
                pass
            assert call in peer.ended
    assert peak.more_bytes < 16 * MB
    answers(server)


def test_a_client_that_compresses_is_told(server: Running) -> None:
    """UNIMPLEMENTED, which says what to do without."""
    with grpc.insecure_channel(server.grpc, compression=grpc.Compression.Gzip) as channel:
        request = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY, texts=["a list " * 100])
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(EMBED)(request.SerializeToString(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "gzip" in caught.value.details()


@pytest.mark.parametrize("method", [EMBED, STREAM, HEALTH])
def test_messages_that_are_never_finished_share_one_budget(server: Running, method: str) -> None:
    """Thirty large messages that stop before their end: what is above the budget is cut off, and others are served."""
    with peak_of(server.process.pid) as peak, Peer(server.grpc) as peer:
        for _ in range(30):
            peer.write(peer.call(method), message(b"x" * REQUEST_BYTES)[: 4 * MB])
        peer.pump(1)
        assert len(peer.ended) >= 10
        answers(server)
    assert peak.more_bytes < MORE_BYTES
    assert server.metric("samespace_grpc_refused_total") >= 10


def test_a_message_that_announces_gigabytes_is_cut_off(server: Running) -> None:
    """gRPC looks at its limit when the whole message is there; the budget does not wait for that."""
    with peak_of(server.process.pid) as peak, Peer(server.grpc) as peer:
        call = peer.call(EMBED)
        peer.write(call, struct.pack(">BI", 0, 3 << 30) + b"x" * (80 * MB))
        peer.pump(1)
        assert call in peer.ended
    assert peak.more_bytes < MORE_BYTES
    answers(server)


def test_without_a_token_no_message_is_read(tiny_artifact: Path) -> None:
    """The call ends on its headers: what a stranger sends of its message is not more than a window."""
    environment = {"SAMESPACE_TOKENS": TOKEN}
    with serving(tiny_artifact, environment=environment) as server, peak_of(server.process.pid) as peak:
        sent = 0
        with Peer(server.grpc) as peer:
            for method in (EMBED, STREAM) * 20:
                call = peer.call(method)
                sent += peer.write(call, message(b"x" * REQUEST_BYTES)[:-1])
                while call not in peer.ended and peer.pump(10):
                    pass
                assert call in peer.ended
        assert sent < 40 * MB
    assert peak.more_bytes < 32 * MB


def test_what_was_refused_is_not_kept(server: Running) -> None:
    """Sixteen refused messages of 7 MB, for two reasons: nothing of them stays within reach of the errors."""
    text = "a" * (7 * MB)
    kinds = {
        "FAILED_PRECONDITION": pb.EmbedRequest(space_id="f" * 64, role=pb.ROLE_QUERY, texts=[text]),
        "INVALID_ARGUMENT": pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY, texts=[text]),
    }
    with (
        grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)]) as channel,
        peak_of(server.process.pid) as peak,
    ):
        for code, request in kinds.items():
            data = request.SerializeToString()
            for _ in range(8):
                assert channel.unary_unary(EMBED).future(data, timeout=30).code().name == code
    assert peak.more_bytes < MORE_BYTES  # one of them, parsed, is three times its bytes


def test_millions_of_empty_texts_are_counted_before_they_are_made(server: Running) -> None:
    """8 MB of nothing but empty texts, or of unknown fields: refused at once, while others are served."""
    head = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_QUERY).SerializeToString()
    with (
        grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)]) as channel,
        peak_of(server.process.pid) as peak,
    ):
        for entry in (b"\x1a\x00", b"\x78\x00", b"\x7b\x7c"):
            data = head + entry * (4 * MB - 100)
            assert channel.unary_unary(EMBED).future(data, timeout=30).code().name == "INVALID_ARGUMENT"
    assert peak.more_bytes < MORE_BYTES
    answers(server)


def test_slow_readers_are_bounded(server: Running) -> None:
    """Hundreds of calls of a client that opens no window and reads nothing: replies wait in bounded memory."""
    request = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_PASSAGE, texts=["a list"] * 512)
    data = message(request.SerializeToString())
    with peak_of(server.process.pid) as peak, Peer(server.grpc, window=0) as peer:
        for _ in range(200):
            peer.write(peer.call(EMBED), data, end=True)
        time.sleep(2)
    assert peak.more_bytes < 128 * MB
    answers(server)


def test_idle_connections_are_cheap(server: Running) -> None:
    """A thousand connections that say hello and nothing more: less than 64 KB each, and others are served."""
    host, _, port = server.grpc.rpartition(":")
    with peak_of(server.process.pid) as peak:
        peers = [Peer(server.grpc) for _ in range(1000)]
        answers(server)
        for peer in peers:
            peer.close()
    assert peak.more_bytes < 64 * MB
    with socket.create_connection((host, int(port)), timeout=10):
        answers(server)
