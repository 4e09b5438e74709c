"""What a connection asks of its server: limits, the time, the app, and room for itself and its bytes.

A connection is `Any` here, because `connection` builds on this module and not the other way round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ..budgets import ByteBudget
from ..settings import HttpLimits
from .messages import App, Request, Response, Work


class Host(Protocol):
    """What a connection asks of its server: limits, the time, the app, and room for bytes."""

    app: App
    limits: HttpLimits
    max_body_bytes: int
    loop: asyncio.AbstractEventLoop
    closing: bool
    date: bytes
    held: ByteBudget

    def enter(self, connection: Any) -> bool:
        """Whether there is room for one more connection; it is counted either way, until it leaves."""

    def route(self, request: Request) -> Work | Response:
        """Who answers, as the app says; bodies are unpacked before."""

    def leave(self, connection: Any) -> None:
        """The connection is gone."""

    def end_slow_readers(self) -> None:
        """End connections where too many bytes of answers wait for their readers."""

    def may_go_on(self, go_on: Callable[[], None]) -> bool:
        """Whether there is time on the loop now; where there is not, *go_on* is called when there is."""

    def now_ms(self) -> int:
        """Monotonic time."""
