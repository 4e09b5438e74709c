"""How much of one text is inside another: the share of its windows of characters that the other has too.

Counted exactly, without comparing all with all. A text that is inside to a share of *least* lacks few of its windows,
so it lacks few of any choice of them. The rarest are chosen, twice as many as may be lacking: who has less than half
of these is out, and rare windows have few bearers.

Of very many texts a share of the windows is looked at, the same of each: memory has an end, and shares stay what they
are, but for chance.

What it leaves to others: what it means that a text is inside another (`leakage`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .near_duplicates import Shingles, windows, windows_in_order

_SPARE: Final = 4
_MOST_WINDOWS: Final = 100_000_000
"""Windows in memory: a gigabyte with what is made of them."""
_COMMON: Final = 0.005
"""Share of the texts that may have a window before it counts as boilerplate."""
_COMMON_LEAST: Final = 10


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a text is inside another.

    Attributes:
        among: position of the other.
        share: of the windows of the text that count.
    """

    among: int
    share: float


def inside(
    texts: Sequence[str], among: Sequence[str], least: float, *, chars: int, fewest: int = 1, own: bool = False
) -> list[list[Inside]]:
    """For each of *texts* the others of *among* that hold at least a share of *least* of its windows, in order.

    Args:
        texts, among: in canonical form.
        chars: length of a window.
        fewest: windows that have to count; texts with fewer are inside nothing.
        own: whether windows that many texts have, as templates do, do not count; a text that is there whole is found
            all the same.
    """
    if not texts or not among:
        return [[] for _ in texts]
    different = dict.fromkeys([*among, *texts])
    every = 1 + sum(map(len, different)) // _MOST_WINDOWS
    pool = {text: _some(windows(text, chars), every) for text in different}
    mine, theirs = [pool[text] for text in texts], [pool[text] for text in among]
    known, bearers = np.unique(np.concatenate(list(pool.values())), return_counts=True)
    counted = [(mine, least)]
    if own:
        most = max(_COMMON_LEAST, _COMMON * len(pool))
        counted = [([each[bearers[np.searchsorted(known, each)] <= most] for each in mine], least), (mine, 1.0)]
    found: list[dict[int, Inside]] = [{} for _ in texts]
    for each_of, share_of in counted:
        index = _Index(each_of, known, bearers, share_of, fewest // every)
        for position, each in enumerate(theirs):
            for row in index.candidates(each):
                share = len(np.intersect1d(each_of[row], each, assume_unique=True)) / len(each_of[row])
                if share >= share_of:
                    found[row].setdefault(position, Inside(position, share))
    return [list(each.values()) for each in found]


def _some(each: Shingles, every: int) -> Shingles:
    """Those whose hash *every* divides: the same windows of every text."""
    return each if every == 1 else each[each % np.uint32(every) == 0]


def longest_run(text: str, other: str, chars: int) -> float:
    """Share of the windows of *text* that are in *other* one after the other, in one piece."""
    ours, theirs = windows_in_order(text, chars), windows(other, chars)
    at = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    gaps = np.flatnonzero(np.concatenate([[True], theirs[at] != ours, [True]]))
    return float((np.diff(gaps) - 1).max() / len(ours))


class _Index:
    """The rarest windows of each text -> the texts that have them."""

    def __init__(
        self, texts: Sequence[Shingles], known: Shingles, bearers: npt.NDArray[np.int64], least: float, fewest: int
    ) -> None:
        chosen: list[Shingles] = []
        self._needed = np.full(len(texts), np.iinfo(np.int64).max)
        for row, each in enumerate(texts):
            lacking = int((1 - least) * len(each) + 1e-9)
            count = min(len(each), 2 * lacking + _SPARE) if len(each) >= max(1, fewest) else 0
            if count:
                self._needed[row] = count - lacking
                rarity = bearers[np.searchsorted(known, each)]
                each = each[np.argpartition(rarity, count - 1)[:count]]
            chosen.append(each[:count])
        rows = np.repeat(np.arange(len(texts)), [len(each) for each in chosen])
        joined = np.concatenate(chosen)
        order = np.argsort(joined, kind="stable")
        self._rows = rows[order]
        self._windows, self._start, self._count = np.unique(joined[order], return_index=True, return_counts=True)

    def candidates(self, other: Shingles) -> list[int]:
        """Rows of the texts that may be inside *other*."""
        if not len(self._windows):
            return []
        at = np.minimum(np.searchsorted(self._windows, other), len(self._windows) - 1)
        at = at[self._windows[at] == other]
        if not len(at):
            return []
        count = self._count[at]
        places = np.repeat(self._start[at] - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(
            count.sum()
        )
        hits = np.bincount(self._rows[places], minlength=len(self._needed))
        return [int(row) for row in np.flatnonzero(hits >= self._needed)]
