"""Messages on their way in over gRPC, which the library holds where nobody can look.

Of a message that is not whole, gRPC tells neither how long it will be nor how much of it has come, and it holds all of
it before it looks at any limit: a client may announce four gigabytes and send them. So the bytes that each connection
sent, as the kernel counts them, are held against those of the messages that became whole; the difference is what is
held for it. Where all of it is more than the budget, whoever holds most loses every message that is on its way over
one connection. A client that opens sixty messages and finishes none takes its own room away, and nobody else's.
A message that came is counted until it is answered.

What it leaves to others: who may call at all (`access`), the kernel (`sockets`), what a message says (`calls`).
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from samespace.errors import Overloaded, RequestInvalid, SamespaceError

from ..budgets import ByteBudget
from ..settings import HttpLimits
from .sockets import Address, address_of

LATE_MS: Final = 100
"""What comes within this time costs nobody a look: a link's speed bounds it."""
_LOOK_MS: Final = 50
_RETRY_MS: Final = 1_000
_AROUND_A_MESSAGE: Final = 512
"""Bytes of headers and frames that come with a message, rather more than less."""
_MANY_PEERS: Final = 4096

Received = Callable[[Iterable[str]], Mapping[str, int]]


@dataclass(slots=True, eq=False)
class _Pending:
    """A message that is waited for."""

    holder: str
    peer: str
    task: asyncio.Task[Any]
    since_ms: int
    must_come: bool
    refusal: SamespaceError | None = field(default=None)


def size_of(texts: Iterable[str]) -> int:
    """Bytes that *texts* take as Python's strings."""
    return sum(map(sys.getsizeof, texts))


