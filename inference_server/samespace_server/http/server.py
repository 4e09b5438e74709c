"""Listens for HTTP, counts what all connections hold together, and tells them the time.

One sweep over all connections, a few times a second at most, ends whatever has taken too long; so a request
costs no timer.

What it leaves to others: the bytes of a connection (`connection`), the answers (`http`).
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from ..budgets import ByteBudget, cut_off
from ..observing.logs import tell
from ..settings import HttpLimits
from .connection import Connection
from .messages import App, Request, Response, Work
from .turns import Turns, in_turn
from .unpack import GZIP, in_memory, unpacking

_SWEEP_MS: Final = 1_000
_TELL_MS: Final = 10_000
"""At most so often the log says that there are too many connections."""
PROBES: Final = 64
"""Connections beyond the limit that are let in to ask for probes: a full server must not be restarted for it."""
_BACKLOG: Final = 2048
"""Connections that wait in the kernel while the event loop is busy; Linux may cut it to net.core.somaxconn."""


class HttpServer:
    """An HTTP/1.1 server for one app. Made and used on the event loop."""

    def __init__(
        self,
        app: App,
        limits: HttpLimits,
        *,
        max_body_bytes: int,
        tls: ssl.SSLContext | None = None,
        held: ByteBudget | None = None,
    ) -> None:
        """Not listening yet; in the clear without *tls*. *held* is shared with other servers, or its own."""
        self.app, self.limits, self.max_body_bytes, self._tls = app, limits, max_body_bytes, tls
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.date = b""
        self.held = held or ByteBudget(limits.max_held_bytes)
        self._connections: dict[Connection, None] = {}  # in the order in which they came
        self._turns, self._unpacking = Turns(), asyncio.Lock()
        self._told_ms, self._made_room = -_TELL_MS, 0
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
        """Whether there is room for one more connection; it is counted either way, until it leaves.

        Room is made by closing one that is idle. Where none is, a few more are let in that may ask for probes alone.
        """
        self._connections[connection] = None
        over = len(self._connections) - self.limits.max_connections
        if over <= 0 or self._close_idle(connection):
            return True
        connection.probes_only = True
        return over <= PROBES

    def _close_idle(self, newcomer: Connection) -> bool:
        """Close the one that is idle for longest, of the client that has most of these."""
        idle = [each for each in self._connections if each.idle_since_ms is not None and each is not newcomer]
        if not idle:
            return False
        counts = Counter(each.address for each in idle)
        most = max(counts.values())
        oldest = min((each for each in idle if counts[each.address] == most), key=lambda each: each.idle_since_ms or 0)
        self.app.refused("idle")
        now_ms = self.now_ms()
        self._made_room += 1
        if now_ms - self._told_ms >= _TELL_MS:
            tell("full", level=logging.WARNING, connections=len(self._connections), closed_idle=self._made_room)
            self._told_ms, self._made_room = now_ms, 0
        oldest.finish()
        self._connections.pop(oldest, None)  # it leaves in a moment
        return True

    def route(self, request: Request) -> Work | Response:
        """Who answers, as the app says; bodies are unpacked before."""
        found = self.app.route(request)
        if isinstance(found, Response):
            return found
        found = in_turn(in_memory(found, self.app, self.held), self._turns)
        if request.headers.get(b"content-encoding", b"").lower() != GZIP:
            return found
        return unpacking(found, self.app, self.held, self.max_body_bytes, self._unpacking)

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()

    def end_slow_readers(self) -> None:
        """End connections where too many bytes of answers wait for their readers."""
        unread = [each for connection in self._connections if (each := connection.unread) is not None]
        for connection in cut_off(unread, self.limits.max_unread_bytes, self.now_ms()):
            self.app.refused("unread")
            connection.abort()

    def may_go_on(self, go_on: Callable[[], None]) -> bool:
        """Whether there is time on the loop now; where there is not, *go_on* is called when there is."""
        return self._turns.now(go_on)

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
        self.end_slow_readers()
        self._sweeper = self.loop.call_later(self._sweep_ms / 1000, self._sweep)
