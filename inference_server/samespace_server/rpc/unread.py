"""Answers over gRPC that wait for their readers: the library takes them, and has no bound for them.

A client that opens no window leaves every answer of its calls in memory, for as long as it stays. So each answer is
counted from when it is made until gRPC has sent it, and where they are too many, whoever leaves most unread loses
connections. Linux alone, as `sockets`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ..budgets import Unread, cut_off
from ..settings import HttpLimits
from .sockets import Sockets, address_of

_LOOK_MS: Final = 100


class UnreadAnswers:
    """Every answer that is made and not sent. Made and used on the event loop."""

    def __init__(self, limits: HttpLimits, sockets: Sockets, *, refused: Callable[[str], None]) -> None:
        """*refused* is told of each connection that is ended, by a word."""
        self._limits, self._sockets, self._refused = limits, sockets, refused
        self._loop = asyncio.get_running_loop()
        self._unread: dict[int, Unread] = {}
        self._number = self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, peer: str, holder: str, size: int) -> int:
        """Count an answer of *size* bytes to *peer*, as gRPC names it; the number by which it is `sent`."""
        self._number += 1
        self._unread[self._number] = Unread(peer, holder, size, self._now_ms())
        self._bytes += size
        if self._timer is None and self._bytes > self._limits.max_unread_bytes:
            self._look()
        return self._number

    def sent(self, number: int) -> None:
        """It was sent, or nobody wants it any more."""
        self._bytes -= self._unread.pop(number).size

    def _look(self) -> None:
        self._timer = None
        peers = cut_off(self._unread.values(), self._limits.max_unread_bytes, self._now_ms())
        self._sockets.received(peers)  # finds them
        for peer in peers:
            if (address := address_of(peer)) is not None:
                self._sockets.hang_up(address)
            self._refused("unread")
        if self._bytes > self._limits.max_unread_bytes:
            self._timer = self._loop.call_later(_LOOK_MS / 1000, self._look)

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)


class UnreadOfStream:
    """The answers of one stream, which are made by tasks ahead of being sent."""

    def __init__(self, answers: UnreadAnswers, peer: str, holder: str) -> None:
        self._answers, self._peer, self._holder = answers, peer, holder
        self._numbers: dict[asyncio.Task[Any], int] = {}
        self._open = True

    def made(self, task: asyncio.Task[Any]) -> None:
        """*task* is done; to be called back by it."""
        if self._open and not task.cancelled() and task.exception() is None:
            self._numbers[task] = self._answers.wait(self._peer, self._holder, task.result().ByteSize())

    def sent(self, task: asyncio.Task[Any]) -> None:
        """What *task* made was sent."""
        number = self._numbers.pop(task, None)
        if number is not None:
            self._answers.sent(number)

    def close(self) -> None:
        """Nobody waits for the others."""
        self._open = False
        for task in tuple(self._numbers):
            self.sent(task)
