"""A lane over HTTP/1.1 with keep-alive: bytes out, status and body in, nothing else looked at."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from .lanes import LOST, OK, REJECTED, Lane, OnReply, Open, Ticket

_BUSY: Final = (429, 503)


def request_bytes(host: str, path: str, body: bytes) -> bytes:
    """A whole POST of JSON, ready to be sent as often as one likes."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode("ascii") + body


def opener(host: str, port: int) -> Open:
    """Connects lanes to one server."""

    async def connect(on_reply: OnReply) -> Lane:
        _, lane = await asyncio.get_running_loop().create_connection(lambda: HttpLane(on_reply), host, port)
        return lane

    return connect


class HttpLane(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self, on_reply: OnReply) -> None:
        """Replies go to *on_reply*."""
        self._on_reply = on_reply
        self._transport: asyncio.Transport | None = None
        self._ticket: Ticket | None = None
        self._parts: list[bytes] = []
        self._missing = 0  # bytes of the body that are still to come
        self._status = 0
        self.closed = True

    def send(self, payload: bytes, ticket: Ticket) -> None:
        """Send a whole request; the one before has been answered."""
        self._ticket = ticket
        if self._transport is None or self.closed:
            self._answer(LOST, b"")
        else:
            self._transport.write(payload)

    def close(self) -> None:
        """Hang up."""
        self._ticket = None
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport, self.closed = cast(asyncio.Transport, transport), False  # uvloop's are of another class

    def connection_lost(self, error: Exception | None) -> None:
        """What was under way is lost."""
        self.closed = True
        self._answer(LOST, b"")

    def data_received(self, data: bytes) -> None:
        """Collect until the head and all of the body are there."""
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
        else:
            if self._parts:
                data = b"".join((*self._parts, data))
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._parts = [data]
                return
            self._status = int(data[9:12])
            self._parts = [data[end + 4 :]]
            self._missing = _content_length(data[:end]) - len(data) + end + 4
        if self._missing <= 0:
            body = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
            self._parts, self._missing = [], 0
            status = self._status
            self._answer(OK if status == 200 else REJECTED if status in _BUSY else f"HTTP {status}", body)

    def _answer(self, outcome: str, body: bytes) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._on_reply(self, ticket, outcome, body)


def _content_length(head: bytes) -> int:
    """What the head says; every server that is measured says it. Raises `ValueError` where one does not."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"a reply without content-length: {head[:200]!r}")
    end = head.find(b"\r\n", at + 17)
    return int(head[at + 17 :] if end < 0 else head[at + 17 : end])
