"""HTTP/2 frames that no library would send, on a real process: bounded memory, and everybody else is served."""

from __future__ import annotations

import contextlib
import random
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.server.budget import LIMIT_BYTES, peak_of, resident
from fakes.server.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    call_headers,
    frame,
    headers,
    message,
)
from fakes.server.process import Running, serving
from samespace.rpc.client import Client
from samespace.rpc.v1 import encoder_pb2 as pb

pytestmark = pytest.mark.integration

MB = 1 << 20
EMBED = "/samespace.v1.Encoder/Embed"
FLOOD_S = 5.0
MORE_BYTES = 96 * MB
SLOW_MS = 5_000
"""An honest call beside an attack, on two cores that the attacker shares."""


@pytest.fixture(scope="module")
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact) as running:
        yield running
        assert resident(running.process.pid, "VmHWM") < LIMIT_BYTES
        assert "Traceback" not in running.log.read_text()


def slowest_ms(server: Running, until: threading.Event) -> float:
    """The slowest of honest calls that are made until *until* is set, at least one."""
    slowest = 0.0
    with Client(server.grpc, timeout_ms=20_000) as client:
        while True:
            started = time.monotonic()
            assert len(client.embed(server.space_ids[0], "query", ["a list"]).vectors) == 1
            slowest = max(slowest, (time.monotonic() - started) * 1000)
            if until.wait(0.1):
                return slowest


@contextlib.contextmanager
def others_are_served(server: Running) -> Iterator[None]:
    """Memory stays bounded, and honest calls meanwhile come back in time."""
    over, found = threading.Event(), []
    honest = threading.Thread(target=lambda: found.append(slowest_ms(server, over)))
    with peak_of(server.process.pid) as peak:
        honest.start()
        try:
            yield
        finally:
            over.set()
            honest.join(60)
    assert peak.more_bytes < MORE_BYTES
    assert found and found[0] < SLOW_MS


def flood(peer: Peer, data: bytes) -> None:
    """Send *data* again and again for some seconds, reading nothing, until the server hangs up or stops reading."""
    peer.socket.settimeout(1)
    until = time.monotonic() + FLOOD_S
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            peer.send(data)


FLOODS = {
    "pings": frame(PING, 0, 0, b"12345678") * 1000,
    "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)) * 1000,
    "acks of nothing": frame(SETTINGS, ACK, 0) * 1000,
    "windows": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 1000,
    "resets of streams that are not there": frame(RST_STREAM, 0, 1, struct.pack(">I", 8)) * 1000,
    "unknown frames": frame(0xBE, 0, 0, b"x" * 16_000) * 10,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_control_frames_is_bounded(server: Running, name: str) -> None:
    """Frames that cost their sender a few bytes, for seconds, from somebody who reads no answer."""
    with others_are_served(server), Peer(server.grpc) as peer:
        flood(peer, FLOODS[name])


def test_headers_that_never_end_are_bounded(server: Running) -> None:
    """CONTINUATION after CONTINUATION: the block is given up when it is longer than headers may be."""
    piece = headers([("x-more", "y" * 1000)]) * 15
    with others_are_served(server), Peer(server.grpc) as peer:
        peer.send(frame(HEADERS, 0, 1, call_headers(EMBED)))
        flood(peer, frame(CONTINUATION, 0, 1, piece) * 10)


def test_streams_that_are_reset_at_once_are_bounded(server: Running) -> None:
    """Rapid reset (CVE-2023-44487): calls that are opened and given up, as fast as they can be sent."""
    block = call_headers(EMBED)
    with others_are_served(server), Peer(server.grpc) as peer:
        peer.socket.settimeout(1)
        number, until = 1, time.monotonic() + FLOOD_S
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                burst = b""
                for _ in range(100):
                    burst += frame(HEADERS, END_HEADERS, number, block)
                    burst += frame(RST_STREAM, 0, number, struct.pack(">I", 8))
                    number += 2
                peer.send(burst)


def test_calls_whose_answers_are_never_read_are_bounded(server: Running) -> None:
    """A window of nothing, and hundreds of complete calls on several connections: their answers wait in bounds."""
    request = pb.EmbedRequest(space_id=server.space_ids[0], role=pb.ROLE_PASSAGE, texts=["a list"] * 256)
    data = message(request.SerializeToString())
    with others_are_served(server), contextlib.ExitStack() as peers:
        for _ in range(8):
            peer = peers.enter_context(Peer(server.grpc, window=0))
            for _ in range(100):
                peer.write(peer.call(EMBED), data, end=True)
        time.sleep(2)


def test_streams_that_stall_in_the_middle_are_bounded(server: Running) -> None:
    """A thousand calls over ten connections, each with half a message and then silence."""
    half = message(b"x" * 4096)[:2048]
    with others_are_served(server), contextlib.ExitStack() as peers:
        for _ in range(10):
            peer = peers.enter_context(Peer(server.grpc))
            for _ in range(100):
                peer.write(peer.call(EMBED), half)
        time.sleep(2)


def test_watchers_are_bounded(server: Running) -> None:
    """Over a thousand health watches of one client: most are refused, and the others cost nothing without a change."""
    with contextlib.ExitStack() as peers:
        with others_are_served(server):
            for _ in range(10):
                peer = peers.enter_context(Peer(server.grpc))
                for _ in range(150):
                    peer.write(peer.call("/grpc.health.v1.Health/Watch"), message(b""), end=True)
        deadline = time.monotonic() + 30  # the burst itself takes a while where the machine is busy
        while cpu_in(server, 2) > 0.2:  # of nobody but them
            assert time.monotonic() < deadline, "watches cost time without a change"


def cpu_in(server: Running, seconds: int) -> float:
    """Processor time of the server in the next *seconds*."""
    before = cpu_s(server)
    time.sleep(seconds)
    return cpu_s(server) - before


def cpu_s(server: Running) -> float:
    """Processor time of the server so far, in seconds."""
    return server.metric("process_cpu_seconds_total")


@pytest.mark.parametrize("seed", range(4))
def test_random_frames_hurt_nobody_else(server: Running, seed: int) -> None:
    """Frames of all kinds with random flags, streams, lengths and bytes, valid and not: the connection may end."""
    dice = random.Random(seed)
    kinds = (DATA, HEADERS, 2, RST_STREAM, SETTINGS, 5, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, 0x42)
    with others_are_served(server):
        for _ in range(60):
            with Peer(server.grpc) as peer, contextlib.suppress(OSError):
                peer.socket.settimeout(1)
                for _ in range(20):
                    payload = dice.choice((dice.randbytes(dice.randrange(200)), call_headers(EMBED), b""))
                    data = frame(dice.choice(kinds), dice.randrange(256), dice.randrange(5), payload)
                    if dice.random() < 0.1:
                        data = dice.randbytes(3) + data[3:]  # another length than it has
                    peer.send(data)
                peer.pump(0.02)
