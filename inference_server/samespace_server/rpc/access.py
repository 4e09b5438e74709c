"""Who is let in over gRPC, and how many: tokens for every call but health, certificates that can change, bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc

from samespace.errors import Unauthenticated

from ..security.tls import ServerTls
from ..security.tokens import Guard
from ..settings import HttpLimits
from .errors import abort

_OPEN: Final = "/grpc.health."
"""Probes cannot bring a token."""


MAX_STREAMS: Final = 1024
"""Calls of one connection at a time; a client's further ones wait on its side."""


def bounds(limits: HttpLimits) -> tuple[tuple[str, int], ...]:
    """HTTP's limits as options of a gRPC server, as far as gRPC has them."""
    return (
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.server_handshake_timeout_ms", limits.header_timeout_ms),
        # A client whose host vanished is noticed, and its calls are given up.
        ("grpc.keepalive_time_ms", limits.keep_alive_ms),
        ("grpc.keepalive_timeout_ms", limits.transfer_timeout_ms),
    )


class RefuseUnknown(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without a known token before a message of theirs is read."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, or one of the same kind that refuses."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(_OPEN):
            return handler
        try:
            self._guard.tokens.check(_authorization(details.invocation_metadata), where=details.method[:200])
        except Unauthenticated as error:
            return _refusing(handler, error)
        return handler


def _authorization(metadata: Any) -> bytes | None:
    for key, value in metadata or ():
        if key == "authorization":
            return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return None


def _refusing(handler: Any, error: Unauthenticated) -> Any:
    async def refuse(request: Any, context: Any) -> NoReturn:
        await abort(context, error)

    kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    behaviours = {kind: refuse for kind in kinds if getattr(handler, kind) is not None}
    return handler._replace(request_deserializer=None, **behaviours)


class Certificates:
    """gRPC's credentials over the certificates of the moment."""

    def __init__(self, tls: ServerTls) -> None:
        """Begin with *tls*."""
        self._needs_client = tls.client_ca is not None
        self._new: Any = None
        self._first = _configuration(tls)

    def use(self, tls: ServerTls) -> None:
        """Let connections from now on see *tls*."""
        self._new = _configuration(tls)

    def credentials(self) -> Any:
        """For `add_secure_port`."""
        return grpc.dynamic_ssl_server_credentials(self._first, self._fetch, self._needs_client)

    def _fetch(self) -> Any:
        """Asked by gRPC, in a thread of its own, for each new connection; None for no change."""
        new, self._new = self._new, None
        return new


def _configuration(tls: ServerTls) -> Any:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.cert)], tls.client_ca)
