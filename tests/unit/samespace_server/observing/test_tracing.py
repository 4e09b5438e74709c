"""Spans of requests, into memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from samespace.embed import Embedded
from samespace.errors import ConfigInvalid, RequestInvalid

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from samespace_server.observing.logs import Refusals
from samespace_server.observing.observe import NO_PARENT, Parent, Watch
from samespace_server.observing.telemetry import Telemetry
from samespace_server.observing.tracing import Tracer
from samespace_server.scheduling.engine import Answer, StageTimes
from samespace_server.settings import Tracing

SPACE = "0f" * 32
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hunter2secret"
ANSWER = Answer(
    SPACE,
    np.ones((2, 4), dtype=np.float32) / 2,
    Embedded(np.ones((2, 4), dtype=np.float32) / 2, (3, 40), (1, 2), ((0, 0, 1), (1, 0, 9))),
    StageTimes(tokenize_us=100, queue_us=2_000, run_us=30_000, batch_rows=17),
)


class Traced:
    """A watch whose spans stay here."""

    def __init__(self, percent: int = 100) -> None:
        self.exporter = InMemorySpanExporter()
        tracer = Tracer(SimpleSpanProcessor(self.exporter), percent=percent)
        self.watch = Watch(Telemetry(), Refusals(lambda: 0), tracer.record)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def answered(self, parent: Parent = NO_PARENT) -> None:
        with self.watch.request("vectors", parent) as seen:
            seen.space_id, seen.answer = SPACE, ANSWER


def test_a_request_and_its_stages_are_spans() -> None:
    """The request over all; tokenise, queue and run below it, one after the other, as long as they took."""
    traced = Traced()
    traced.answered()
    *stages, request = sorted(traced.spans, key=lambda span: span.name == "embed vectors")
    assert request.name == "embed vectors" and request.kind is SpanKind.SERVER and request.parent is None
    assert dict(request.attributes or {}) == {
        "samespace.route": "vectors", "samespace.outcome": "ok", "samespace.space_id": SPACE, "samespace.texts": 2,
        "samespace.tokens": 43, "samespace.windows": 3, "samespace.batch_rows": 17,
    }  # fmt: skip
    assert [span.name for span in stages] == ["tokenize", "queue", "run"]
    took_us = [(span.end_time - span.start_time) // 1000 for span in stages]
    assert took_us == [100, 2_000, 30_000]
    assert all(before.end_time == after.start_time for before, after in pairwise(stages))
    assert all(span.parent.span_id == request.context.span_id for span in stages)
    assert {span.context.trace_id for span in stages} == {request.context.trace_id}


def test_the_callers_trace_goes_on() -> None:
    """With a W3C traceparent, the request is a child of the caller's span, and its tracestate is kept."""
    traced = Traced(percent=0)
    traced.answered(Parent(f"00-{TRACE}-{CALLER}-01", "vendor=1"))
    (request,) = [span for span in traced.spans if span.parent and span.parent.span_id == int(CALLER, 16)]
    assert request.context.trace_id == int(TRACE, 16)
    assert request.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize(
    "parent",
    [
        f"00-{TRACE}-{CALLER}", "00-0-0-01", "", "\x00", "x" * 9999, f"00-{'0' * 32}-{CALLER}-01",
        f"ff-{TRACE}-{CALLER}-01",
    ],
)  # fmt: skip
def test_a_malformed_traceparent_is_no_parent(parent: str) -> None:
    """As W3C wants it, the request starts a trace of its own."""
    traced = Traced()
    traced.answered(Parent(parent, SECRET))
    (request,) = [span for span in traced.spans if span.name == "embed vectors"]
    assert request.parent is None and request.context.trace_id != int(TRACE, 16)


def test_who_samples() -> None:
    """The caller's decision holds, either way; without one, the percentage."""
    for percent, parent, expected in (
        (100, NO_PARENT, 4),
        (0, NO_PARENT, 0),
        (100, Parent(f"00-{TRACE}-{CALLER}-00"), 0),
        (0, Parent(f"00-{TRACE}-{CALLER}-01"), 4),
    ):
        traced = Traced(percent)
        traced.answered(parent)
        assert len(traced.spans) == expected


def test_errors_are_told_by_their_class_and_without_their_words() -> None:
    """A refusal is an error without its message, which may repeat what was asked; who hung up is none."""
    traced = Traced()
    with pytest.raises(RequestInvalid), traced.watch.request("Embed") as seen:
        seen.space_id = SPACE
        raise RequestInvalid(field="texts", reason=SECRET)
    with pytest.raises(asyncio.CancelledError), traced.watch.request("Embed") as seen:
        raise asyncio.CancelledError
    refused, gone = traced.spans
    assert refused.status.status_code is StatusCode.ERROR and refused.status.description == "RequestInvalid"
    assert gone.status.status_code is StatusCode.UNSET and gone.attributes["samespace.outcome"] == "gone"
    assert SECRET not in refused.to_json()


def test_settings_say_what_is_wrong() -> None:
    """An endpoint that is no URL, and a share that is none."""
    for endpoint, percent in (("localhost:4318", 100), ("http://localhost:4318", 101), ("http://localhost:4318", -1)):
        with pytest.raises(ConfigInvalid):
            Tracing(endpoint, percent)


def test_nothing_of_it_is_imported_where_nobody_traces() -> None:
    """A server without --otel-endpoint does not load OpenTelemetry."""
    code = (
        "import sys, samespace_server.app, samespace.cli.serving.serve;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
