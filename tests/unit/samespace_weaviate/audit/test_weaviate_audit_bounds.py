"""samespace_weaviate.audit: sampling, bounds and tolerances, against slow and obvious versions."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.errors import RequestInvalid
from samespace_weaviate.audit.bounds import overall_at_most, sample_to_find, share_at_most
from samespace_weaviate.audit.sampling import reservoir
from samespace_weaviate.audit.tolerance import Bound, apart, infer

ROUNDING = 1e-9  # of sums of logarithms against exact fractions


@pytest.mark.parametrize(
    ("wrong", "sampled", "confidence", "expected"),
    [
        (0, 500, 0.99, 0.00917),  # 1 - 0.01^(1/500)
        (0, 300, 0.95, 0.00994),  # the "rule of three": about 3/300
        (1, 20, 0.95, 0.2161),  # tables of Clopper and Pearson's 90 % interval
        (5, 100, 0.975, 0.1128),  # the upper end of the 95 % interval for 5 of 100
        (10, 10, 0.99, 1.0),
        (0, 0, 0.99, 1.0),
    ],
)
def test_known_bounds(wrong: int, sampled: int, confidence: float, expected: float) -> None:
    """Values from tables and closed forms."""
    assert share_at_most(wrong, sampled, None, confidence) == pytest.approx(expected, abs=5e-5)


@settings(deadline=None)
@given(st.integers(1, 60), st.data(), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_binomial_bound_is_where_the_tail_is_the_risk(sampled: int, data: st.DataObject, confidence: float) -> None:
    """Clopper and Pearson 1934: at the bound, so few wrong ones come in just 1 - confidence of all samples."""
    wrong = data.draw(st.integers(0, sampled - 1))
    p = share_at_most(wrong, sampled, None, confidence)
    tail = sum(math.comb(sampled, k) * p**k * (1 - p) ** (sampled - k) for k in range(wrong + 1))
    assert tail == pytest.approx(1 - confidence, rel=1e-6)


@settings(deadline=None)
@given(st.integers(1, 80), st.data(), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_finite_bound_is_the_largest_number_not_ruled_out(
    population: int, data: st.DataObject, confidence: float
) -> None:
    """Every number of wrong objects is tried, with exact fractions."""
    sampled = data.draw(st.integers(1, population))
    wrong = data.draw(st.integers(0, sampled))
    risk = Fraction(1) - Fraction(confidence)

    def tail(total: int) -> Fraction:
        ways = sum(math.comb(total, k) * math.comb(population - total, sampled - k) for k in range(wrong + 1))
        return Fraction(ways, math.comb(population, sampled))

    possible = range(wrong, population - sampled + wrong + 1)
    expected = max(total for total in possible if tail(total) >= risk * (1 - Fraction(ROUNDING)) or total == wrong)
    assert share_at_most(wrong, sampled, population, confidence) == expected / population


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(20, 200), st.integers(200, 100_000))
def test_a_smaller_population_is_never_bounded_worse(wrong: int, sampled: int, population: int) -> None:
    """Up to one object, by which the finite bound is a whole number; and it is never below what was seen."""
    finite = share_at_most(wrong, sampled, population, 0.99)
    assert wrong / population <= finite <= share_at_most(wrong, sampled, None, 0.99) + ROUNDING


def test_bounds_hold_as_often_as_they_say() -> None:
    """2,000 samples of a collection with 3.3 % wrong: the true share is above the 90 % bound in about 10 % or fewer."""
    chance, population = random.Random(5), [index < 33 for index in range(1000)]
    missed = 0
    for _ in range(2000):
        missed += share_at_most(sum(chance.sample(population, 120)), 120, 1000, 0.9) < 0.033
    assert missed / 2000 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 2000)
    assert missed / 2000 > 0.04  # and it is not much wider than it has to be


def test_parts_are_bounded_together() -> None:
    """One part is as it is alone; more parts cost confidence; a part that was not sampled may be wrong throughout."""
    assert overall_at_most([(0, 100, 1000)], 0.99) == share_at_most(0, 100, 1000, 0.99)
    assert overall_at_most([(0, 100, 1000)] * 4, 0.99) == share_at_most(0, 100, 1000, 0.9975)
    assert overall_at_most([(0, 500, 500), (0, 0, 500)], 0.99) == 0.5
    assert overall_at_most([(0, 0, 0)], 0.99) == overall_at_most([], 0.99) == 0.0


def test_how_many_to_sample() -> None:
    """459 objects show 1 % wrong ones with 99 %, and 458 do not."""
    assert sample_to_find(0.01, 0.99) == 459
    assert 1 - 0.99**459 >= 0.99 > 1 - 0.99**458
    with pytest.raises(RequestInvalid):
        sample_to_find(0.0, 0.99)


@pytest.mark.parametrize("bad", [(3, 2, None, 0.9), (0, 5, 4, 0.9), (0, 5, None, 1.0), (-1, 5, None, 0.9)])
def test_impossible_samples_are_refused(bad: tuple[int, int, int | None, float]) -> None:
    """More wrong than sampled, more sampled than there are, certainty."""
    with pytest.raises(RequestInvalid):
        share_at_most(*bad)


def test_each_item_is_as_likely_as_any_other() -> None:
    """4,000 samples of 3 out of 10: every item about 1,200 times, whatever its place."""
    chance = random.Random(7)
    counts = Counter(item for _ in range(4000) for item in reservoir(range(10), 3, chance)[0])
    spread = math.sqrt(4000 * 0.3 * 0.7)
    assert all(abs(counts[item] - 1200) < 4 * spread for item in range(10))


@pytest.mark.parametrize("size", [None, 10, 99])
def test_few_items_are_all_taken_once(size: int | None) -> None:
    """And they are counted."""
    assert reservoir(range(10), size, random.Random(1)) == (list(range(10)), 10)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_two_vectors_within_their_bounds_are_within_the_sum_of_angles(first: float, second: float, turn: float) -> None:
    """In the plane, where the worst case is; and neither bound alone nor the sum of 1 - cos would do."""
    left, right = math.acos(1 - first) * turn, -math.acos(1 - second)
    assert 1 - math.cos(left - right) <= apart(first, second) + ROUNDING


def test_equal_bounds_allow_four_times_one() -> None:
    """Angles add up, so small 1 - cos grow with the square."""
    assert apart(1e-6, 1e-6) == pytest.approx(4e-6, rel=1e-5)
    assert apart(1e-6, 0.0) == pytest.approx(1e-6, rel=1e-5)
    assert apart(2.0, 2.0) == 2.0


@pytest.mark.parametrize(
    ("distances", "writer"),
    [
        ([1e-12] * 90 + [5e-3] * 10, "fp32"),  # a few drifted ones do not make it an int8 collection
        ([5e-3] * 90 + [1e-12] * 10, "int8"),
        ([1e-5] * 100, "bf16"),
        ([0.9] * 90 + [1e-12] * 10, "fp32"),  # most are of another space: they do not count
        ([0.9] * 100, "fp32"),
        ([], "fp32"),
    ],
)
def test_the_build_that_wrote_is_told_from_the_distances(distances: list[float], writer: str) -> None:
    """The tightest one that explains half of what any explains."""
    fp32 = Bound("fp32", 1e-6)
    tolerance = infer(fp32, (fp32, Bound("bf16", 2e-4), Bound("int8", 0.02)), np.array(distances))
    assert (tolerance.writer.build, tolerance.loosest.build) == (writer, "int8")
    assert tolerance.allowed == apart(1e-6, tolerance.writer.worst)
