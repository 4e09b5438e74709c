"""Whether the queue takes a request: counted in tokens for memory's sake, and in time for the callers'.

A token bound alone is not calm: what is a second of work on one machine is a minute on another. So whoever
would wait longer than `max_queue_ms` before their turn is refused at once, as is whoever has less time than the
work before them takes. A request's own work does not count against it: alone, any request within the token
bound is taken. Estimates are corrected by what they came to (`Promises`).

Clients share the queue as they share the model: who has little in it waits for little of what others have, and no
client fills all of it.

Safe to call from several threads: requests come in on the event loop, and their exact tokens become known to
whoever tokenised them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from samespace.errors import DeadlineExceeded, Overloaded, RequestInvalid, SamespaceError, short

from ..settings import Limits
from .batching import WEIGHTS, Lane
from .job import Job
from .meters import QueueGauge
from .speed import Promises, Speed

BULK_SHARE: Final = (3, 4)
"""Bulk may fill this share of the queue, so that a query always finds room."""
CLIENT_SHARE: Final = (3, 4)
"""One client may fill this share of it."""
BULK_PATIENCE: Final = 8
"""Bulk may wait so many times longer than a query: its senders rather wait than come again."""
WAITING_PATIENCE: Final = 8
"""And so many times longer still outside of the queue, until it has room."""
_RETRY_MS: Final = (100, 30_000)


class Admission:
    """What is in one space's queue, and what may still come in."""

    def __init__(self, limits: Limits, speed: Speed, gauge: QueueGauge, *, runners: int, space_id: str) -> None:
        """An empty queue.

        Args:
            speed: of the runs; read here, and learnt by others.
            gauge: is told of every change.
            runners: how many runs there are at a time.
        """
        self._limits, self._speed, self._gauge = limits, speed, gauge
        self._runners, self._space = runners, short(space_id)
        self._queued: dict[Lane, int] = dict.fromkeys(WEIGHTS, 0)
        self._of_clients: dict[Lane, dict[str, int]] = {lane: {} for lane in WEIGHTS}  # only those that have some
        self._promises = Promises(limits.max_queue_ms * 1000)
        self._slept_us = 0
        self._lock = threading.Lock()

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait or run, those of texts that are not tokenised yet by a guess."""
        return sum(self._queued.values())

    def wait_us(self, lane: Lane, tokens: int = 0, client: str = "") -> int:
        """About how long a newcomer of *tokens* waits for its turn; 0 while the speed is not known."""
        return self._promises.wait_us(lane, self._estimate_us(lane, tokens, client))

    def promise(self, job: Job, tokens: int, now_us: int) -> None:
        """Remember how long *job*, which comes in now, would wait by the estimate."""
        job.estimate_us = self._estimate_us(job.lane, tokens, job.client)
        job.admitted_us, job.slept_us = now_us, self._slept_us

    def came(self, job: Job, now_us: int) -> None:
        """The turn of *job* has come: learn from how long it waited, not counting time in which the machine slept."""
        if job.estimate_us:
            self._promises.came(job.lane, job.estimate_us, now_us - job.admitted_us - (self._slept_us - job.slept_us))
            job.estimate_us = 0

    def slept(self, us: int) -> None:
        """So much of the last run was no work, but a machine that slept."""
        self._slept_us += us

    def _estimate_us(self, lane: Lane, tokens: int, client: str) -> int:
        mine = _before(self._of_clients[lane], self._queued[lane], tokens, client)
        # Of what is served meanwhile, another lane gets no more than its share.
        before = mine + sum(
            min(queued, mine * WEIGHTS[other] // WEIGHTS[lane])
            for other, queued in self._queued.items()
            if other != lane
        )
        return self._run_us(before)

    def refusal(self, lane: Lane, tokens: int, left_us: int | None, client: str = "") -> SamespaceError | None:
        """Why a request of about *tokens*, of which nothing is counted yet, is not taken now; None if it is.

        Args:
            left_us: how much time its caller has; None for all the time in the world.
            client: who sends it; "" where that is not known, and all are one.
        """
        refusal = self.too_many(lane, tokens, client) or self.hopeless(lane, tokens, left_us, client)
        if refusal is None and (wait_us := self.wait_us(lane, tokens, client)) > self._longest_us(lane):
            return self._overloaded(wait_us // 1000, self._longest_us(lane) // 1000, "ms of work", wait_us)
        return refusal

    def hopeless(self, lane: Lane, tokens: int, left_us: int | None, client: str = "") -> DeadlineExceeded | None:
        """Why *tokens* cannot be run within *left_us*, or None."""
        if left_us is None:
            return None
        run_us = self._run_us(tokens)
        needs_us = self.wait_us(lane, tokens, client) + run_us
        if 0 < left_us >= needs_us:
            return None
        where = f"space {self._space}, where this and what is queued before it takes about {needs_us // 1000} ms"
        return DeadlineExceeded(where=where, timeout_ms=(max(0, left_us) + 999) // 1000)

    def too_many(self, lane: Lane, tokens: int, client: str = "") -> SamespaceError | None:
        """Why *tokens* more are not taken, by their number alone; None if they are."""
        limit, queued = self.limit(lane), self.queued_tokens
        if tokens > limit:  # what does not fit an empty queue is no overload: trying again would not help
            return RequestInvalid(
                field="texts",
                reason=f"about {tokens} tokens in one request, at most {limit} are taken; send fewer, or raise the "
                "server's --max-queued-tokens",
            )
        if queued + tokens > limit:
            return self._overloaded(queued + tokens, limit, "tokens", self.wait_us(lane, tokens, client))
        own = sum(clients.get(client, 0) for clients in self._of_clients.values())
        share = self._limits.max_queued_tokens * CLIENT_SHARE[0] // CLIENT_SHARE[1]
        if client and own and own + tokens > share:
            wait_us = self.wait_us(lane, tokens, client)
            return self._overloaded(own + tokens, share, "tokens of this client", wait_us)
        return None

    def too_many_wait(self, large: Mapping[str, int], tokens: int, client: str) -> Overloaded | None:
        """Why bulk of *tokens* may not even wait for room, beside what each client has *large*; None if it may."""
        waiting = _before(large, sum(large.values()), tokens, client)
        wait_us = self.wait_us("bulk", waiting, client) + self._promises.wait_us("bulk", self._run_us(waiting))
        longest_us = self._longest_us("bulk") * WAITING_PATIENCE
        if wait_us > longest_us:
            return self._overloaded(wait_us // 1000, longest_us // 1000, "ms of work", wait_us)
        return None

    def has_room(self, tokens: int, client: str = "") -> bool:
        """Whether bulk of *tokens* may come in, for those who wait instead of being refused."""
        queued = self.queued_tokens
        return not queued or (
            queued + tokens <= self.limit("bulk") and self.wait_us("bulk", tokens, client) <= self._longest_us("bulk")
        )

    def limit(self, lane: Lane) -> int:
        """The most tokens in the queue after a request of *lane* came in."""
        most = self._limits.max_queued_tokens
        return most if lane != "bulk" else max(1, most * BULK_SHARE[0] // BULK_SHARE[1])

    def count(self, job: Job, lane: Lane, tokens: int) -> None:
        """Count *tokens* of *lane* for *job*, in place of what was counted for it before."""
        with self._lock:
            if job.gone:
                return
            change = tokens - job.reserved
            self._add(job.lane, job.client, -job.reserved)
            self._add(lane, job.client, tokens)
            job.lane, job.reserved = lane, tokens
        self._gauge.inc(change)

    def release(self, job: Job) -> None:
        """Count nothing more for *job*, now and later."""
        with self._lock:
            change = -job.reserved
            self._add(job.lane, job.client, change)
            job.reserved, job.gone = 0, True
        self._gauge.inc(change)

    def _add(self, lane: Lane, client: str, tokens: int) -> None:
        self._queued[lane] += tokens
        clients = self._of_clients[lane]
        clients[client] = clients.get(client, 0) + tokens
        if not clients[client]:
            del clients[client]

    def _run_us(self, tokens: int) -> int:
        return self._speed.us(tokens, run_tokens=self._limits.batch_tokens) // self._runners

    def _longest_us(self, lane: Lane) -> int:
        return self._limits.max_queue_ms * 1000 * (BULK_PATIENCE if lane == "bulk" else 1)

    @staticmethod
    def _overloaded(queued: int, limit: int, unit: str, wait_us: int) -> Overloaded:
        # About half of the time that the queue takes, because others leave it meanwhile.
        least, most = _RETRY_MS
        retry_after_ms = max(least, min(most, wait_us // 2000))
        return Overloaded(queued=queued, limit=limit, unit=unit, retry_after_ms=retry_after_ms)


def _before(clients: Mapping[str, int], queued: int, tokens: int, client: str) -> int:
    """How many of the *queued* tokens of *clients* come before the last of *tokens* more of *client*.

    Clients share alike: each other one comes in between with at most as much as this one has.
    """
    own = clients.get(client, 0)
    others = len(clients) - (client in clients)
    return min(queued, own + (own + tokens) * others)
