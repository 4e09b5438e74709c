"""What the server counts, in Prometheus' format. Numbers only: no text and no part of one is ever a label.

Labels have few values: spaces that were served, by their first 12 hex digits; roles, routes, stages and the classes
of errors, which are ours. What a caller sent is never one. Times are in seconds, as Prometheus wants them.

What is counted stays when a space is unloaded, because counters only grow. What is true at the moment (which spaces
there are, whether they are ready) is asked of `Spaces` when the page is read, so that it cannot be stale.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from samespace import __version__
from samespace.errors import short
from samespace.text import Role

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
UNKNOWN_SPACE: Final = "unknown"
"""The label of requests for spaces that are not served: the asked id is the caller's, and labels must stay few."""

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LAG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class ServedNow(Protocol):
    """What is served at the moment, as `spaces.registry` knows it."""

    @property
    def at_work(self) -> int:
        """Requests accepted and not answered yet."""

    @property
    def ready(self) -> bool:
        """Whether every request would be answered."""

    def is_ready(self, engine: Any) -> bool:
        """Whether the space of *engine* would answer."""

    def __iter__(self) -> Iterator[Any]:
        """The engines, each with `space_id` and `loaded`."""


class Telemetry:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "samespace_requests", "Requests answered, by outcome: ok, gone, or the error's class.",
            ["space", "route", "outcome"], registry=registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "samespace_request_seconds", "Time from a request to its vectors; only what was answered with some.",
            ["space", "route"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "samespace_refused", "Requests refused early, by the error's class.", ["space", "reason"], registry=registry
        )
        self.http_refused = Counter(
            "samespace_http_refused", "Connections and requests cut off before they were one, by reason.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.grpc_refused = Counter(
            "samespace_grpc_refused", "Messages over gRPC cut off before they were whole, by reason.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self._messages = Gauge(
            "samespace_grpc_held_bytes", "Bytes of messages over gRPC that came and are not answered.",
            registry=registry,
        )  # fmt: skip
        self.texts = Counter("samespace_texts", "Texts embedded.", ["space", "role"], registry=registry)
        self.windows = Counter("samespace_windows", "Windows run.", ["space"], registry=registry)
        self.tokens = Counter("samespace_tokens", "Tokens run, padding excluded.", ["space"], registry=registry)
        self.padding = Counter(
            "samespace_padding_tokens", "Tokens run that were padding.", ["space"], registry=registry
        )
        self.batch_rows = Histogram(
            "samespace_batch_rows", "Windows of one run of the model.", ["space"], buckets=_ROWS, registry=registry
        )
        self.queued = Gauge(
            "samespace_queued_tokens", "Tokens that wait or run at the moment.", ["space"], registry=registry
        )
        self.queue_limit = Gauge(
            "samespace_queue_limit_tokens", "Tokens that may wait or run, per space.", registry=registry
        )
        self.stage = Histogram(
            "samespace_stage_seconds", "Time of a request in a stage: tokenize, queue, run.",
            ["space", "stage"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.cache = Counter(
            "samespace_cache", "Queries looked up in the vector cache, by outcome: hit or miss.",
            ["space", "outcome"], registry=registry,
        )  # fmt: skip
        self.loop_lag = Histogram(
            "samespace_loop_lag_seconds", "How late the event loop was for a timer that is due 50 times a second.",
            buckets=_LAG_SECONDS, registry=registry,
        )  # fmt: skip
        self.streams = Gauge("samespace_grpc_streams", "EmbedStream calls that are open.", registry=registry)
        self._connections = Gauge("samespace_http_connections", "HTTP connections that are open.", registry=registry)
        build = Gauge("samespace_build_info", "1; what runs.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=registry)

    def watch(self, spaces: ServedNow, connections: Callable[[], int]) -> None:
        """Tell of these spaces, and of as many HTTP connections as *connections* says, from now on."""
        self._registry.register(_SpacesNow(spaces))
        self._connections.set_function(connections)

    def refuse_message(self, reason: str) -> None:
        """Count a message over gRPC that was cut off; *reason* is one of a few words."""
        self.grpc_refused.labels(reason).inc()

    def watch_messages(self, held_bytes: Callable[[], int]) -> None:
        """Tell of so many bytes of gRPC's messages, from now on."""
        self._messages.set_function(held_bytes)

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)

    def of_space(self, space_id: str) -> SpaceTelemetry:
        """The counters of one space."""
        return SpaceTelemetry(self, space_id)

    def families(self) -> Iterator[Metric]:
        """What there is to read, as values."""
        return iter(self._registry.collect())


class SpaceTelemetry:
    """The counters of one space, looked up once."""

    def __init__(self, telemetry: Telemetry, space_id: str) -> None:
        space = short(space_id)
        self._refused, self._space = telemetry.refused, space
        self._texts = {role: telemetry.texts.labels(space, role) for role in ("query", "passage")}
        self._windows = telemetry.windows.labels(space)
        self._tokens = telemetry.tokens.labels(space)
        self._padding = telemetry.padding.labels(space)
        self._batch_rows = telemetry.batch_rows.labels(space)
        self.queued = telemetry.queued.labels(space)
        self._stages = {stage: telemetry.stage.labels(space, stage) for stage in ("tokenize", "queue", "run")}
        self._cache = {hit: telemetry.cache.labels(space, "hit" if hit else "miss") for hit in (True, False)}

    def refuse(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(self._space, reason).inc()

    def looked_up(self, *, hit: bool) -> None:
        """Count one query looked up in the cache of vectors."""
        self._cache[hit].inc()

    def answered(self, role: Role, texts: int) -> None:
        """Count *texts* texts whose vectors were given."""
        self._texts[role].inc(texts)

    def took(self, *, tokenize_us: int, queue_us: int, run_us: int) -> None:
        """Note the time that one request spent in each stage, in microseconds."""
        for stage, us in (("tokenize", tokenize_us), ("queue", queue_us), ("run", run_us)):
            self._stages[stage].observe(us / 1e6)

    def ran(self, *, rows: int, tokens: int, padded: int) -> None:
        """Count one run of the model; *padded* tokens of which *tokens* were real."""
        self._windows.inc(rows)
        self._tokens.inc(tokens)
        self._padding.inc(padded - tokens)
        self._batch_rows.observe(rows)


class _SpacesNow(Collector):
    """The spaces at the moment of asking."""

    def __init__(self, spaces: ServedNow) -> None:
        self._spaces = spaces

    def collect(self) -> Iterator[Metric]:
        spaces = self._spaces
        yield GaugeMetricFamily(
            "samespace_requests_at_work", "Requests accepted and not answered yet.", value=spaces.at_work
        )
        yield GaugeMetricFamily(
            "samespace_ready", "1 if every request would be answered, as the ready probe has it.", value=spaces.ready
        )
        info = GaugeMetricFamily(
            "samespace_space_info", "1 for each space that is served.",
            labels=["space", "space_id", "name", "build", "runtime", "precision"],
        )  # fmt: skip
        ready = GaugeMetricFamily(
            "samespace_space_ready", "1 if the space would answer.", labels=["space"]
        )  # fmt: skip
        worst = GaugeMetricFamily(
            "samespace_probe_worst", "Largest 1 - cos over the probes at load.", labels=["space"]
        )  # fmt: skip
        for engine in spaces:
            loaded, space = engine.loaded, short(engine.space_id)
            name = loaded.artifact.manifest.name
            told = [space, engine.space_id, name, loaded.build_name, loaded.runtime, loaded.precision]
            info.add_metric(told, 1)
            ready.add_metric([space], spaces.is_ready(engine))
            worst.add_metric([space], loaded.worst)
        yield from (info, ready, worst)
