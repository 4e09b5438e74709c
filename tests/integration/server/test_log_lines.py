"""What a real server logs: one JSON object for each thing that happens, and nothing of what callers sent."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import grpc
import httpx
import pytest

from fakes.server.process import serving
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderStub

pytestmark = pytest.mark.integration

TEXT = "hunter2secrettext"
TOKEN = "hunter2secrettoken0123456789"


def test_a_whole_life_in_lines_without_secrets(tiny_artifact: Path) -> None:
    """Start, load, ready, refusals (once, with their number) and drain are told; no text and no token is."""
    bearer = {"authorization": f"Bearer {TOKEN}", "traceparent": TEXT, TEXT: TEXT}
    with serving(tiny_artifact, options=("--log-format", "json")) as running:
        space = running.space_ids[0]
        url = f"{running.http}/e/{space}/vectors"
        ask = {"text": TEXT, "config": {"task_type": "query"}}
        assert httpx.post(url, json=ask, headers=bearer).status_code == 200
        for _ in range(20):
            assert httpx.post(url, json={"text": [TEXT]}, headers=bearer).status_code == 400
        httpx.post(url, content=f"{{{TEXT}".encode(), headers=bearer)
        httpx.post(f"{running.http}/e/{TEXT}/vectors", json=ask, headers=bearer)
        httpx.post(f"{running.http}/{TEXT}?{TOKEN}", json=ask, headers=bearer)
        httpx.request(TEXT.upper(), url, headers=bearer)
        with socket.create_connection(("127.0.0.1", running.told["http_port"])) as connection:
            connection.sendall(f"{TEXT}\r\n{TOKEN}\r\n\r\n".encode())
            while connection.recv(1000):
                pass
        with grpc.insecure_channel(running.grpc) as channel:
            stub, metadata = EncoderStub(channel), (("authorization", f"Bearer {TOKEN}"),)
            for space_id, role in ((space, pb.ROLE_QUERY), (TEXT, pb.ROLE_QUERY), (space, pb.ROLE_UNSPECIFIED)):
                request = pb.EmbedRequest(space_id=space_id, role=role, texts=[TEXT])
                try:
                    stub.Embed(request, metadata=metadata)
                except grpc.RpcError:
                    assert (space_id, role) != (space, pb.ROLE_QUERY)
        assert running.terminate() == 0
        log = running.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    events = [line["event"] for line in lines]
    assert [event for event in events if event != "refused"] == ["starting", "loaded", "ready", "draining", "drained"]
    refused = [(line["space"], line["reason"], line["requests"]) for line in lines if line["event"] == "refused"]
    assert refused == [(space[:12], "RequestInvalid", 1), ("unknown", "UnknownSpace", 1)]
    assert (lines[1]["space"], lines[1]["build"]) == (space[:12], "fp32")
    for secret in (TEXT, TOKEN, TEXT.upper()):
        assert secret not in log


def test_lines_for_people_are_the_default(tiny_artifact: Path) -> None:
    """Without --log-format: time, level, what happened, fields."""
    with serving(tiny_artifact) as running:
        log = running.log.read_text()
    assert f"INFO loaded space={running.space_ids[0][:12]} name=tiny build=fp32" in log
