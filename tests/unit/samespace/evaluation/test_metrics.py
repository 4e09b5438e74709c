"""Metrics against slow, obvious versions of their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samespace.evaluation.metrics import mrr, ndcg, recall

EXACT = 1e-12  # both sides are float64 sums of at most 20 terms


def slow_ndcg(ranked: list[int], judged: list[int], k: int) -> float:
    """trec_eval's ndcg_cut, term by term."""

    def dcg(grades: list[int]) -> float:
        return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades[:k], start=1) if grade > 0)

    best = dcg(sorted(judged, reverse=True))
    return dcg(ranked) / best if best else 0.0


def slow_recall(ranked: list[int], judged: list[int], k: int) -> float:
    relevant = [grade for grade in judged if grade > 0]
    return len([grade for grade in ranked[:k] if grade > 0]) / len(relevant) if relevant else 0.0


def slow_mrr(ranked: list[int], k: int) -> float:
    for rank, grade in enumerate(ranked[:k], start=1):
        if grade > 0:
            return 1 / rank
    return 0.0


@pytest.mark.parametrize("seed", range(20))
def test_the_fast_metrics_equal_the_obvious_ones(seed: int) -> None:
    """On random rankings with grades -1 to 3, each metric equals its definition written out term by term."""
    random = np.random.default_rng(seed)
    depth, queries = int(random.integers(1, 15)), 7
    judged = [[int(g) for g in random.integers(-1, 4, size=random.integers(1, 20))] for _ in range(queries)]
    found = np.zeros((queries, depth), dtype=np.int64)
    for row, grades in enumerate(judged):
        pool = [*grades, *[0] * depth]
        found[row] = [pool[i] for i in random.permutation(len(pool))[:depth]]
    for k in (1, 3, 10, 100):
        np.testing.assert_allclose(
            ndcg(found, judged, k), [slow_ndcg(list(r), j, k) for r, j in zip(found, judged, strict=True)], atol=EXACT
        )
        np.testing.assert_allclose(
            recall(found, judged, k),
            [slow_recall(list(r), j, k) for r, j in zip(found, judged, strict=True)],
            atol=EXACT,
        )
        np.testing.assert_allclose(mrr(found, k), [slow_mrr(list(r), k) for r in found], atol=EXACT)


def test_a_perfect_ranking_scores_one() -> None:
    """Grades in falling order give nDCG 1, recall 1 and MRR 1."""
    found = np.array([[2, 1, 0]], dtype=np.int64)
    assert ndcg(found, [[1, 2]], 10)[0] == pytest.approx(1.0, abs=EXACT)
    assert recall(found, [[1, 2]], 10)[0] == 1.0
    assert mrr(found, 10)[0] == 1.0


def test_gain_is_linear() -> None:
    """A grade of 3 in second place counts 3 / log2(3), not 2 ** 3 - 1 as in the exponential variant."""
    found = np.array([[0, 3]], dtype=np.int64)
    assert ndcg(found, [[3]], 10)[0] == pytest.approx(1 / math.log2(3), abs=EXACT)


def test_a_query_without_relevant_passages_scores_zero() -> None:
    """It gives 0 and no warning about a division."""
    found = np.array([[0, 0]], dtype=np.int64)
    assert ndcg(found, [[0]], 10)[0] == recall(found, [[0]], 10)[0] == mrr(found, 10)[0] == 0.0
