"""Which windows run together next. A pure state machine: no clock, no threads, no randomness.

A batch costs rows x longest row, its padding included. The planner is asked for a batch whenever the model
is free and never holds one back for more to come: while a batch runs, the next ones gather by themselves.

Two lanes, interactive and bulk, share the model by the tokens they were given, 4 to 1, so that neither waits
for ever behind the other. A batch is of one lane: a query that shared its run with bulk would wait for it.
Within a lane the oldest item always goes, and takes along those of most similar length; so nobody waits for
more batches than there were items before them.

What it leaves to others: the queue's limit, the clock and the threads (`engine`).
What it gives up: deadlines. Work that nobody waits for any more is taken out with `discard`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import Final, Literal

Lane = Literal["interactive", "bulk"]

WEIGHTS: Final[dict[Lane, int]] = {"interactive": 4, "bulk": 1}
PADDING_SHARE: Final = 8
"""Padding may be an eighth of a batch's own tokens, beside what a run costs anyway."""


@dataclass(frozen=True, slots=True)
class Item:
    """One window that waits.

    Attributes:
        number: its place in the order of arrival; unique.
        tokens: its length.
        lane: who waits for it.
    """

    number: int
    tokens: int
    lane: Lane


class Planner:
    """The windows that wait, and the choice of the next batch among them."""

    def __init__(self, *, batch_tokens: int, run_tokens: int) -> None:
        """An empty planner.

        Args:
            batch_tokens: the most padded tokens of a batch; one item above it runs alone.
            run_tokens: what a run costs apart from its tokens, in tokens; so much padding is always cheaper than
                another run.
        """
        self._batch_tokens, self._run_tokens = batch_tokens, run_tokens
        self._lanes: dict[Lane, _Waiting] = {lane: _Waiting() for lane in WEIGHTS}
        # Tokens that a lane was given, by its weight: the lane with less is next.
        self._served: dict[Lane, int] = dict.fromkeys(WEIGHTS, 0)

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._lanes.values())

    def add(self, item: Item) -> None:
        """Let *item* wait; items of a lane come in the order of their numbers."""
        waiting = self._lanes[item.lane]
        if not waiting:
            # A lane that was idle has no claim to what it did not use then.
            busy = [self._served[lane] for lane, others in self._lanes.items() if others]
            self._served[item.lane] = max([self._served[item.lane], *busy])
        waiting.add(item)

    def discard(self, item: Item) -> bool:
        """Take *item* out; False if it does not wait any more."""
        return self._lanes[item.lane].discard(item)

    def next_batch(self) -> tuple[Item, ...]:
        """The items to run now, taken out, in the order of their lengths; empty if nothing waits."""
        busy = [lane for lane in WEIGHTS if self._lanes[lane]]
        if not busy:
            return ()
        lane = min(busy, key=lambda each: self._served[each])  # a tie goes to interactive, the first
        batch = self._lanes[lane].take_around_oldest(self._batch_tokens, self._run_tokens)
        cost = len(batch) * batch[-1].tokens + self._run_tokens
        self._served[lane] += cost * max(WEIGHTS.values()) // WEIGHTS[lane]
        return batch


class _Waiting:
    """The items of one lane, by arrival and by length."""

    def __init__(self) -> None:
        self._by_arrival: OrderedDict[int, Item] = OrderedDict()
        self._by_length: dict[int, OrderedDict[int, Item]] = {}
        self._lengths: list[int] = []  # the keys of _by_length, sorted

    def __len__(self) -> int:
        return len(self._by_arrival)

    def add(self, item: Item) -> None:
        self._by_arrival[item.number] = item
        if item.tokens not in self._by_length:
            self._by_length[item.tokens] = OrderedDict()
            insort(self._lengths, item.tokens)
        self._by_length[item.tokens][item.number] = item

    def discard(self, item: Item) -> bool:
        if self._by_arrival.pop(item.number, None) is None:
            return False
        alike = self._by_length[item.tokens]
        del alike[item.number]
        if not alike:
            del self._by_length[item.tokens]
            del self._lengths[bisect_left(self._lengths, item.tokens)]
        return True

    def take_around_oldest(self, batch_tokens: int, run_tokens: int) -> tuple[Item, ...]:
        """The oldest item and those nearest to its length, up to the first that does not pay."""
        oldest = next(iter(self._by_arrival.values()))
        batch, longest, real = [oldest], oldest.tokens, oldest.tokens
        for item in self._nearest(oldest):
            padded = (len(batch) + 1) * max(longest, item.tokens)
            with_item = real + item.tokens
            if padded > batch_tokens or padded - with_item > run_tokens + with_item // PADDING_SHARE:
                break
            batch.append(item)
            longest, real = max(longest, item.tokens), with_item
        for item in batch:
            self.discard(item)
        return tuple(sorted(batch, key=lambda item: (item.tokens, item.number)))

    def _nearest(self, oldest: Item) -> Iterator[Item]:
        """The others, by their distance from the oldest one's length."""
        cut = bisect_left(self._lengths, oldest.tokens)
        longer, shorter = self._lengths[cut:], self._lengths[:cut][::-1]
        merged = merge(self._of(longer), self._of(shorter), key=lambda item: abs(item.tokens - oldest.tokens))
        return (item for item in merged if item is not oldest)

    def _of(self, lengths: list[int]) -> Iterator[Item]:
        return chain.from_iterable(self._by_length[tokens].values() for tokens in lengths)
