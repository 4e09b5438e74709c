"""Listens for HTTP, counts what all connections hold together, and tells them the time.

One sweep over all connections, a few times a second at most, ends whatever has taken too long; so a request
costs no timer.

What it leaves to others: the bytes of a connection (`connection`), the answers (`http`).
"""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
from typing import Final

from ..settings import HttpLimits
from .connection import Connection
from .messages import App

_SWEEP_MS: Final = 1_000
_BACKLOG: Final = 2048
"""Connections that wait in the kernel while the event loop is busy; Linux may cut it to net.core.somaxconn."""


class HttpServer:
    """An HTTP/1.1 server for one app. Made and used on the event loop."""

    def __init__(self, app: App, limits: HttpLimits, *, max_body_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Not listening yet; in the clear without *tls*."""
        self.app, self.limits, self.max_body_bytes, self._tls = app, limits, max_body_bytes, tls
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.date = b""
        self._connections: set[Connection] = set()
        self._held_bytes = 0
        self._empty = asyncio.Event()
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        # Short limits, as tests have them, are looked after more often.
        self._sweep_ms = min(_SWEEP_MS, max(20, min(limits.header_timeout_ms, limits.transfer_timeout_ms) // 4))

    async def start(self, listener: socket.socket) -> None:
        """Take connections from *listener*, which is the server's from now on."""
        self._listener = listener
        self._sweep()
        await self._listen()

    async def use_tls(self, tls: ssl.SSLContext) -> None:
        """Let connections from now on use *tls*; those that are open stay as they are."""
        assert self._server is not None
        self._server.close()  # meanwhile new connections wait in the kernel, because the listener is still open
        self._tls = tls
        await self._listen()

    async def _listen(self) -> None:
        assert self._listener is not None
        handshake_s = self.limits.header_timeout_ms / 1000 if self._tls else None
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            sock=self._listener.dup(),
            ssl=self._tls,
            ssl_handshake_timeout=handshake_s,
            backlog=_BACKLOG,
        )

    def drain(self) -> None:
        """Let every answer from now on be the last of its connection; who has nothing to send yet may still ask.

        Closing idle connections already would lose the request that is on its way.
        """
        self.closing = True

    async def stop(self, grace_ms: int) -> None:
        """Take no more connections, and give answers that are under way *grace_ms*."""
        self.closing = True
        if self._server is not None and self._listener is not None:
            self._server.close()
            self._listener.close()
        for connection in tuple(self._connections):
            connection.finish()
        if self._connections:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), grace_ms / 1000)
            except TimeoutError:
                for connection in tuple(self._connections):
                    connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    # -- what connections ask

    def enter(self, connection: Connection) -> bool:
        """Whether there is room for one more connection; it is counted either way, until it leaves."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.max_connections

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def hold(self, size: int) -> bool:
        """Count *size* more bytes of bodies in memory (negative: fewer); False where that is too much."""
        self._held_bytes += size
        return self._held_bytes <= self.limits.max_held_bytes

    def now_ms(self) -> int:
        """Monotonic time."""
        return int(self.loop.time() * 1000)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def _sweep(self) -> None:
        self.date = email.utils.formatdate(usegmt=True).encode("ascii")
        for connection in tuple(self._connections):
            connection.tick()
        self._sweeper = self.loop.call_later(self._sweep_ms / 1000, self._sweep)
