"""How many objects can be wrong when so many of a sample are: exact one-sided bounds. Pure.

No approximation by a normal distribution: where nothing wrong was found, which is the case that matters, that
would say "at most 0 %".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from samespace.errors import RequestInvalid

ROUNDING: Final = 1e-9
"""Of sums of logarithms; where that matters, the larger bound is taken."""


def share_at_most(wrong: int, sampled: int, population: int | None, confidence: float) -> float:
    """The largest share of wrong objects that the sample does not rule out with this confidence.

    Args:
        wrong: how many of the sample are wrong.
        sampled: its size; drawn without replacement, each object as likely as any other.
        population: how many objects there are; None for any number.
        confidence: above 0 and below 1, e.g. 0.99: a collection whose share is really larger gives a sample with so
            few wrong ones in at most 1 of 100 audits.

    Returns:
        0 to 1; 1 where nothing was sampled, wrong/population where everything was.

    Source: Clopper and Pearson 1934, Biometrika 26, for populations of any size; the same argument with the
    hypergeometric distribution (Katz 1953, JASA 48) for a given one.
    """
    _check(wrong, sampled, population, confidence)
    if sampled == 0:
        return 1.0
    if population is None:
        return _binomial(wrong, sampled, 1.0 - confidence)
    return _hypergeometric(wrong, sampled, population, 1.0 - confidence) / population


def overall_at_most(parts: Iterable[tuple[int, int, int]], confidence: float) -> float:
    """The same for a whole that was sampled part by part: (wrong, sampled, population) of each part.

    Each part's bound is taken at a confidence that lets all of them hold together (Bonferroni), so the result
    holds however the wrong ones are spread; with many parts it is larger than one sample of the same size would give.
    A part of which nothing was sampled counts as wrong throughout.
    """
    kept = [part for part in parts if part[2] > 0]
    total = sum(population for _, _, population in kept)
    if not total:
        return 0.0
    each = 1.0 - (1.0 - confidence) / len(kept)
    return sum(share_at_most(wrong, sampled, size, each) * size for wrong, sampled, size in kept) / total


def sample_to_find(share: float, confidence: float) -> int:
    """How many objects have to be sampled to see at least one wrong one, where *share* of them are wrong."""
    if not 0.0 < share < 1.0 or not 0.0 < confidence < 1.0:
        raise RequestInvalid(field="share", reason=f"{share} with confidence {confidence}; both between 0 and 1")
    return math.ceil(math.log1p(-confidence) / math.log1p(-share))


def _binomial(wrong: int, sampled: int, risk: float) -> float:
    """The share p at which P(at most *wrong* of *sampled*) is *risk*."""
    if wrong == sampled:
        return 1.0
    if wrong == 0:
        return -math.expm1(math.log(risk) / sampled)
    low, high = wrong / sampled, 1.0
    for _ in range(60):  # the interval is below 1e-18 then
        middle = (low + high) / 2
        terms = [
            _log_choose(sampled, k) + k * math.log(middle) + (sampled - k) * math.log1p(-middle)
            for k in range(wrong + 1)
        ]
        low, high = (low, middle) if _log_sum(terms) < math.log(risk) else (middle, high)
    return high


def _hypergeometric(wrong: int, sampled: int, population: int, risk: float) -> int:
    """The largest number K of wrong objects for which P(at most *wrong* of *sampled*) is still above *risk*."""
    low, high = wrong, population - sampled + wrong  # K = wrong is always possible, more than high never
    while low < high:
        middle = (low + high + 1) // 2
        everything = _log_choose(population, sampled)
        terms = [
            _log_choose(middle, k) + _log_choose(population - middle, sampled - k) - everything
            for k in range(max(0, sampled - population + middle), wrong + 1)
        ]
        low, high = (middle, high) if _log_sum(terms) > math.log(risk) - ROUNDING else (low, middle - 1)
    return low


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_sum(logs: list[float]) -> float:
    """log of the sum of exp; the sum is a probability, so it may come out a rounding error above 0."""
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(each - largest) for each in logs))


def _check(wrong: int, sampled: int, population: int | None, confidence: float) -> None:
    if not 0 <= wrong <= sampled or (population is not None and sampled > population):
        raise RequestInvalid(
            field="sample", reason=f"{wrong} wrong of {sampled} sampled of {population}; expected wrong <= sampled"
        )
    if not 0.0 < confidence < 1.0:
        raise RequestInvalid(field="confidence", reason=f"{confidence}; expected above 0 and below 1, e.g. 0.99")
