"""Hard negatives: passages that a ranker puts high for a query, although nothing says that they answer it.

The higher a negative ranks the more it teaches, and the more often it is a right answer that nobody judged. So
three things are kept out: passages known to be right and their near-duplicates (`masking`, by text), passages that
score above (1 - margin) of the query's own right answer, and the very top where that answer is not found at all.

Source: Moreira et al. 2024, "NV-Retriever", arXiv:2407.15831, section 4.1 (their TopK-PercPos).

What it leaves to others: how passages are ranked (`evaluation`), when that is done again (`trainer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ...evaluation import Bm25Ranker, Dataset, Run
from ...evaluation.retrieval import top
from ..losses.masking import Known

MINING: Final = ("none", "bm25", "encoder", "both")
DEPTH: Final = 100
"""How deep a ranking is looked through for negatives."""
_BLOCK: Final = 256


class Found(Protocol):
    """A ranking: `evaluation.Run` is one. Rows are passages, -1 where nothing more was found; best first."""

    @property
    def rows(self) -> npt.NDArray[np.int64]: ...

    @property
    def scores(self) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Mining:
    """How negatives are chosen.

    Attributes:
        count: negatives of a query, at most.
        margin: how far below the right answer's score a negative has to be, as a share of that score, in [0, 1).
    """

    count: int
    margin: float


def choose(
    queries: Sequence[str], passages: Sequence[str], found: Found, known: Known, mining: Mining
) -> list[list[int]]:
    """For each query the rows of its hard negatives, hardest first; fewer than asked where too few are left.

    Args:
        queries, passages: their texts; *found* ranks these passages for these queries, in the same order.
        known: the pairs that are right.
    """
    asked, groups = known.groups(queries, known.queries), known.groups(passages, known.passages)
    chosen = []
    for query in range(len(queries)):
        ranked = found.rows[query][found.rows[query] >= 0]
        scores = found.scores[query][: len(ranked)]
        right = known.mask(asked[query : query + 1], groups[ranked])[0]
        bound = _bound(scores, right, mining.margin)
        rows, seen = [], set[int]()
        for row, score in zip(ranked[~right], scores[~right], strict=True):
            if score > bound or int(groups[row]) in seen:
                continue
            seen.add(int(groups[row]))
            rows.append(int(row))
            if len(rows) == mining.count:
                break
        chosen.append(rows)
    return chosen


def _bound(scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], margin: float) -> float:
    """The highest score that a negative may have.

    Relative to the *lowest* right answer that was found, but no lower than half of the best one: a single answer
    in quite other words would leave no negatives. Where no right answer was found, relative to the first score.
    """
    if not len(scores):
        return -np.inf
    answers = scores[right]
    if not len(answers):
        return float(scores[0]) * (1 - margin)
    return float(max(answers.min(), answers.max() / 2)) * (1 - margin)


def interleave(lists: Sequence[Sequence[int]], count: int) -> list[int]:
    """The first *count* of several rankings, in turn, each once."""
    merged = dict.fromkeys(row for place in range(max(map(len, lists), default=0)) for rows in lists
                           for row in rows[place : place + 1])  # fmt: skip
    return list(merged)[:count]


def rank_bm25(queries: Sequence[str], passages: Sequence[str]) -> Found:
    """The best passages of each query by BM25.

    Raises:
        ExtraMissing: the extra `eval` is not installed.
    """
    names = tuple(map(str, range(len(passages))))
    asked = tuple(map(str, range(len(queries))))
    dataset = Dataset(Path(), "train", names, tuple(passages), asked, tuple(queries), {})
    return Bm25Ranker().rank(dataset, DEPTH)


def rank_vectors(q: npt.NDArray[np.float32], p: npt.NDArray[np.float32]) -> Found:
    """The passages (passages, dim) nearest to each query (queries, dim), unit rows both."""
    depth = min(DEPTH, len(p))
    rows = np.empty((len(q), depth), dtype=np.int64)
    scores = np.empty((len(q), depth), dtype=np.float32)
    for start in range(0, len(q), _BLOCK):
        block = q[start : start + _BLOCK] @ p.T  # (block, passages)
        for row, cosines in enumerate(block, start=start):
            rows[row] = top(cosines, depth)
            scores[row] = cosines[rows[row]]
    return Run(rows, scores)
