"""What the server counts, in Prometheus' format. Numbers only: no text and no part of one is ever a label.

Spaces are labelled by their first 12 hex digits; times are in seconds, as Prometheus wants them.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from samespace.errors import short
from samespace.runtime import LoadedBuild, LoadedParts

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
UNKNOWN_SPACE: Final = "unknown"
"""The label of requests for spaces that are not served: the asked id is the caller's, and labels must stay few."""

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Telemetry:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "samespace_requests", "Requests answered, by outcome: ok, or the error's class.",
            ["space", "route", "outcome"], registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "samespace_refused", "Requests refused early, by the error's class.", ["space", "reason"], registry=registry
        )
        self.http_refused = Counter(
            "samespace_http_refused", "Connections and requests cut off before they were one, by reason.",
            ["reason"], registry=registry,
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
        self.stage = Histogram(
            "samespace_stage_seconds", "Time of a request in a stage: tokenize, queue, run.",
            ["space", "stage"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.info = Gauge(
            "samespace_space_info", "1 for each space that is served.",
            ["space", "space_id", "name", "build", "runtime", "precision"], registry=registry,
        )  # fmt: skip
        self.at_work = Gauge("samespace_requests_at_work", "Requests accepted and not answered yet.", registry=registry)
        self.probe_worst = Gauge(
            "samespace_probe_worst", "Largest 1 - cos over the probes at load.", ["space"], registry=registry
        )

    def answered(self, space_id: str | None, route: str, outcome: str) -> None:
        """Count one request; *space_id* None for a space that is not served."""
        self.requests.labels(UNKNOWN_SPACE if space_id is None else short(space_id), route, outcome).inc()

    def describe(self, loaded: LoadedBuild | LoadedParts) -> None:
        """Tell of a space that is served now."""
        self.info.labels(*_described(loaded)).set(1)
        self.probe_worst.labels(short(loaded.artifact.space_id)).set(loaded.worst)

    def forget(self, loaded: LoadedBuild | LoadedParts) -> None:
        """Tell of it no more; what was counted stays, because counters only grow."""
        self.info.remove(*_described(loaded))
        self.probe_worst.remove(short(loaded.artifact.space_id))

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


def _described(loaded: LoadedBuild | LoadedParts) -> tuple[str, ...]:
    space_id, name = loaded.artifact.space_id, loaded.artifact.manifest.name
    return (short(space_id), space_id, name, loaded.build_name, loaded.runtime, loaded.precision)


class SpaceTelemetry:
    """The counters of one space, looked up once."""

    def __init__(self, telemetry: Telemetry, space_id: str) -> None:
        space = short(space_id)
        self._refused, self._space = telemetry.refused, space
        self.texts = {role: telemetry.texts.labels(space, role) for role in ("query", "passage")}
        self.windows = telemetry.windows.labels(space)
        self.tokens = telemetry.tokens.labels(space)
        self.padding = telemetry.padding.labels(space)
        self.batch_rows = telemetry.batch_rows.labels(space)
        self.queued = telemetry.queued.labels(space)
        self.tokenize, self.queue, self.run = (
            telemetry.stage.labels(space, stage) for stage in ("tokenize", "queue", "run")
        )

    def refuse(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(self._space, reason).inc()

    def ran(self, *, rows: int, tokens: int, padded: int) -> None:
        """Count one run of the model; *padded* tokens of which *tokens* were real."""
        self.windows.inc(rows)
        self.tokens.inc(tokens)
        self.padding.inc(padded - tokens)
        self.batch_rows.observe(rows)
