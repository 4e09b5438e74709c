"""`samespace health`: whether a server is ready, as an exit code; for containers, scripts and load balancers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import click

from ...errors import ConfigInvalid, RequestInvalid, ServerUnavailable
from ..console import say


@click.command()
@click.argument("address", metavar="ADDRESS")
@click.option("--timeout-ms", default=2_000, show_default=True, help="Time to wait for the answer, in ms.")
def health(address: str, timeout_ms: int) -> None:
    """Exit with 0 if a server is ready, with 1 if it is not.

    ADDRESS is HOST:PORT of its gRPC side (with /SPACE, whether that space is served), or http://HOST:PORT of its HTTP
    side (with /e/SPACE). A server that loads, drains or cannot be reached is not ready; of several replicas, all have
    to be. Certificates come from SAMESPACE_CA, SAMESPACE_CERT and SAMESPACE_KEY.

    \b
    Example:
      samespace health localhost:8081
      samespace health http://localhost:8080
    """
    if timeout_ms < 1:
        raise RequestInvalid(field="--timeout-ms", reason=f"{timeout_ms}; expected 1 or more")
    over_http = address.startswith(("http://", "https://"))
    reason = _http(address, os.environ, timeout_ms) if over_http else _grpc(address, timeout_ms)
    if reason is not None:
        say(f"not ready: {reason}")
        sys.exit(1)
    say("ready")


def _grpc(text: str, timeout_ms: int) -> str | None:
    from ...extras import require_extra
    from ...rpc.address import ServerAddress
    from ..encoders import access_from

    require_extra("rpc", feature="asking a server over gRPC", modules=("grpc", "google.protobuf"))
    from ...rpc.health import why_not_ready

    return why_not_ready(ServerAddress.parse(text), access_from(os.environ), timeout_ms=timeout_ms)


def _http(text: str, environment: Mapping[str, str], timeout_ms: int) -> str | None:
    from ...extras import require_extra

    require_extra("server", feature="asking a server over HTTP", modules=("httpx",))
    from ...web import WebClient, WebOptions

    url = urlsplit(text)
    if not url.hostname:
        raise RequestInvalid(field="ADDRESS", reason=f"{text!r}; expected http://HOST:PORT")
    where = url.netloc.rpartition("@")[2]
    options = WebOptions(
        ca=environment.get("SAMESPACE_CA", ""),
        certificate=environment.get("SAMESPACE_CERT", ""),
        key=environment.get("SAMESPACE_KEY", ""),
        timeout_s=timeout_ms / 1000,
    )
    try:
        with WebClient(text, options) as web:
            reply = web.ask("GET", "/.well-known/ready", most_bytes=500)
    except ServerUnavailable as error:
        return f"{where}: {error.reason}"
    except ConfigInvalid as error:
        return f"{where}: {error}"
    return None if reply.status in (200, 204) else f"{where}: status {reply.status} {reply.text()}".rstrip()
