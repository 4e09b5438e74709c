"""Answers that nobody reads: a few kilobytes ask for many megabytes, which wait in the server for their reader."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from fakes.models.encoders import save_tiny_bert
from fakes.server.budget import peak_of
from fakes.server.frames import Peer, message
from fakes.server.process import Running, serving
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import load_checkpoint
from samespace.rpc.v1 import encoder_pb2 as pb

pytestmark = pytest.mark.integration

MB = 1 << 20
TEXTS = ["a"] * 2048
FORMATS = ["float", "base64", "int8", "uint8", "binary", "ubinary"]
WAIT_S = 90


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Of 256 dims, so that an answer takes 2 MB over gRPC and 12 MB over HTTP; 16 MB may wait unread."""
    folder = tmp_path_factory.mktemp("wide")
    export_artifact(load_checkpoint(save_tiny_bert(folder / "model", seed=1, dims=256)), folder / "artifact")
    with serving(folder / "artifact", options=("--max-held-bytes", str(32 * MB))) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def is_served(server: Running) -> None:
    """A client that reads gets all of a large answer."""
    body = {"texts": TEXTS, "input_type": "search_document"}
    reply = httpx.post(f"{server.http}/e/{server.space_ids[0]}/v2/embed", json=body, timeout=WAIT_S)
    assert reply.status_code == 200 and len(reply.json()["embeddings"]["float"]) == len(TEXTS)


def test_clients_that_read_no_answer_lose_their_connection(server: Running) -> None:
    """Over HTTP: the oldest of them, until what waits is within the budget; whoever reads is served meanwhile."""
    body = json.dumps({"texts": TEXTS, "input_type": "search_document", "embedding_types": FORMATS}).encode()
    head = f"POST /e/{server.space_ids[0]}/v2/embed HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
    with peak_of(server.process.pid) as peak, contextlib.ExitStack() as socks:
        for _ in range(48):
            sock = socks.enter_context(socket.create_connection(("127.0.0.1", server.told["http_port"])))
            sock.sendall(head.encode() + body)
        until(lambda: server.metric("samespace_http_refused_total") >= 47)  # the last one fits
        is_served(server)
    assert peak.more_bytes < 250 * MB  # their bodies alone are 576, and with vectors of all at a time it was 270


@pytest.mark.parametrize("method", ["Embed", "EmbedStream"])
def test_calls_that_read_no_answer_lose_their_connection(server: Running, method: str) -> None:
    """Over gRPC: windows of nothing over two connections; one goes, and whoever reads is served meanwhile."""
    request = pb.EmbedRequest(
        space_id=server.space_ids[0],
        role=pb.ROLE_PASSAGE,
        long_texts=pb.LONG_TEXTS_POOL,
        vector_type=pb.VECTOR_TYPE_FLOAT32,
        texts=TEXTS,
    )
    data = message(request.SerializeToString())
    before = server.metric("samespace_grpc_refused_total")
    with contextlib.ExitStack() as peers:
        for _ in range(2):
            peer = peers.enter_context(Peer(server.grpc, window=0))
            for _ in range(8):
                peer.write(peer.call(f"/samespace.v1.Encoder/{method}"), data, end=True)
        until(lambda: server.metric("samespace_grpc_refused_total") > before)
        is_served(server)
