"""OpenTelemetry spans of requests, for those who ask for them (extra `otel`).

    embed vectors                  the request; child of the caller's span where it sent a W3C `traceparent`
      tokenize, queue, run         its stages, laid end to end

A request becomes spans when it is over, from what was measured anyway, so tracing costs nothing while it is at work.
Spans say which space, how many texts, tokens and windows, and how many windows shared its largest run. They never
hold a text, a token or a message of an error.

This is the only module that imports OpenTelemetry, and it is imported only where tracing is on.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from samespace import __version__

from ..settings import Tracing
from .observe import GONE, OK, Parent, Seen

SCOPE: Final = "samespace"


class Tracer:
    """Turns requests that are over into spans."""

    def __init__(self, processor: SpanProcessor, *, percent: int) -> None:
        """Hand spans to *processor*: those of *percent* of the requests that bring no decision of their own."""
        resource = Resource.create({"service.name": "samespace", "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBasedTraceIdRatio(percent / 100), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SCOPE, __version__)
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def to_collector(cls, tracing: Tracing) -> Tracer:
        """One that sends spans to a collector, in batches, from a thread of its own."""
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=tracing.endpoint)), percent=tracing.percent)

    def record(self, seen: Seen) -> None:
        """Make the spans of *seen*, which is over."""
        span = self._tracer.start_span(
            f"embed {seen.route}",
            context=self._context(seen.parent),
            kind=SpanKind.SERVER,
            attributes={"samespace.route": seen.route, "samespace.outcome": seen.outcome},
            start_time=seen.started_ns,
        )
        if span.is_recording():
            if seen.space_id is not None:
                span.set_attribute("samespace.space_id", seen.space_id)
            if seen.answer is not None:
                tokens, windows = seen.answer.embedded.tokens, seen.answer.embedded.windows
                span.set_attribute("samespace.texts", len(tokens))
                span.set_attribute("samespace.tokens", sum(tokens))
                span.set_attribute("samespace.windows", sum(windows))
                span.set_attribute("samespace.batch_rows", seen.answer.timings.batch_rows)
                self._record_stages(seen, set_span_in_context(span, Context()))
            if seen.outcome not in (OK, GONE):
                span.set_status(StatusCode.ERROR, seen.outcome)
        span.end(seen.started_ns + seen.elapsed_us * 1000)

    def _record_stages(self, seen: Seen, context: Context) -> None:
        assert seen.answer is not None
        timings = seen.answer.timings
        at_ns = seen.started_ns + max(0, timings.arrived_us - seen.began_us) * 1000
        stages = (("tokenize", timings.tokenize_us), ("queue", timings.queue_us), ("run", timings.run_us))
        for name, took_us in stages:
            stage = self._tracer.start_span(name, context=context, start_time=at_ns)
            at_ns += took_us * 1000
            stage.end(at_ns)

    def _context(self, parent: Parent) -> Context:
        """The caller's trace, or none: what is malformed is passed over, as W3C wants it."""
        if parent.traceparent is None:
            return Context()
        carrier = {"traceparent": parent.traceparent}
        if parent.tracestate is not None:
            carrier["tracestate"] = parent.tracestate
        return self._propagator.extract(carrier, context=Context())

    def close(self) -> None:
        """Send what is not sent yet; takes as long as the collector lets it, 30 s at most."""
        self._provider.shutdown()
