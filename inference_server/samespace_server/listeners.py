"""Both doors of the server, and what they share: ports, tokens and certificates.

What it leaves to others: what is behind the doors (`spaces`), and when to open and to close them (`app`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
from collections.abc import Iterator
from typing import Final

from samespace.errors import ConfigInvalid

from .budgets import ByteBudget
from .http.about import add_about, add_meta
from .http.browsers import Origins
from .http.hosts import KnownHosts
from .http.openapi import add_openapi
from .http.reranking import add_rerankers
from .http.routes import HttpApp, add_encoder, add_health, add_metrics
from .http.server import HttpServer
from .http.status_page import add_status
from .observing.logs import tell
from .observing.observe import Watch
from .observing.telemetry import Telemetry
from .rpc.service import GrpcServer
from .security.tls import ServerTls
from .security.tokens import Guard
from .settings import Settings
from .spaces.registry import Spaces

_OTHER_FILES: Final = 512
"""File descriptors for what is not an HTTP connection: gRPC, models, logs."""


class Doors:
    """HTTP and gRPC over the same spaces. Made and used on the event loop."""

    def __init__(self, spaces: Spaces, watch: Watch, telemetry: Telemetry, settings: Settings) -> None:
        """Not open yet; raises `ConfigInvalid` where tokens or certificates are of no use."""
        security = self._security = settings.security
        self._settings = settings
        self._guard = Guard(security.tokens, security.token_file)
        tls = None if security.tls is None else ServerTls.read(security.tls)
        apart = settings.ops_port is not None
        origins, prefix = Origins((settings.cors_origins or "").split(",")), settings.path_prefix or ""
        app = HttpApp(telemetry, self._guard, _known_hosts(settings), origins=origins, prefix=prefix)
        add_health(app, spaces)
        add_meta(app, spaces)
        add_encoder(app, spaces, watch, most_texts=settings.limits.max_texts_per_request)
        add_rerankers(app, spaces, watch, most_texts=settings.limits.max_texts_per_request)
        add_about(app, spaces, most_texts=settings.limits.max_texts_per_request)
        if not apart:
            add_metrics(app, telemetry)
            add_status(app, spaces, telemetry, settings.limits)
        add_openapi(app, prefix)
        most = settings.limits.max_request_bytes
        held, context = ByteBudget(settings.http.max_held_bytes), None if tls is None else tls.context
        ops = _ops(spaces, watch, telemetry, settings)
        self._http = HttpServer(app, settings.http, max_body_bytes=most, tls=context, held=held)
        self._ops = HttpServer(ops, settings.http, max_body_bytes=most, held=held)
        self._grpc = GrpcServer(spaces, watch, telemetry, settings, (self._guard, tls))

    async def open(self, listener: socket.socket) -> dict[str, int | None]:
        """Take requests from *listener* and on the other ports; their names and numbers.

        Raises:
            ConfigInvalid: a port is taken.
        """
        host, ops_port = self._settings.host, self._settings.ops_port
        if self._security.is_open and not _is_loopback(host):
            tell("open to everybody", level=logging.WARNING, host=host, lacks="--token-file or --tls-client-ca")
        _allow_files(self._settings.http.max_connections + _OTHER_FILES)
        await self._http.start(listener)
        if ops_port is not None:
            ops_listener = listen(host, ops_port, key="ops_port")
            ops_port = int(ops_listener.getsockname()[1])
            await self._ops.start(ops_listener)
        grpc_port = await self._grpc.start(host, self._settings.grpc_port)
        return {"http_port": int(listener.getsockname()[1]), "grpc_port": grpc_port, "ops_port": ops_port}

    @property
    def http_connections(self) -> int:
        """How many are open."""
        return self._http.open_connections + self._ops.open_connections

    def reload(self) -> None:
        """Read tokens and certificates again; what is of no use changes nothing, and is told in the log."""
        self._reloading = asyncio.create_task(self._reload())  # a task that nobody holds may vanish

    async def _reload(self) -> None:
        try:
            self._guard.reload()
            if self._security.tls is not None:
                tls = ServerTls.read(self._security.tls)
                await self._http.use_tls(tls.context)
                self._grpc.use_tls(tls)
        except ConfigInvalid as error:
            tell("not read again", level=logging.ERROR, reason=str(error))
        else:
            tell("read again", tokens=len(self._guard.tokens), certificate=self._security.tls is not None)

    @contextlib.contextmanager
    def draining(self, grace_ms: int) -> Iterator[None]:
        """Tell clients to go elsewhere while what was accepted is finished, which may take *grace_ms*."""
        self._http.drain()
        self._ops.drain()
        # GOAWAY as soon as may be: gRPC's clients take their next call elsewhere by themselves.
        leaving = asyncio.create_task(self._grpc.stop(grace_ms))
        try:
            yield
        finally:
            leaving.cancel()

    async def close(self, grace_ms: int) -> None:
        """Take no more requests, and give answers that are under way *grace_ms*."""
        await asyncio.gather(self._grpc.stop(grace_ms), self._http.stop(grace_ms), self._ops.stop(grace_ms))


def _ops(spaces: Spaces, watch: Watch, telemetry: Telemetry, settings: Settings) -> HttpApp:
    """What the ops port answers: no tokens, so nothing that tokens are for."""
    app = HttpApp(telemetry, Guard(), _known_hosts(settings))
    add_health(app, spaces)
    add_meta(app, spaces)
    add_metrics(app, telemetry)
    embeds = settings.security.is_open
    add_status(app, spaces, telemetry, settings.limits, embeds=embeds)
    if embeds:  # the page compares texts over its own port
        add_encoder(app, spaces, watch, most_texts=settings.limits.max_texts_per_request)
        add_about(app, spaces, most_texts=settings.limits.max_texts_per_request)
    return app


def _known_hosts(settings: Settings) -> KnownHosts:
    return KnownHosts([settings.host, *(settings.host_names or "").split(",")])


def listen(host: str, port: int, *, key: str = "http_port") -> socket.socket:
    """A listening socket; raises `ConfigInvalid` where the port is taken."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        # Python adds "(while attempting to bind on address ...)", which the message says already.
        cause = (error.strerror or str(error)).partition(" (while")[0]
        remedy = f"choose another with --{key.replace('_', '-')}, or another --host"
        raise ConfigInvalid(key=key, reason=f"cannot listen on {host}:{port}: {cause}; {remedy}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _allow_files(count: int) -> None:
    """Many shells allow 1024 open files, and more on request; beyond them connections would hang."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < count:
            tell("few files may be open", level=logging.WARNING, limit=most, needed=count, see="ulimit -n")
