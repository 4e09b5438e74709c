"""The page at `/` for people, and the numbers behind it at `/status.json`.

The page is one file without any other: no library, no font, no image from anywhere, and a content security policy
that allows nothing but itself (by digest) and requests to this server. It holds no data; whatever it shows it reads
as JSON and puts in as text, because names come from artifacts. Where the server wants tokens, the page asks for one
and keeps it in the page's memory alone.

What it leaves to others: who may read the numbers (`http`), the numbers themselves (`telemetry`).
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

from prometheus_client.core import Metric

from samespace import __version__
from samespace.errors import short

from ..observing.telemetry import Telemetry
from ..settings import Limits
from ..spaces.registry import AnyEngine, Spaces
from .messages import Request, Response, json_response
from .routes import HttpApp, Route

PAGE: Final = "status_page.html"
HTML: Final = b"text/html; charset=utf-8"
_INLINE: Final = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def add_status(app: HttpApp, spaces: Spaces, telemetry: Telemetry, limits: Limits, *, embeds: bool = True) -> None:
    """Add `/` and `/status.json`. The page is open to everybody, as it holds nothing; the numbers are not.

    Args:
        embeds: whether texts can be embedded over the same port, so that the page can offer to compare two.
    """
    html = files(__package__).joinpath(PAGE).read_text(encoding="utf-8")
    page = Response(200, html.encode(), HTML, page_headers(html))
    began_s = time.monotonic()

    async def show(request: Request) -> Response:
        return page

    async def numbers(request: Request) -> Response:
        told = status(spaces, telemetry.families(), limits, uptime_s=int(time.monotonic() - began_s))
        told["server"]["embeds"] = embeds
        return json_response(told, headers=((b"cache-control", b"no-store"),))

    app.add("GET", "", Route(show, is_open=True, for_known_hosts=True))
    app.add("GET", "status.json", Route(numbers, for_known_hosts=True))


def status(spaces: Spaces, families: Iterable[Metric], limits: Limits, *, uptime_s: int) -> dict[str, Any]:
    """Everything that the page shows, as numbers that only grow or are true now; rates are the page's business."""
    counted = _Counted(families)
    return {
        "server": {
            "version": __version__,
            "state": spaces.state,
            "ready": spaces.ready,
            "default": spaces.default,
            "uptime_s": uptime_s,
            "requests_at_work": spaces.at_work,
            "http_connections": int(counted.sum("samespace_http_connections")),
            "grpc_streams": int(counted.sum("samespace_grpc_streams")),
            "queue_limit_tokens": limits.max_queued_tokens,
            "resident_bytes": int(counted.sum("process_resident_memory_bytes")),
            "cpu_seconds": counted.sum("process_cpu_seconds_total"),
            "unknown_space": int(counted.sum("samespace_requests_total", space="unknown")),
        },
        "spaces": [_space(engine, spaces, counted) for engine in spaces],
    }


def _space(engine: AnyEngine, spaces: Spaces, counted: _Counted) -> dict[str, Any]:
    loaded = engine.loaded
    artifact = loaded.artifact
    space = short(engine.space_id)
    # What runs the model counts for each part of a composite.
    parts = [short(part.space_id) for part in artifact.parts] or [space]
    every_part = artifact.manifest.composite is not None and artifact.manifest.composite.kind == "concatenation"

    def total(name: str) -> int:
        return int(sum(counted.sum(name, space=part) for part in parts))

    return {
        "space_id": engine.space_id,
        "name": artifact.manifest.name,
        "dims": engine.dims,
        "matryoshka_dims": list(artifact.manifest.matryoshka_dims),
        "token_limit": artifact.token_limit,
        "role_matters": artifact.role_matters,
        "build": loaded.build_name,
        "runtime": loaded.runtime,
        "precision": loaded.precision,
        "probe_worst": loaded.worst,
        "probe_bound": loaded.bound,
        "ready": spaces.is_ready(engine),
        "broken": engine.broken,
        "requests_at_work": spaces.at_work_of(engine),
        "requests": counted.by("outcome", "samespace_requests_total", space=space),
        "latency": counted.buckets("samespace_request_seconds_bucket", space=space),
        "texts": total("samespace_texts_total") // (len(parts) if every_part else 1),
        "tokens": total("samespace_tokens_total"),
        "padding_tokens": total("samespace_padding_tokens_total"),
        "windows": total("samespace_windows_total"),
        "runs": total("samespace_batch_rows_count"),
        "queued_tokens": total("samespace_queued_tokens"),
    }


class _Counted:
    """Samples of a registry, to be asked by name and labels."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in families:
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def sum(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self._matching(name, labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for told, value in self._matching(name, labels):
            found[told[label]] = found.get(told[label], 0) + int(value)
        return found

    def buckets(self, name: str, **labels: str) -> list[tuple[float | None, int]]:
        """(upper bound in seconds, how many were at most that), ascending; the last bound, which is none, is None."""
        found: dict[float, int] = defaultdict(int)
        for told, value in self._matching(name, labels):
            found[float(told["le"])] += int(value)
        return [(None if bound == float("inf") else bound, found[bound]) for bound in sorted(found)]

    def _matching(self, name: str, labels: Mapping[str, str]) -> Iterable[tuple[Mapping[str, str], float]]:
        return [each for each in self._samples[name] if labels.items() <= each[0].items()]


def page_headers(html: str) -> tuple[tuple[bytes, bytes], ...]:
    """What keeps the page to itself: its own style and script by their digests, this server, and nothing else."""
    digests = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in _INLINE.findall(html)
    }
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{digests['style']}'",
            f"script-src 'sha256-{digests['script']}'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return (
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    )
