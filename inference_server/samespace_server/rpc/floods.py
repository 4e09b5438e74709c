"""Connections that send HTTP/2 frames and no messages are hung up: gRPC keeps what they cause, and has no bound for it.

A header block that never ends is kept whole. A ping or a change of settings has to be answered, and the answers wait
for ever for a client that reads none: a gigabyte in five seconds. So, for each connection, what the kernel counted is
held against the messages that came of it. Linux alone, as `sockets`.

What it leaves to others: messages that are too large or never whole (`reading`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .reading import Reads
from .sockets import Address, Sockets

LOOK_MS: Final = 100
STRAY_BYTES: Final = 4 << 20
"""What a connection may send since its last message without a further one. Calls that are refused by their headers
alone, such as those without a token, take a window of 64 KiB each at most."""
UNREAD_BYTES: Final = 1 << 20
"""What it may send while it reads nothing of what waits for it."""


@dataclass(slots=True)
class _Mark:
    """What a connection had sent, in bytes, when a message of it was last whole, and when it last read something."""

    messages: int = 0
    at_message: int = 0
    acked: int = 0
    at_read: int = 0


class FloodGuard:
    """Looks at all connections of one port again and again. Made and used on the event loop."""

    def __init__(self, sockets: Sockets, reads: Reads, message_bytes: int, *, refused: Callable[[str], None]) -> None:
        """Watches nothing yet.

        Args:
            sockets: those of *reads*.
            reads: knows the messages that came and those that are on their way, each of at most *message_bytes*.
            refused: is told of each connection that is hung up, by a word.
        """
        self._reads, self._message_bytes, self._refused = reads, message_bytes, refused
        self._sockets, self._marks = sockets, dict[Address, _Mark]()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, port: int) -> None:
        """Look at the connections of *port* from now on."""
        self._look(port)
        self._timer = asyncio.get_running_loop().call_later(LOOK_MS / 1000, self.watch, port)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, port: int) -> None:
        came, on_their_way = self._reads.messages_by_address()
        marks: dict[Address, _Mark] = {}
        for address, traffic in self._sockets.of_port(port).items():
            mark = marks[address] = self._marks.get(address) or _Mark()
            if came[address] != mark.messages:
                mark.messages, mark.at_message = came[address], traffic.received_bytes
            if traffic.acked_bytes != mark.acked or not traffic.unsent_bytes:
                mark.acked, mark.at_read = traffic.acked_bytes, traffic.received_bytes
            stray = traffic.received_bytes - mark.at_message - on_their_way[address] * self._message_bytes
            if stray > STRAY_BYTES or traffic.received_bytes - mark.at_read > UNREAD_BYTES:
                self._sockets.hang_up(address)
                self._refused("flood")
        self._marks = marks
