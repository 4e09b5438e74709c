"""Is one encoder better than another, or were the queries kind to it? Paired bootstrap over queries, and sign flips.

Pure numpy and seeded: the same numbers give the same answer on every machine.

What it leaves to others: the numbers of each query (`retrieval`).
What it gives up: correction for many comparisons. Who tries twenty encoders on one test split will find one
that is "significantly" better; choose on the development split, and test once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import RequestInvalid
from .words import canonical

RESAMPLES: Final = 10_000
FEWEST: Final = 6
"""Fewer questions show nothing, whatever came of them: all of five to one side is chance once in 16 times."""
_LEVEL: Final = 0.05
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
        return self.mean > 0 and self.p_value < _LEVEL

    @property
    def worse(self) -> bool:
        """The first is worse, with p < 0.05."""
        return self.mean < 0 and self.p_value < _LEVEL

    @property
    def word(self) -> str:
        """What is shown of the first, in front of the second's name."""
        return "better than" if self.better else "worse than" if self.worse else "not shown to differ from"

    @property
    def points(self) -> str:
        """Mean, interval and p-value in points, hundredths of the metric."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.mean:+.2f} points (95 % between {low:+.2f} and {high:+.2f}, p = {self.p_value:.4f})"

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

    The interval is the percentile interval of the resampled mean difference, expanded for small numbers of questions,
    and -1 to 1, all that a metric can differ, below `FEWEST`. The p-value is the larger of two. The shifted test
    resamples the differences minus their mean, and p = (1 + how often the mean is as far from 0 as the observed one) /
    (1 + resamples), so it is never 0; from few questions it takes chance for certainty. The other test flips the signs
    of the differences: all ways where they are few, else as many draws. Where p is 0.05 or more, the interval holds 0.

    Queries of one text are drawn together (a cluster bootstrap): sixty ids of one question are no sixty questions.

    Args:
        first, second: (queries,) float64, one metric, e.g. nDCG@10.
        texts: of the queries; None where all are different. Where a text is empty nobody knows it, and it is another.

    Raises:
        RequestInvalid: not two arrays (queries,) of one length with at least one query.

    Source: Efron and Tibshirani 1993, chapters 13 and 16; for retrieval Sakai 2006, section 3; for clusters Davison and
    Hinkley 1997, section 3.8; for the expanded interval Hesterberg 2015, section 4.3, arXiv:1411.5279; for sign flips
    Smucker, Allan and Carterette 2007, section 2.1.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise RequestInvalid(
            field="first, second", reason=f"shapes {first.shape} and {second.shape}; expected (queries,) of the same"
        )
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    observed = float(differences.mean())
    first_of: dict[object, int] = {}
    keys = range(len(differences)) if texts is None else [canonical(text) or row for row, text in enumerate(texts)]
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
    p_value = max((1 + as_far) / (1 + resamples), _by_flips(np.asarray(sums, dtype=np.float64), resamples, random))
    low, high = _interval(means, n, holds_0=p_value >= _LEVEL)
    return Comparison(
        mean=observed,
        low=low,
        high=high,
        p_value=p_value,
        wins=int((sums > 0).sum()),
        losses=int((sums < 0).sum()),
        queries=n,
    )


def _by_flips(sums: npt.NDArray[np.float64], resamples: int, random: np.random.Generator) -> float:
    """How often the sum is as far from 0 as it is, where each question could as well have gone the other way."""
    changed = sums[sums != 0]
    observed = abs(float(changed.sum())) - 1e-12
    if 2 ** len(changed) <= resamples:
        ways = np.arange(2 ** len(changed))[:, None] >> np.arange(len(changed)) & 1
        return float((np.abs((1 - 2 * ways) @ changed) >= observed).mean())
    as_far, block = 0, max(1, _BLOCK_NUMBERS // len(changed))
    for start in range(0, resamples, block):
        signs = random.integers(0, 2, size=(min(block, resamples - start), len(changed)), dtype=np.int8) * 2 - 1
        as_far += int((np.abs(signs @ changed) >= observed).sum())
    return (1 + as_far) / (1 + resamples)


def _interval(means: npt.NDArray[np.float64], questions: int, *, holds_0: bool) -> tuple[float, float]:
    """Bounds of the mean, of its resampled values."""
    if questions < FEWEST:
        return -1.0, 1.0
    tail = NormalDist().cdf(-sqrt(questions / (questions - 1)) * _student(questions - 1))
    low, high = (float(each) for each in np.quantile(means, [tail, 1 - tail]))
    return (min(low, 0.0), max(high, 0.0)) if holds_0 else (low, high)


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.003 from 5 degrees of freedom on.

    Source: Abramowitz and Stegun 1964, 26.7.5.
    """
    z = NormalDist().inv_cdf(1 - _LEVEL / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / freedom**power for power, term in enumerate(terms)))
