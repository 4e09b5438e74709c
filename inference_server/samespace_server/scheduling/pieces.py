"""Large requests, cut into pieces that wait for room one after the other. Pure.

A request is cut by the server, not refused by a guess at its tokens: a thousand chunks of a thousand characters are
LangChain's default, and 300,000 tokens are what OpenAI takes. Each piece is a request of its own to the queue, so that
nothing large stands in it at once, and many large requests take turns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from samespace.embed import Embedded
from samespace.errors import RequestInvalid, TextTooLong

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
