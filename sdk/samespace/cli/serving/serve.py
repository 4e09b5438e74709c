"""`samespace serve`: artifacts over gRPC and HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...errors import ConfigInvalid

if TYPE_CHECKING:
    from samespace_server.settings import Security, Settings, Tracing

TOKENS: Final = "SAMESPACE_TOKENS"
"""The environment's variable for tokens; only this command reads it. An option would show them in `ps`."""

# Each is a field of `HttpLimits`; its docs say when to change it and what that costs.
HTTP_LIMITS: Final[dict[str, tuple[int, str]]] = {
    "max_connections": (1024, "Connections at a time, over each of HTTP and gRPC."),
    "max_target_bytes": (2048, "Bytes of an HTTP path."),
    "max_header_bytes": (16_384, "Bytes of a request's headers, also over gRPC."),
    "max_headers": (64, "Headers of an HTTP request."),
    "header_timeout_ms": (10_000, "For an HTTP request's head, and for a TLS handshake."),
    "transfer_timeout_ms": (10_000, "For a body in either direction, beside its bytes by --min-bytes-per-s."),
    "min_bytes_per_s": (16_384, "The slowest body that is waited for."),
    "keep_alive_ms": (120_000, "How long an idle HTTP connection is kept."),
    "max_held_bytes": (256 << 20, "Bytes of all HTTP bodies in memory."),
}
# Settings whose options have other names.
_OPTIONS: Final = {
    "artifacts": "ARTIFACT",
    "tokens": "tokens",
    "max_texts_per_request": "--max-texts",
    "max_windows_per_text": "--max-windows",
}
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


def _http_limits(command: Callable[..., None]) -> Callable[..., None]:
    for name, (default, text) in reversed(HTTP_LIMITS.items()):
        option = click.option(f"--{name.replace('_', '-')}", default=default, show_default=True, help=text)
        command = option(command)
    return command


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--http-port", default=8080, show_default=True, help="For Weaviate and HTTP clients; 0: a free one.")
@click.option("--grpc-port", default=8081, show_default=True, help="For samespace's own clients; 0: a free one.")
@click.option("--tls-cert", type=_FILE, help="PEM file of the server's certificate; HTTP and gRPC speak TLS then.")
@click.option("--tls-key", type=_FILE, help="PEM file of its key, without a passphrase.")
@click.option("--tls-client-ca", type=_FILE, help="Let in only clients with a certificate from one of these CAs.")
@click.option("--token-file", type=_FILE, help=f"Bearer tokens, one a line; {TOKENS} in the environment adds more.")
@click.option("--default-space", metavar="ID", help="The space that answers HTTP paths without /e/ID.")
@click.option("--admin-port", type=int, help="For `samespace spaces`, on 127.0.0.1 alone; off unless given.")
@click.option(
    "--admin-root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Artifacts below this folder may be loaded while the server runs.",
)
@click.option("--ops-port", type=int, help="For /metrics, /meta, the status page and probes, apart from --http-port.")
@click.option(
    "--build",
    default="auto",
    show_default=True,
    help="fp32 for exact vectors, bf16, int8, ...; auto: the fastest that is right.",
)
@click.option("--runtime", default="auto", show_default=True, help="onnxruntime, openvino or auto.")
@click.option("--threads", default=0, show_default=True, help="Cores to keep busy; 0: all that may be used.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    type=click.Choice(["cpu", "cuda", "tensorrt"]),
    help="Others than cpu need the extra gpu.",
)
@click.option("--batch-tokens", default=2048, show_default=True, help="Padded tokens of one run of the model.")
@click.option("--max-texts", default=2048, show_default=True, help="Texts of one request.")
@click.option("--max-request-bytes", default=16 << 20, show_default=True, help="Bytes of one request.")
@click.option("--max-windows", default=512, show_default=True, help="Windows of one text.")
@click.option("--max-queued-tokens", default=262_144, show_default=True, help="Beyond it, requests are refused.")
@click.option("--max-queue-ms", default=2000, show_default=True, help="Who would wait longer is refused; bulk 8 times.")
@click.option("--runners", default=0, show_default=True, help="Runs of the model at a time; 0: as many as pay.")
@click.option("--cache-bytes", default=0, show_default=True, help="For vectors of queries that repeat; 0: none.")
@click.option("--slice-ms", default=8, show_default=True, help="Longest run of others while queries come.")
@click.option("--drain-timeout-ms", default=25_000, show_default=True, help="For accepted requests after SIGTERM.")
@click.option(
    "--log-format",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="Of the lines on stderr.",
)
@click.option("--otel-endpoint", metavar="URL", help="Send OpenTelemetry spans there, by OTLP over HTTP; extra otel.")
@click.option("--otel-percent", type=int, help="Share of requests traced, unless callers decide.  [default: 100]")
@_http_limits
def serve(artifacts: tuple[Path, ...], **options: Any) -> None:
    """Serve artifacts over gRPC and HTTP.

    Prints one JSON line on stdout when ready, with the ports and the spaces; logs go to stderr. Each space has
    its own HTTP prefix /e/SPACE_ID, which is what a Weaviate collection's inferenceUrl points at. SIGTERM
    finishes what was accepted and ends with 0; SIGHUP reads certificates and tokens again.

    \b
    Example:
      samespace serve artifacts/pydoc
      curl -s localhost:8080/e/SPACE_ID/vectors -d '{"text": "hello", "config": {"task_type": "query"}}'
    """
    from ...extras import require_extra

    require_extra(
        "server", feature="samespace serve", modules=("grpc", "uvloop", "httptools", "orjson",
        "prometheus_client", "grpc_health", "grpc_reflection"),
    )  # fmt: skip
    if options["otel_endpoint"] is not None:
        require_extra(
            "otel", feature="--otel-endpoint", modules=("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")
        )
    from samespace_server.app import run
    from samespace_server.observing.logs import set_up

    with _told_by_option():
        settings = _settings(artifacts, options)
        set_up(options["log_format"], sys.stderr)
        code = run(settings, lambda ready: click.echo(json.dumps(ready)))
    sys.exit(code)


