"""A real server with `--otel-endpoint` sends its spans, over both wires, to a collector."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from fakes.server.process import serving
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderStub

pytest.importorskip("opentelemetry.proto", reason="needs the extra otel")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.integration

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hunter2secret"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """(endpoint, bodies that came): takes everything."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_of_both_wires_reach_the_collector(tiny_artifact: Path) -> None:
    """HTTP header and gRPC metadata carry the caller's trace; spans are sent before the process ends; no text is."""
    traceparent = f"00-{TRACE}-{CALLER}-01"
    with (
        collector() as (endpoint, bodies),
        serving(tiny_artifact, options=("--otel-endpoint", endpoint, "--otel-percent", "0")) as running,
    ):
        space = running.space_ids[0]
        ask = {"text": SECRET, "config": {"task_type": "query"}}
        url = f"{running.http}/e/{space}/vectors"
        assert httpx.post(url, json=ask, headers={"traceparent": traceparent}).status_code == 200
        assert httpx.post(url, json=ask).status_code == 200  # not traced: 0 percent
        request = pb.EmbedRequest(space_id=space, role=pb.ROLE_QUERY, texts=[SECRET])
        with grpc.insecure_channel(running.grpc) as channel:
            stub, metadata = EncoderStub(channel), (("traceparent", traceparent),)
            stub.Embed(request, metadata=metadata)
            list(stub.EmbedStream(iter([request]), metadata=metadata))
        assert running.terminate() == 0
        assert SECRET not in running.log.read_text()
    assert all(SECRET.encode() not in body for body in bodies)
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    requests = [span for span in spans if span.parent_span_id.hex() == CALLER]
    assert sorted(span.name for span in requests) == ["embed Embed", "embed EmbedStream", "embed vectors"]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert len(spans) == 12
    for span in requests:
        told = {each.key: each.value for each in span.attributes}
        assert told["samespace.space_id"].string_value == space
        assert told["samespace.batch_rows"].int_value == 1
        inside = [each for each in spans if each.parent_span_id == span.span_id]
        assert [each.name for each in sorted(inside, key=lambda each: each.start_time_unix_nano)] == [
            "tokenize", "queue", "run"
        ]  # fmt: skip
        for each in inside:
            assert span.start_time_unix_nano <= each.start_time_unix_nano
            assert each.end_time_unix_nano <= span.end_time_unix_nano


def test_a_collector_that_is_down_disturbs_nothing(tiny_artifact: Path) -> None:
    """Requests are answered, and the server ends in time."""
    options = ("--otel-endpoint", "http://127.0.0.1:9/v1/traces")
    with serving(tiny_artifact, options=options) as running:
        url = f"{running.http}/e/{running.space_ids[0]}/vectors"
        for _ in range(20):
            assert httpx.post(url, json={"text": "a", "config": {"task_type": "query"}}).status_code == 200
        running.process.terminate()
        assert running.process.wait(timeout=15) == 0