class Reads:
    """Every message that is waited for or held. Made and used on the event loop."""

    def __init__(
        self, limits: HttpLimits, message_bytes: int, *, refused: Callable[[str], None], received: Received
    ) -> None:
        """Nothing is waited for.

        Args:
            message_bytes: of the largest message.
            refused: is told of whatever is cut off, by a word.
            received: bytes that came from peers since they connected.
        """
        self.budget = ByteBudget(limits.max_held_bytes)
        self.refused, self._received = refused, received
        self._limits, self._message_bytes = limits, message_bytes
        self._loop = asyncio.get_running_loop()
        self._pending: dict[_Pending, None] = {}  # in the order in which they began
        self._whole: Counter[str] = Counter()  # by peer: bytes of messages that came, and what was around them
        self._messages: Counter[str] = Counter()  # by peer: whole ones, and those that were cut off
        self._timer: asyncio.TimerHandle | None = None

    def messages_by_address(self) -> tuple[Counter[Address], Counter[Address]]:
        """How many messages of each peer came whole or were cut off, and how many are waited for."""
        came, on_their_way = Counter[Address](), Counter[Address]()
        for counts, peers in ((came, self._messages), (on_their_way, Counter(each.peer for each in self._pending))):
            for peer, number in peers.items():
                if (address := address_of(peer)) is not None:
                    counts[address] += number
        return came, on_their_way

    async def read(self, context: Any, holder: str, *, must_come: bool) -> bytes | None:
        """The next message of a call, None where there is no more.

        Args:
            holder: on whose account.
            must_come: it has to come within the time that its bytes may take; one of a stream may come at any time.

        Raises:
            Overloaded: it made room for others.
            RequestInvalid: it came too slowly.
        """
        task = asyncio.current_task()
        assert task is not None
        if len(self._pending) >= self._limits.max_calls:
            self._cut([_oldest_of_most(self._pending)], "too_many_calls")
        peer = context.peer()
        pending = _Pending(holder, peer, task, self._now_ms(), must_come)
        self._pending[pending] = None
        if self._timer is None:
            self._timer = self._loop.call_later(_LOOK_MS / 1000, self._look)
        try:
            data = await context.read()
        except asyncio.CancelledError:
            if pending.refusal is None:
                raise
            task.uncancel()
        finally:
            self._pending.pop(pending, None)
        if pending.refusal is not None:
            raise pending.refusal
        if data is grpc.aio.EOF:
            return None
        self._messages[peer] += 1
        self._whole[peer] += len(data) + _AROUND_A_MESSAGE
        return bytes(data)

    def hold(self, size: int) -> None:
        """Count a message until `release`; raises `Overloaded` where there are too many, and counts nothing then."""
        if not self.budget.hold(size):
            self.budget.hold(-size)
            self.refused("too_many_bytes")
            raise self._overloaded(self.budget.held_bytes + size)

    def release(self, size: int) -> None:
        """Count *size* bytes fewer."""
        self.budget.hold(-size)

    @contextmanager
    def texts(self, texts: Iterable[str]) -> Iterator[None]:
        """Count *texts* beside their message, which has them once more: up to four times as large in memory.

        Raises:
            Overloaded: there are too many.
        """
        size = size_of(texts)
        self.hold(size)
        try:
            yield
        finally:
            self.release(size)

    # -- what does not come

    def _look(self) -> None:
        self._timer = None
        now_ms = self._now_ms()
        late = [each for each in self._pending if now_ms - each.since_ms >= LATE_MS]
        longest_ms = self._limits.transfer_ms(self._message_bytes)
        for each in late:
            if each.must_come and now_ms - each.since_ms > longest_ms:
                told = f"no whole message within {longest_ms} ms, which is what the largest may take"
                self._cut([each], "body_timeout", RequestInvalid(field="request", reason=told))
        if late:
            self._make_room([each for each in late if each.refusal is None])
        if len(self._whole) > _MANY_PEERS:  # those who left meanwhile
            open_now = self._received(self._whole)
            self._whole = Counter({peer: size for peer, size in self._whole.items() if peer in open_now})
            self._messages = Counter({peer: number for peer, number in self._messages.items() if peer in open_now})
        if self._pending:
            self._timer = self._loop.call_later(_LOOK_MS / 1000, self._look)

    def _make_room(self, late: list[_Pending]) -> None:
        """Cut off what is more than the budget."""
        received = self._received({each.peer for each in late})
        unfinished = {}  # by peer: bytes that came of messages that are not whole
        for peer, size in received.items():
            unfinished[peer] = max(0, size - self._whole[peer])
            self._whole[peer] = min(self._whole[peer], size)  # what was taken for around messages is no credit
        held_by: Counter[str] = Counter()
        for holder, peer in {(each.holder, each.peer) for each in late if each.peer in unfinished}:
            held_by[holder] += unfinished[peer]
        while unfinished and self.budget.held_bytes + sum(unfinished.values()) > self.budget.limit_bytes:
            most = max(held_by, key=lambda holder: held_by[holder])
            peers = {each.peer for each in late if each.holder == most and each.peer in unfinished}
            if not peers:
                del held_by[most]
                continue
            peer = max(peers, key=lambda each: unfinished[each])
            size = unfinished.pop(peer)
            held_by[most] -= size
            self._whole[peer] += size
            self._cut([each for each in self._pending if each.peer == peer], "too_many_bytes")

    def _cut(self, cut: list[_Pending], reason: str, refusal: SamespaceError | None = None) -> None:
        for each in cut:
            each.refusal = refusal or self._overloaded(self.budget.limit_bytes)
            self._pending.pop(each, None)
            self._messages[each.peer] += 1  # its bytes have been seen to
            self.refused(reason)
            each.task.cancel()

    def _overloaded(self, size: int) -> Overloaded:
        limit = self.budget.limit_bytes
        return Overloaded(queued=size, limit=limit, unit="bytes of messages", retry_after_ms=_RETRY_MS)

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)


def _oldest_of_most(pending: Iterable[_Pending]) -> _Pending:
    """The oldest of whoever has most of *pending*."""
    among = list(pending)
    counts = Counter(each.holder for each in among)
    most = max(counts.values())
    return next(each for each in among if counts[each.holder] == most)
