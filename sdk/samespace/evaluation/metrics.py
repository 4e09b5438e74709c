"""Retrieval metrics, one number a query; pure functions over grades.

They take what was found as grades in rank order, so that they need to know neither ids nor scores. Linear
gain and a log2 discount as trec_eval computes nDCG; a grade of 0 or less is not relevant.

What it leaves to others: searching and looking grades up (`retrieval`), comparing (`significance`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Grades = npt.NDArray[np.float64]


def ndcg(found: Grades, judged: Sequence[Sequence[float]], k: int) -> Float64:
    """Normalised discounted cumulative gain at *k*: sum of grade / log2(rank + 1), over the best possible sum.

    Args:
        found: (queries, depth) float64; grade of the passage at each rank, 0 for unjudged or nothing there.
        judged: for each query the grades of all its judged passages, in any order.

    Returns:
        (queries,) float64 in [0, 1]; 0 for a query without a relevant passage.

    Source: Jarvelin and Kekalainen 2002 (section 2), with the linear gain and log2(rank + 1) of trec_eval's `ndcg_cut`.
    """
    gains = np.maximum(found[:, :k], 0).astype(np.float64)  # (queries, at most k)
    reached = gains @ _discounts(gains.shape[1])
    best = np.zeros(len(found), dtype=np.float64)
    for row, grades in enumerate(judged):
        ideal = np.sort(np.maximum(np.asarray(grades, dtype=np.float64), 0))[::-1][:k]
        best[row] = ideal @ _discounts(len(ideal))
    return _ratio(reached, best)


def recall(found: Grades, judged: Sequence[Sequence[float]], k: int) -> Float64:
    """Which part of a query's relevant passages is among the first *k*; arguments and result as for `ndcg`."""
    hits = (found[:, :k] > 0).sum(axis=1).astype(np.float64)
    relevant = np.array([sum(grade > 0 for grade in grades) for grades in judged], dtype=np.float64)
    return _ratio(hits, relevant)


def mrr(found: Grades, k: int) -> Float64:
    """1 / rank of the first relevant passage among the first *k*, 0 where there is none; (queries,) float64."""
    relevant = found[:, :k] > 0
    if relevant.shape[1] == 0:
        return np.zeros(len(found), dtype=np.float64)
    return np.asarray(np.where(relevant.any(axis=1), 1.0 / (1 + relevant.argmax(axis=1)), 0.0), dtype=np.float64)


def _ratio(part: Float64, whole: Float64) -> Float64:
    """part / whole, 0 where there is no whole."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0), dtype=np.float64)


def _discounts(depth: int) -> Float64:
    return np.asarray(1.0 / np.log2(np.arange(2, depth + 2, dtype=np.float64)), dtype=np.float64)
