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


@pytest.mark.parametrize("questions", [1, 2, 3, 4, 5])
def test_a_handful_of_questions_shows_nothing(questions: int) -> None:
    """One question that went well was p = 0.0001, "better than its base", and the interval was a point."""
    found = paired_bootstrap(np.full(questions, 0.6), np.zeros(questions))
    assert found.p_value == pytest.approx(2.0 ** (1 - questions)) and not found.better
    assert (found.low, found.high) == (-1, 1)


@pytest.mark.parametrize("ids", [60, 600])
def test_few_questions_under_many_ids_show_nothing(ids: int) -> None:
    found = paired_bootstrap(np.full(ids, 0.6), np.zeros(ids), texts=["one question"] * ids)
    assert found.queries == 1 and found.p_value == 1 and not found.better


def test_questions_whose_texts_nobody_knows_are_different() -> None:
    """Vectors without texts: forty questions were one."""
    random = np.random.default_rng(6)
    first, second = random.random(40) + 0.3, random.random(40)
    assert paired_bootstrap(first, second, texts=[""] * 40) == paired_bootstrap(first, second)


def test_few_changed_questions_among_many_show_nothing() -> None:
    """Four of a thousand changed, all for the better: chance once in eight times, and the interval holds 0."""
    first = np.zeros(1000)
    first[:4] = 1
    found = paired_bootstrap(first, np.zeros(1000))
    assert found.p_value == pytest.approx(0.125) and found.low <= 0 < found.high
    first[:6] = 1
    assert paired_bootstrap(first, np.zeros(1000)).better


@pytest.mark.parametrize("questions", [*range(1, 13), 20])
@pytest.mark.parametrize("draw", ["normal", "heavy", "binary"])
def test_false_alarms_with_few_questions_are_no_more_than_the_level_says(questions: int, draw: str) -> None:
    """In 300 experiments without a difference, p < 0.05 comes at most as often as 5 % and chance (3 errors) allow."""
    random = np.random.default_rng(questions)
    draws = {
        "normal": lambda: random.normal(size=questions),
        "heavy": lambda: random.standard_cauchy(questions),
        "binary": lambda: random.integers(-1, 2, questions).astype(np.float64),
    }
    found = [paired_bootstrap(draws[draw](), np.zeros(questions), resamples=300, seed=i) for i in range(300)]
    assert sum(each.p_value < 0.05 for each in found) <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5
    if draw == "normal":
        assert sum(each.low > 0 or each.high < 0 for each in found) <= 300 * 0.08 + 3 * (300 * 0.05 * 0.95) ** 0.5


def test_its_quantiles_of_student_s_t_are_scipy_s() -> None:
    from scipy import stats

    from samespace.evaluation.significance import _student

    for freedom in (5, 6, 10, 30, 100, 1000):
        assert _student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.003)


def test_sign_flips_agree_with_scipy() -> None:
    """The test over all ways, against scipy's permutation test of paired samples."""
    from scipy import stats

    from samespace.evaluation.significance import _by_flips

    random = np.random.default_rng(8)
    first, second = random.random(10), random.random(10) + 0.1
    theirs = stats.permutation_test(
        (first, second), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert _by_flips(first - second, 10_000, random) == pytest.approx(theirs)
    assert _by_flips(first - second, 1_000, random) == pytest.approx(theirs, abs=0.05)  # drawn
