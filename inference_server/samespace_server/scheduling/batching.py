"""Which windows run together next. A pure state machine: no clock, no threads, no randomness.

A batch costs rows x longest row, its padding included. The planner is asked for a batch whenever the model
is free and never holds one back for more to come: while a batch runs, the next ones gather by themselves.

Three lanes share the model by the tokens they were given, 16 to 4 to 1, so that none waits for ever behind another:
queries, which somebody waits for; single passages, such as Weaviate sends when objects are imported; and bulk. A
batch is of one lane: a query that shared its run with bulk would wait for it.
Within a lane clients share alike, and so do the flows of one client (a bulk stream, or what else it sends): each item
has a place in line, and a flow's places are as far apart as its items are long, times the flows of its client. The
first in line always goes, and takes along those of most similar length that are not far behind it; so nobody waits for
more batches than there were items before them.

An item whose deadline is near goes before the first in line, but not twice in a row.

What it leaves to others: the queue's limit (`admission`), how long a run takes (`speed`), the clock and the
threads (`workers`). Time comes in as a value.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Literal

Lane = Literal["query", "single", "bulk"]

WEIGHTS: Final[dict[Lane, int]] = {"query": 16, "single": 4, "bulk": 1}
PADDING_SHARE: Final = 8
"""Padding may be an eighth of a batch's own tokens, beside what a run costs anyway."""
LEAD_BATCHES: Final = 4
"""An item may run before its turn if it stands within so many batches' tokens of the first in line: enough to
find neighbours of like length, and not so much that a long backlog crowds out the other flows."""
CROWD: Final = 64
"""So many flows share alike. Newcomers beyond them line up a little further back each time, or an endless row of
new flows would keep a long one waiting for ever."""
SPLIT_RUNS: Final = 4
"""Work is spread over idle runners as long as each share is worth this many runs' own cost."""