@contextmanager
def _told_by_option() -> Iterator[None]:
    """A setting that is of no use, as an error that names its option."""
    try:
        yield
    except ConfigInvalid as error:
        option = _OPTIONS.get(error.key, f"--{error.key.replace('_', '-')}")
        raise ConfigInvalid(key=option, reason=error.reason) from error


def _settings(artifacts: tuple[Path, ...], options: Mapping[str, Any]) -> Settings:
    from samespace_server.settings import Choice, HttpLimits, Limits, Settings

    return Settings(
        artifacts=artifacts,
        host=options["host"],
        http_port=options["http_port"],
        grpc_port=options["grpc_port"],
        default_space=options["default_space"],
        admin_port=options["admin_port"],
        admin_root=options["admin_root"],
        ops_port=options["ops_port"],
        choice=Choice(options["build"], options["runtime"], options["threads"], options["device"], options["runners"]),
        limits=Limits(
            max_texts_per_request=options["max_texts"],
            max_request_bytes=options["max_request_bytes"],
            max_windows_per_text=options["max_windows"],
            max_queued_tokens=options["max_queued_tokens"],
            max_queue_ms=options["max_queue_ms"],
            slice_ms=options["slice_ms"],
            cache_bytes=options["cache_bytes"],
            batch_tokens=options["batch_tokens"],
            drain_timeout_ms=options["drain_timeout_ms"],
        ),
        http=HttpLimits(**{name: options[name] for name in HTTP_LIMITS}),
        security=_security(options, os.environ.get(TOKENS, "")),
        tracing=_tracing(options["otel_endpoint"], options["otel_percent"]),
    )


def _tracing(endpoint: str | None, percent: int | None) -> Tracing | None:
    from samespace_server.settings import Tracing

    if endpoint is None:
        if percent is not None:
            raise ConfigInvalid(key="otel_percent", reason="of no use without --otel-endpoint; give both or neither")
        return None
    return Tracing(endpoint) if percent is None else Tracing(endpoint, percent)


def _security(options: Mapping[str, Any], tokens: str) -> Security:
    """Who may use the server; *tokens* are separated by blanks or commas."""
    from samespace_server.security.tls import TlsFiles
    from samespace_server.settings import Security

    cert, key, client_ca = (options[f"tls_{name}"] for name in ("cert", "key", "client_ca"))
    if (cert is None) != (key is None):
        missing = "tls_cert" if cert is None else "tls_key"
        raise ConfigInvalid(key=missing, reason="missing; a certificate and its key go together")
    if client_ca is not None and cert is None:
        raise ConfigInvalid(key="tls_client_ca", reason="of no use without --tls-cert and --tls-key")
    tls = None if cert is None else TlsFiles(cert, key, client_ca)
    return Security(tls, options["token_file"], tuple(tokens.replace(",", " ").split()))
