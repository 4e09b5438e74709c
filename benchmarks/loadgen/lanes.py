"""What a loop sees of a connection: a lane takes a payload and a ticket, and gives the ticket back with a reply.

A load generator on the machine of the server it measures must cost next to nothing, so lanes are callbacks, not
coroutines: one reply costs one call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

OK: Final = "ok"
REJECTED: Final = "rejected"
"""Refused because the server has too much to do: HTTP 429 and 503, gRPC RESOURCE_EXHAUSTED."""
LOST: Final = "connection lost"

Ticket = tuple[int, int]
"""Which payload, and the time from which its latency counts, in nanoseconds of `time.perf_counter_ns`."""


class Lane(Protocol):
    """One place for requests; replies come back in the order of the requests."""

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""

    def send(self, payload: bytes, ticket: Ticket) -> None:
        """Send one request."""

    def close(self) -> None:
        """Close it; what is under way is not answered."""


OnReply = Callable[[Lane, Ticket, str, bytes], None]
"""Called with the lane, the ticket, the outcome (OK, REJECTED, or what went wrong) and the body."""

Open = Callable[[OnReply], Awaitable[Lane]]
"""Connects a new lane."""
