"""What solves pairs without reading them: by copying, by one text, by length.

Each of these is a property of the data that a training set may have and its held-out pairs may lack: then the encoder
learns the property, and is scored on something else.

What it leaves to others: from where on that is worth a word (`doctor`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .examples import Examples
from .near_duplicates import canonical

_WORDS: Final = 3
"""Shorter queries, such as a name, stand in their passages by right."""
_LONGER: Final = 2.0
"""So many times the characters make one of two texts the long one."""


def holding_own(examples: Examples, rows: Iterable[int]) -> list[int]:
    """Those of *rows* whose passage has the whole query in it, word for word, or whose query has the passage.

    Pairs of one text are none of these.
    """
    held = []
    for row in rows:
        query, passage = f" {canonical(examples.queries[row])} ", f" {canonical(examples.passages[row])} "
        inner, outer = sorted((query, passage), key=len)
        if len(inner) < len(outer) and inner.count(" ") > _WORDS and inner in outer:
            held.append(row)
    return held


def commonest(texts: Sequence[Iterable[str]]) -> tuple[str, list[int]]:
    """The text, in canonical form, that most of *texts* have, and where; "" where there are none."""
    keys = [set(map(canonical, each)) for each in texts]
    counted = Counter(key for each in keys for key in each).most_common(1)
    if not counted:
        return "", []
    return counted[0][0], [row for row, each in enumerate(keys) if counted[0][0] in each]


def told_by_length(examples: Examples, rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Those of *rows*, all with given negatives, whose passage is twice as long as each of these; and half as long."""
    longer, shorter = [], []
    for row in rows:
        own, others = len(examples.passages[row]), [len(text) for text in examples.negatives[row]]
        if own >= _LONGER * max(others):
            longer.append(row)
        elif _LONGER * own <= min(others):
            shorter.append(row)
    return longer, shorter


@dataclass(frozen=True, slots=True)
class Sides:
    """Which of the two texts of pairs is the long one.

    Attributes:
        queries, passages: rows whose query, or whose passage, has at least twice the other's characters.
        total: pairs that were looked at.
        correlation: of the logarithms of the two lengths: far below 0 where one is long because the other is short.
    """

    queries: list[int]
    passages: list[int]
    total: int
    correlation: float

    @property
    def share(self) -> float:
        """Of the pairs with a long text, those where it is the query; 0 where there are none."""
        return len(self.queries) / max(1, len(self.queries) + len(self.passages))


def sides(examples: Examples) -> Sides:
    """The lengths of all pairs, held against each other."""
    query, passage = (
        np.log([max(1, len(text)) for text in texts]) for texts in (examples.queries, examples.passages)
    )  # (n,) each
    long, short = (np.flatnonzero(sign * (query - passage) >= math.log(_LONGER)).tolist() for sign in (1, -1))
    varied = len(query) > 1 and query.std() > 0 and passage.std() > 0
    correlation = float(np.corrcoef(query, passage)[0, 1]) if varied else 0.0
    return Sides(long, short, len(query), correlation)
