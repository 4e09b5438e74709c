"""How long a run takes, said early: a clock that is passed in."""

from __future__ import annotations

import pytest

from samespace.training.forecast import STEP, Forecast, in_words


def test_each_thing_counts_as_often_as_it_is_to_come() -> None:
    """Ten steps of 2 s after a slow first one, a look of 5 s, mining of 30 s; what is not due costs nothing."""
    now = [100.0]
    forecast = Forecast(lambda: now[0])
    with forecast.timing("mining"):
        now[0] += 30
    for step in range(10):
        forecast.step_begins()
        now[0] += 9 if step == 0 else 2
        assert forecast.step_ends() == step + 1
        with forecast.timing("look"):
            now[0] += 5 if step == 9 else 0
    spent = 30 + 9 + 9 * 2 + 5
    assert forecast.whole_s({}) == spent
    assert forecast.whole_s({STEP: 90, "look": 3, "mining": 2, "other": 7}) == spent + 90 * 2 + 3 * 5 + 2 * 30


@pytest.mark.parametrize(("seconds", "said"), [(41.4, "41 s"), (400, "7 min"), (9000, "2.5 h")])
def test_a_time_for_people(seconds: float, said: str) -> None:
    """In the unit that fits."""
    assert in_words(seconds) == said
