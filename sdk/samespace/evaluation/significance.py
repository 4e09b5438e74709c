"""Is one encoder better than another, or were the queries kind to it? Paired bootstrap over queries.

Pure numpy and seeded: the same numbers give the same answer on every machine.

What it leaves to others: the numbers of each query (`retrieval`).
What it gives up: correction for many comparisons. Who tries twenty encoders on one test split will find one
that is "significantly" better; choose on the development split, and test once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import RequestInvalid
from .words import canonical

RESAMPLES: Final = 10_000
_BLOCK_NUMBERS: Final = 4_000_000  # indices drawn at a time: 32 MB


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better the first of two encoders is, over the same queries.

    Attributes:
        mean: mean of first - second, in the metric's unit.
        low, high: bounds of the 95 % confidence interval of that mean.
        p_value: two-sided; how often a difference this large comes about when there is none.
        wins, losses: questions on which the first is better, worse; the others are ties.
        queries: how many questions there are: a text that is asked under several ids is one.
    """

    mean: float
    low: float
    high: float
    p_value: float
    wins: int
    losses: int
    queries: int

    @property
    def better(self) -> bool:
        """The first is better, with p < 0.05."""
        return self.mean > 0 and self.p_value < 0.05

    def to_json(self) -> dict[str, Any]:
        """The plain form, for `json.dumps`."""
        return {name: getattr(self, name) for name in self.__slots__}


def in_points(comparison: Mapping[str, Any]) -> str:
    """The plain form of a `Comparison` in points, hundredths of the metric: "+5.6 (+3.6 to +7.5)"."""
    mean, low, high = (100 * comparison[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def paired_bootstrap(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    *,
    texts: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two encoders by their numbers on the same queries, in the same order.

    The interval is the percentile interval of the resampled mean difference. The p-value is that of the shifted
    test: the differences minus their mean are resampled, and p = (1 + how often the mean is as far from 0 as
    the observed one) / (1 + resamples), so it is never 0.

    Queries of one text are drawn together (a cluster bootstrap): sixty ids of one question are no sixty questions.

    Args:
        first, second: (queries,) float64, one metric, e.g. nDCG@10.
        texts: of the queries; None where all are different.

    Raises:
        RequestInvalid: not two arrays (queries,) of one length with at least one query.

    Source: Efron and Tibshirani 1993, chapters 13 and 16; for retrieval Sakai 2006, section 3; for clusters Davison and
    Hinkley 1997, section 3.8.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise RequestInvalid(
            field="first, second", reason=f"shapes {first.shape} and {second.shape}; expected (queries,) of the same"
        )
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    observed = float(differences.mean())
    first_of: dict[object, int] = {}
    keys = range(len(differences)) if texts is None else map(canonical, texts)
    question = [first_of.setdefault(key, len(first_of)) for key in keys]
    sizes = np.bincount(question).astype(np.float64)  # (questions,)
    sums = np.bincount(question, weights=differences)
    n = len(sizes)
    random = np.random.default_rng(seed)
    means = np.empty(resamples, dtype=np.float64)
    block = max(1, _BLOCK_NUMBERS // n)
    for start in range(0, resamples, block):
        drawn = random.integers(0, n, size=(min(block, resamples - start), n))  # (resamples of the block, questions)
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    # The tiny slack counts a resample that equals the observation although its sum was rounded another way.
    as_far = int((np.abs(means - observed) >= abs(observed) - 1e-12).sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return Comparison(
        mean=observed,
        low=float(low),
        high=float(high),
        p_value=(1 + as_far) / (1 + resamples),
        wins=int((sums > 0).sum()),
        losses=int((sums < 0).sum()),
        queries=n,
    )
