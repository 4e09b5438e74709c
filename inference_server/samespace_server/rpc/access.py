"""Who is let in over gRPC, and how many: tokens for every call but health, certificates that can change, bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from samespace.errors import Unauthenticated

from ..observing.observe import NO_PARENT, Parent
from ..security.tls import ServerTls
from ..security.tokens import Guard
from ..settings import HttpLimits
from .errors import end

_OPEN: Final = "/grpc.health."
"""Probes cannot bring a token."""
OPEN_BYTES: Final = 4096
"""Of the largest message of those calls that need no token."""
RECEIVE_BUFFER_BYTES: Final = 1 << 18
"""Of the kernel for a connection: what is read still after it was hung up. The window is smaller."""
STREAM_WINDOW_BYTES: Final = 1 << 16
"""What a client may send of a call that nobody reads yet."""


def bounds(limits: HttpLimits, message_bytes: int) -> tuple[tuple[str, int], ...]:
    """Our limits as options of a gRPC server, as far as gRPC has them.

    Args:
        message_bytes: of the largest message.
    """
    return (
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_send_message_length", -1),
        # gRPC would decompress before it looks at any limit, and before anybody is asked for a token: a megabyte
        # became a gigabyte. Bit 0 is "not compressed"; whatever else is UNIMPLEMENTED before its first byte is read.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
        # For each ping too many gRPC writes a farewell of 4 KB, and waits until the client has read it; see `floods`.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.tcp_receive_buffer_size", RECEIVE_BUFFER_BYTES),
        ("grpc.http2.bdp_probe", 0),  # it would raise that window with the speed of the link
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server behind it
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", limits.max_streams),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.server_handshake_timeout_ms", limits.header_timeout_ms),
        # A client whose host vanished is noticed, and its calls are given up.
        ("grpc.keepalive_time_ms", limits.keep_alive_ms),
        ("grpc.keepalive_timeout_ms", limits.transfer_timeout_ms),
    )


def is_open(method: str) -> bool:
    """Whether *method* is answered without a token."""
    return method.startswith(_OPEN)


def holder_of(guard: Guard, details: Any, peer: str) -> str:
    """On whose account a call is: see `Guard.client`. Calls that need no token have an account of their own.

    Args:
        peer: as gRPC tells it: "ipv4:127.0.0.1:54321", "ipv6:[::1]:54321", "unix:...".
    """
    if is_open(details.method):
        return f"probes of {_address(peer)}"
    return client_of(guard, details.invocation_metadata, peer)


def client_of(guard: Guard, metadata: Any, peer: str) -> str:
    """Who calls: see `Guard.client`."""
    return guard.client(_authorization(metadata), _address(peer))


def _address(peer: str) -> str:
    return peer.partition(":")[2].rpartition(":")[0]


class RefuseUnknown(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without a known token before a message of theirs is read."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, or one of the same kind that refuses."""
        handler = await continuation(details)
        if handler is None or is_open(details.method):
            return handler
        try:
            self._guard.tokens.check(_authorization(details.invocation_metadata), where=details.method[:200])
        except Unauthenticated as error:
            return _refusing(error)
        return handler


def _authorization(metadata: Any) -> bytes | None:
    for key, value in metadata or ():
        if key == "authorization":
            return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return None


def _refusing(error: Unauthenticated) -> Any:
    """A handler that reads nothing: gRPC reads a message before a handler of another kind is asked."""

    async def refuse(_: Any, context: Any) -> None:
        end(context, error)

    return grpc.stream_stream_rpc_method_handler(refuse)


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


def parent_of(context: Any) -> Parent:
    """The trace that a call is part of."""
    told = {key: value for key, value in context.invocation_metadata() or () if key in ("traceparent", "tracestate")}
    return Parent(told.get("traceparent"), told.get("tracestate")) if told else NO_PARENT