@dataclass(frozen=True, slots=True)
class Item:
    """One window that waits.

    Attributes:
        number: its place in the order of arrival; unique.
        tokens: its length.
        lane: who waits for it.
        flow: what it is part of, among what shares alike: a bulk stream's number, or a client's name.
        client: whose the flow is; all flows of a client together have one share. "" for nobody known.
        deadline_us: when nobody waits for it any more, by the clock of who asks; None for never.
    """

    number: int
    tokens: int
    lane: Lane
    flow: int | str = 0
    deadline_us: int | None = None
    client: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a batch is chosen for.

    Attributes:
        runners: how many runs could start now, this one included.
        slice_tokens: the most padded tokens of a batch that is not of queries; None for as many as any batch.
        urgent_us: items whose deadline is not after this go first; None for no such haste.
    """

    runners: int = 1
    slice_tokens: int | None = None
    urgent_us: int | None = None


WHENEVER: Final = Turn()


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
        self._lanes: dict[Lane, _Line] = {lane: _Line(LEAD_BATCHES * batch_tokens) for lane in WEIGHTS}
        # Tokens that a lane was given, by its weight: the lane with less is next.
        self._served: dict[Lane, int] = dict.fromkeys(WEIGHTS, 0)

    def __len__(self) -> int:
        return sum(len(line) for line in self._lanes.values())

    def add(self, item: Item) -> None:
        """Let *item* wait; items of a flow come in the order of their numbers."""
        line = self._lanes[item.lane]
        if not len(self):
            self._served = dict.fromkeys(WEIGHTS, 0)
        elif not line:
            # A lane that was idle has no claim to what it did not use then.
            self._served[item.lane] = max(self._served.values())
        line.add(item)

    def discard(self, item: Item) -> bool:
        """Take *item* out; False if it does not wait any more."""
        return self._lanes[item.lane].discard(item)

    def expire(self, now_us: int) -> list[Item]:
        """Take out the items whose deadline has come."""
        return [item for line in self._lanes.values() for item in line.take_due(now_us)]

    def next_batch(self, turn: Turn = WHENEVER) -> tuple[Item, ...]:
        """The items to run now, taken out, in the order of their lengths; empty if nothing waits."""
        busy = [lane for lane in WEIGHTS if self._lanes[lane]]
        if not busy:
            return ()
        lane = min(busy, key=lambda each: self._served[each])  # a tie goes to queries, the first
        budget = self._batch_tokens
        if lane != "query" and turn.slice_tokens is not None:
            budget = min(budget, turn.slice_tokens)
        if turn.runners > 1:
            share = -(-self._lanes[lane].tokens // turn.runners)
            budget = min(budget, max(share, SPLIT_RUNS * self._run_tokens))
        batch = self._lanes[lane].take(budget, self._run_tokens, turn.urgent_us)
        cost = len(batch) * batch[-1].tokens + self._run_tokens
        self._served[lane] += cost * max(WEIGHTS.values()) // WEIGHTS[lane]
        return batch


class _Line:
    """The items of one lane: their places in line (start-time fair queueing over flows), and by length.

    Source: Goyal, Vin and Cheng 1996, "Start-time fair queuing".
    """

    def __init__(self, lead: int) -> None:
        self.tokens = 0
        self._lead = lead
        self._waiting: dict[int, tuple[int, Item]] = {}  # by number: place and item
        self._places: list[tuple[int, int]] = []  # heap of (place, number); may hold numbers that are gone
        self._deadlines: list[tuple[int, int]] = []  # heap of (deadline, number); likewise
        self._alike: dict[int, list[tuple[int, int]]] = {}  # by length: (place, number), sorted
        self._lengths: list[int] = []  # the keys of _alike, sorted
        self._front = 0  # where a new flow lines up: the place of the last one that was first in line, or later
        self._ends: dict[int | str, int] = {}  # by flow: where its next item may stand
        self._most_ends = 2 * CROWD  # clean up beyond so many
        self._flows: dict[str, Counter[int | str]] = {}  # by client: items of its flows
        self._jumped = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        beside = self._beside(item)
        place = self._ends.get(item.flow, 0)
        if place <= self._front:  # a flow that is new lines up behind one item of each other one of its client
            place = self._front + item.tokens * beside
        self._ends[item.flow] = place + item.tokens * (1 + beside)
        self._waiting[item.number] = (place, item)
        self.tokens += item.tokens
        heappush(self._places, (place, item.number))
        if item.deadline_us is not None:
            heappush(self._deadlines, (item.deadline_us, item.number))
        if item.tokens not in self._alike:
            self._alike[item.tokens] = []
            insort(self._lengths, item.tokens)
        insort(self._alike[item.tokens], (place, item.number))

    def discard(self, item: Item) -> bool:
        found = self._waiting.pop(item.number, None)
        if found is None:
            return False
        self.tokens -= item.tokens
        alike = self._alike[item.tokens]
        del alike[bisect_left(alike, (found[0], item.number))]
        if not alike:
            del self._alike[item.tokens]
            del self._lengths[bisect_left(self._lengths, item.tokens)]
        if item.client:
            flows = self._flows[item.client]
            flows[item.flow] -= 1
            if not flows[item.flow]:
                del flows[item.flow]
            if not flows:
                del self._flows[item.client]
        if not self._waiting:
            self._places.clear()
            self._deadlines.clear()
            self._ends.clear()
        return True

    def _beside(self, item: Item) -> int:
        """How many other flows of its client wait, with *item* counted from now on."""
        if not item.client:
            return 0
        flows = self._flows.setdefault(item.client, Counter())
        flows[item.flow] += 1
        return len(flows) - 1

    def take_due(self, now_us: int) -> Iterator[Item]:
        """The items whose deadline has come."""
        while (due := self._nearest_deadline()) is not None and due[0] <= now_us:
            item = due[1]
            self.discard(item)
            yield item

    def take(self, budget: int, run_tokens: int, urgent_us: int | None) -> tuple[Item, ...]:
        """The first in line, or an urgent one, and those nearest to its length, up to the first that does not pay."""
        first = self._first()
        if urgent_us is not None:
            due = self._nearest_deadline()
            self._jumped = not self._jumped and due is not None and due[0] <= urgent_us and due[1] is not first
            if self._jumped and due is not None:
                first = due[1]
        batch, longest, real = [first], first.tokens, first.tokens
        for item in self._neighbours(first):
            padded = (len(batch) + 1) * max(longest, item.tokens)
            with_item = real + item.tokens
            if padded > budget or padded - with_item > run_tokens + with_item // PADDING_SHARE:
                break
            batch.append(item)
            longest, real = max(longest, item.tokens), with_item
        self._front += real // CROWD
        for item in batch:
            self.discard(item)
        return tuple(sorted(batch, key=lambda item: (item.tokens, item.number)))

    def _first(self) -> Item:
        """The first in line; the line's front moves to its place."""
        while (number := self._places[0][1]) not in self._waiting:
            heappop(self._places)
        place, item = self._waiting[number]
        self._front = max(self._front, place)
        if len(self._ends) > self._most_ends:
            # Flows that end before the front are as good as new ones.
            self._ends = {flow: end for flow, end in self._ends.items() if end > self._front}
            self._most_ends = 2 * CROWD + 2 * len(self._ends)
        return item

    def _nearest_deadline(self) -> tuple[int, Item] | None:
        while self._deadlines:
            deadline_us, number = self._deadlines[0]
            if number in self._waiting:
                return deadline_us, self._waiting[number][1]
            heappop(self._deadlines)
        return None

    def _neighbours(self, first: Item) -> Iterator[Item]:
        """The others that are not too far behind the front, by their distance from the first one's length."""
        last = self._front + self._lead
        above = bisect_left(self._lengths, first.tokens)
        below = above - 1
        while above < len(self._lengths) or below >= 0:
            if below < 0 or (
                above < len(self._lengths)
                and self._lengths[above] - first.tokens <= first.tokens - self._lengths[below]
            ):
                tokens, above = self._lengths[above], above + 1
            else:
                tokens, below = self._lengths[below], below - 1
            for place, number in self._alike[tokens]:
                if place > last:
                    break
                if number != first.number:
                    yield self._waiting[number][1]
