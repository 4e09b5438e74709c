"""Long texts in slices that stand for themselves: what is stored where every part of a text gets an entry of its own.

A window (`text`) is a run of tokens of the whole text: it may begin inside a word, and its characters alone may come to
other tokens. A slice is a piece of the text from the beginning of a word to the end of one, with the model input that
this piece has *by itself*. Whoever stores the piece and encodes it again, years later, gets the same vector.

Slices are the windows with their edges moved inwards to words. A piece that still has too many tokens by itself is
halved. Between neighbours nothing but white space is ever left out. Text without white space is cut anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from .errors import RequestInvalid
from .text import Role, TextEncoder, TokenizedText, Window

Span = tuple[int, int]
"""First character, one past the last."""
_REACH: Final = 2
"""A word's end is looked for in half of the window at most: scripts without spaces have none."""


def slice_texts(text_encoder: TextEncoder, texts: Sequence[str], role: Role) -> list[TokenizedText]:
    """Like `TextEncoder.tokenize`, with slices in place of the windows of long texts; short texts are the same.

    Raises:
        RequestInvalid: what `tokenize` refuses, and a text of which one character alone is beyond the limit.
    """
    whole = text_encoder.tokenize(texts, role)
    open_spans = [
        (index, span)
        for index, text in enumerate(whole)
        if len(text.windows) > 1
        for span in word_spans(texts[index], [(window.start, window.end) for window in text.windows])
    ]
    found: dict[int, list[Window]] = {}
    while open_spans:
        alone = text_encoder.tokenize([texts[index][start:end] for index, (start, end) in open_spans], role)
        halves: list[tuple[int, Span]] = []
        for (index, span), tokenized in zip(open_spans, alone, strict=True):
            if len(tokenized.windows) == 1:
                start, end = span
                found.setdefault(index, []).append(replace(tokenized.windows[0], start=start, end=end))
            elif span[1] - span[0] < 2:
                raise RequestInvalid(
                    field=f"texts[{index}]", reason="one of its characters has more tokens than the limit"
                )
            else:
                halves += [(index, half) for half in halve(texts[index], span)]
        open_spans = halves
    return [
        replace(text, windows=_in_order(found[index])) if index in found else text for index, text in enumerate(whole)
    ]


def word_spans(text: str, windows: Sequence[Span]) -> list[Span]:
    """*windows*, in order and without gaps, with their edges at words; what is white space alone is gone."""
    spans: list[Span] = []
    for start, end in windows:
        low = start if start == 0 else _word_start(text, start, end - start)
        high = end if end >= len(text) else _word_end(text, end, (end - start) // _REACH)
        if spans:
            low = min(low, spans[-1][1])
        span = _stripped(text, low, high)
        if span is not None:
            spans.append(span)
    return spans or [windows[0]]


def halve(text: str, span: Span) -> list[Span]:
    """Two spans for one that is too long, cut between words near its middle, or at its middle where there are none."""
    start, end = span
    middle = (start + end) // 2
    cut = _word_end(text, middle, middle - start - 1)
    halves = (_stripped(text, start, cut), _stripped(text, cut, end))
    return [half for half in halves if half is not None] or [(start, middle), (middle, end)]


def _in_order(windows: Sequence[Window]) -> tuple[Window, ...]:
    """By place, without those that lie in an earlier one: edges that moved may leave a window nothing of its own."""
    kept: list[Window] = []
    for window in sorted(windows, key=lambda window: (window.start, -window.end)):
        if not kept or window.end > kept[-1].end:
            kept.append(window)
    return tuple(kept)


def _word_start(text: str, at: int, reach: int) -> int:
    """The first beginning of a word from *at* on, *at* itself where none is within *reach*."""
    for place in range(at, min(at + reach, len(text) - 1) + 1):
        if text[place - 1].isspace() and not text[place].isspace():
            return place
    return at


def _word_end(text: str, at: int, reach: int) -> int:
    """The last end of a word up to *at*, *at* itself where none is within *reach*."""
    for place in range(at, max(at - reach, 1) - 1, -1):
        if text[place].isspace() and not text[place - 1].isspace():
            return place
    return at


def _stripped(text: str, start: int, end: int) -> Span | None:
    """The span without white space at its edges; None where nothing is left."""
    piece = text[start:end]
    if not piece.strip():
        return None
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
