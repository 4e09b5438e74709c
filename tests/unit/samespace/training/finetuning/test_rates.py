"""Picking a learning rate from short runs."""

from __future__ import annotations

import math

from samespace.training.finetuning.rates import RATES, SAFE, SHARE, RateTrial, not_tried, pick, probe, steps_each


def trial(rate: float, score: float, loss: float = 1.0) -> RateTrial:
    return RateTrial(rate, score, loss, 4.0)


def test_the_lowest_of_those_about_as_good_is_taken() -> None:
    """A hundredth of a reciprocal rank is no reason for a three times higher rate."""
    trials = [trial(1e-5, 0.5), trial(3e-5, 0.60), trial(1e-4, 0.605), trial(3e-4, 0.4)]
    assert pick(0.45, trials, 20).rate == 3e-5


def test_a_loss_that_falls_is_not_enough() -> None:
    """The rate with the lowest loss ranks worse: it is not taken."""
    trials = [trial(3e-5, 0.6, 1.5), trial(3e-4, 0.3, 0.2)]
    assert pick(0.5, trials, 20).rate == 3e-5


def test_what_collapsed_is_not_taken() -> None:
    """At or above the trivial loss, or not a number: whatever the score."""
    trials = [trial(3e-5, 0.52), trial(1e-4, 0.9, 4.0), trial(3e-4, 0.9, math.nan)]
    assert pick(0.5, trials, 20).rate == 3e-5


def test_where_nothing_helps_yet_the_highest_harmless_rate_up_to_the_usual_one_is_taken() -> None:
    """Short runs from a good base only show what breaks it."""
    trials = [trial(3e-6, 0.8), trial(1e-5, 0.8), trial(3e-5, 0.799), trial(1e-4, 0.795), trial(3e-4, 0.2)]
    assert pick(0.8, trials, 10).rate == 3e-5
    assert pick(0.8, [trial(3e-6, 0.1, 5.0)], 10).rate == SAFE


def test_trials_end_at_a_rate_that_breaks_the_encoder() -> None:
    """Higher ones would break it too."""
    tried = []

    def run(rate: float) -> RateTrial:
        tried.append(rate)
        return trial(rate, 0.6) if rate < 1e-4 else trial(rate, 0.01, 5.0)

    assert probe(run, 0.5, 10).rate == 3e-6
    assert tried == list(RATES[:4])


def test_trials_cost_at_most_a_tenth_of_the_run() -> None:
    """In steps; a run too short for that does without, and says so."""
    for steps in (100, 299, 300, 1000, 100_000):
        assert steps_each(steps) * len(RATES) <= SHARE * steps
    assert steps_each(299) == 0 < steps_each(300)
    assert not_tried(100).rate == SAFE
    assert "from 300" in not_tried(100).reason
