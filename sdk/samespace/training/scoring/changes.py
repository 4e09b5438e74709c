"""Questions that one encoder answers better than another, with what both found. Pure.

What it leaves to others: the rankings (`evaluation`), showing them (`report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...evaluation import Dataset, Evaluation

_CHANGES: Final = 5
_LIST: Final = 4


@dataclass(frozen=True, slots=True)
class Listed:
    """A passage in a list.

    Attributes:
        place: in the ranking, 1 is the best.
        right: whether it was judged as an answer.
    """

    place: int
    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One question's nDCG@10 and lists before and after.

    Attributes:
        before_list, after_list: the first passages, and behind them the first right one, where it is further down.
    """

    query: str
    before: float
    after: float
    before_list: Sequence[Listed] = ()
    after_list: Sequence[Listed] = ()


def changes(dataset: Dataset, before: Evaluation, after: Evaluation) -> tuple[Change, ...]:
    """The questions of *dataset* that changed most, best first: up to five that won, and five that lost."""
    old, new = before.per_query["ndcg@10"], after.per_query["ndcg@10"]
    order = [int(row) for row in np.argsort(old - new, kind="stable")]
    won = [row for row in order if new[row] > old[row]][:_CHANGES]
    lost = [row for row in order if new[row] < old[row]][-_CHANGES:]
    return tuple(
        Change(
            dataset.queries[row],
            float(old[row]),
            float(new[row]),
            _hits(dataset, before, row),
            _hits(dataset, after, row),
        )
        for row in (*won, *lost)
    )


def _hits(dataset: Dataset, evaluation: Evaluation, row: int) -> tuple[Listed, ...]:
    grades = dataset.qrels[dataset.query_ids[row]]
    found = [int(each) for each in evaluation.run.rows[row] if each >= 0]
    hits = [
        Listed(place, dataset.passages[each], grades.get(dataset.passage_ids[each], 0) > 0)
        for place, each in enumerate(found, start=1)
    ]
    first = hits[:_LIST]
    if not any(hit.right for hit in first):
        first += [hit for hit in hits[_LIST:] if hit.right][:1]
    return tuple(first)
