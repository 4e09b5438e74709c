"""The paired bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from samespace.errors import RequestInvalid
from samespace.evaluation import paired_bootstrap


def test_the_same_numbers_give_the_same_answer() -> None:
    """With one seed the answer is the same to the last bit; with another it moves a little."""
    random = np.random.default_rng(1)
    first, second = random.random(80), random.random(80)
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    other = paired_bootstrap(first, second, seed=5)
    assert other.p_value == pytest.approx(paired_bootstrap(first, second).p_value, abs=0.03)


def test_a_difference_of_nothing_is_not_significant() -> None:
    """Equal numbers give mean 0, an interval of 0 and p = 1."""
    values = np.linspace(0, 1, 30)
    same = paired_bootstrap(values, values)
    assert (same.mean, same.low, same.high, same.p_value, same.wins, same.losses) == (0.0, 0.0, 0.0, 1.0, 0, 0)
    assert not same.better


def test_a_clear_difference_is_significant() -> None:
    """A gain of .1 with a spread of .1 over 100 queries is better, and the interval contains the gain."""
    random = np.random.default_rng(2)
    second = random.random(100)
    result = paired_bootstrap(second + random.normal(0.1, 0.1, 100), second)
    assert result.better
    assert result.low < 0.1 < result.high
    assert result.p_value == pytest.approx(1 / 10_001)
    worse = paired_bootstrap(second, second + 0.1)
    assert worse.p_value < 0.05
    assert not worse.better


def test_it_agrees_with_the_normal_approximation() -> None:
    """Over many queries the p-value and the interval are those of the paired z-test."""
    random = np.random.default_rng(3)
    differences = random.normal(0.0, 1.0, 2000)
    differences += 0.03 - differences.mean()
    result = paired_bootstrap(differences, np.zeros(2000))
    error = differences.std() / math.sqrt(2000)
    assert result.p_value == pytest.approx(math.erfc(0.03 / error / math.sqrt(2)), abs=0.02)  # 4 errors of 10,000 draws
    assert result.low == pytest.approx(0.03 - 1.96 * error, abs=0.1 * error)
    assert result.high == pytest.approx(0.03 + 1.96 * error, abs=0.1 * error)


def test_false_alarms_come_as_often_as_the_level_says() -> None:
    """Where there is no difference, about 5 % of experiments have p < 0.05."""
    random = np.random.default_rng(4)
    alarms = sum(
        paired_bootstrap(random.normal(size=60), np.zeros(60), resamples=500, seed=i).p_value < 0.05 for i in range(400)
    )
    assert 0.02 < alarms / 400 < 0.09


@pytest.mark.parametrize(("first", "second"), [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_unpaired_numbers_are_refused(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """Arrays that are not (queries,) of one length, or empty, raise with both shapes."""
    with pytest.raises(RequestInvalid, match="shapes"):
        paired_bootstrap(np.zeros(first), np.zeros(second))


def test_one_question_under_many_ids_is_one_question() -> None:
    """One of six questions is better, each under sixty ids: as independent queries it was p = 0.0001."""
    first = np.repeat([0.4, 0.1, 0.2, 0.3, 0.0, 0.5], 60)
    second = np.repeat([0.1, 0.1, 0.2, 0.3, 0.0, 0.5], 60)
    texts = [f"Question {number}{'?' * (copy % 2)}" for number in range(6) for copy in range(60)]
    assert paired_bootstrap(first, second).better
    found = paired_bootstrap(first, second, texts=texts)
    assert (found.queries, found.wins, found.losses) == (6, 1, 0)
    assert found.mean == pytest.approx(0.05) and found.p_value > 0.2 and not found.better
    once = paired_bootstrap(first[::60], second[::60])
    assert (found.low, found.high, found.p_value) == pytest.approx((once.low, once.high, once.p_value))


def test_different_texts_change_nothing() -> None:
    """The numbers of every report so far stay what they are."""
    random = np.random.default_rng(3)
    first, second = random.random(50), random.random(50)
    assert paired_bootstrap(first, second, texts=[f"q {n}" for n in range(50)]) == paired_bootstrap(first, second)
