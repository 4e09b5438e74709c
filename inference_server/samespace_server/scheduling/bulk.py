"""Bulk: large requests are cut into pieces, and wait outside of the queue until there is room. Pure.

A request is cut by the server, not refused by a guess at its tokens: a thousand chunks of a thousand characters are
LangChain's default, and 300,000 tokens are what OpenAI takes. Each piece is a request of its own to the queue, so that
nothing large stands in it at once.

Outside of the queue, clients take turns by the tokens that they bring, so that a hundred streams of one do not keep
another's waiting; what one client brings comes in as it arrived.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import numpy as np

from samespace.embed import Embedded
from samespace.errors import RequestInvalid, TextTooLong

Who = TypeVar("Who", bound=Hashable)

CHARS_PER_TOKEN: Final = 4
"""For the guess at a text's tokens before it is tokenised."""
PIECE_TOKENS: Final = 8192
PIECE_TEXTS: Final = 256
_PLACE: Final = re.compile(r"texts\[(\d+)\]")


def guessed_tokens(texts: Sequence[str]) -> int:
    """About how many tokens *texts* have, before they are tokenised."""
    return sum(map(len, texts)) // CHARS_PER_TOKEN + len(texts)


def cut(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Consecutive pieces of *texts*, each with the place of its first, of about `PIECE_TOKENS` and at most
    `PIECE_TEXTS`; a longer text is one alone.
    """
    first, tokens = 0, 0
    for place, text in enumerate(texts):
        more = len(text) // CHARS_PER_TOKEN + 1
        if place > first and (tokens + more > PIECE_TOKENS or place - first >= PIECE_TEXTS):
            yield first, texts[first:place]
            first, tokens = place, 0
        tokens += more
    yield first, texts[first:]


def in_whole(error: RequestInvalid, first: int) -> RequestInvalid:
    """*error* about a text of a piece, with the text's place in the whole request."""
    if isinstance(error, TextTooLong):
        return TextTooLong(index=first + error.index, tokens=error.tokens, limit=error.limit)
    place = _PLACE.fullmatch(error.field)
    if place is None:
        return error
    return RequestInvalid(field=f"texts[{first + int(place[1])}]", reason=error.reason)


def joined(parts: Sequence[Embedded]) -> Embedded:
    """What the pieces gave, as if they had been one; spans count texts from the first piece on."""
    spans: list[tuple[int, int, int]] = []
    before = 0
    for part in parts:
        spans += [(before + text, start, end) for text, start, end in part.spans]
        before += len(part.tokens)
    return Embedded(
        np.concatenate([part.vectors for part in parts]),
        tuple(tokens for part in parts for tokens in part.tokens),
        tuple(windows for part in parts for windows in part.windows),
        tuple(spans),
    )


class WaitingRoom(Generic[Who]):
    """A line for each client, and whose is next."""

    def __init__(self) -> None:
        # Only those in which somebody waits. Thousands of one client may leave at once, each from the middle.
        self._lines: dict[str, OrderedDict[Who, int]] = {}
        self._places: dict[str, int] = {}  # tokens that a client brought in, counted from those of the others
        self._front = 0

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, who: Who, tokens: int, client: str) -> None:
        """Let *who*, with *tokens* of *client*, wait."""
        if client not in self._lines:
            self._lines[client] = OrderedDict()
            self._places[client] = max(self._front, self._places.get(client, 0))
        self._lines[client][who] = tokens

    def discard(self, who: Who, client: str) -> None:
        """Who waits no more, if they still did."""
        if client in self._lines:
            self._lines[client].pop(who, None)
            self._tidy(client)

    def first(self) -> tuple[Who, int, str] | None:
        """Who is next, with their tokens and client; None where nobody waits."""
        if not self._lines:
            return None
        client = min(self._lines, key=lambda each: self._places[each])
        return *next(iter(self._lines[client].items())), client

    def take(self) -> Who:
        """Let the next one out of the room."""
        entry = self.first()
        assert entry is not None, "nobody waits"
        who, tokens, client = entry
        self._lines[client].popitem(last=False)
        self._front = self._places[client]
        self._places[client] += tokens
        self._tidy(client)
        return who

    def _tidy(self, client: str) -> None:
        if not self._lines[client]:
            del self._lines[client]
        if not self._lines:
            self._places.clear()
            self._front = 0
        elif len(self._places) > 2 * len(self._lines) + 64:
            self._places = {each: place for each, place in self._places.items() if place > self._front}
