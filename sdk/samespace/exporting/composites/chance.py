"""What a ranker scores by chance: its own rankings, each held against the judgements of other questions.

A ranking of six passages finds the right one among the first ten, whoever made it, and one that gives every question
the same popular passages is right now and then. Shuffling the questions keeps both, and takes away all that a ranking
knows of its question.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ...evaluation import Comparison, Dataset, Evaluation, Run, metrics, paired_bootstrap
from ...evaluation.retrieval import grades_of

SHUFFLES: Final = 50
_K: Final = 10


def shuffled_ndcg(found: Evaluation, dataset: Dataset, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """(queries,) float64: the mean nDCG@10 of up to `SHUFFLES` other questions' rankings, by each one's judgements.

    A single question has no other: its chance is 1.
    """
    count = len(dataset.query_ids)
    if count < 2:
        return np.ones(count, dtype=np.float64)
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    shifts = random.permutation(np.arange(1, count))[:SHUFFLES]
    judged = [dataset.judged(query) for query in dataset.query_ids]
    total = np.zeros(count, dtype=np.float64)
    for shift in shifts:
        other = np.empty(count, dtype=np.int64)
        other[order] = np.roll(order, shift)  # each question gets another's ranking
        run = Run(found.run.rows[other, :_K], found.run.scores[other, :_K])
        total += metrics.ndcg(grades_of(run, dataset), judged, _K)
    return total / len(shifts)


def above_chance(found: Evaluation, dataset: Dataset) -> Comparison:
    """How much better its nDCG@10 is than its own by chance, question by question."""
    chance = shuffled_ndcg(found, dataset)
    return paired_bootstrap(found.per_query["ndcg@10"], chance, texts=found.texts or None)
