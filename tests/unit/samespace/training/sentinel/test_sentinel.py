"""The sentinel's judge: measurements in, alarms out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samespace.training.sentinel.judge import RunFacts, Vitals, first_judged, judge

SCENARIOS = Path(__file__).parents[4] / "golden" / "sentinel.json"
HEALTHY_RUN = RunFacts("infonce", 100, 0.05, 31, 1.0, 5e-5)
START = Vitals(0, 2.4, 4.1, 40, 0.9, -2.0, 0.6, 0.1, 0.2, 0.1, 0.0, 0.0, 0.0)
LATER = replace(START, step=10, loss=1.8, effective_rank=44, moved=0.02)


def scenarios() -> list[Any]:
    loaded: list[Any] = json.loads(SCENARIOS.read_text())
    return [pytest.param(each, id=each["name"]) for each in loaded]


@pytest.mark.parametrize("scenario", scenarios())
def test_scenarios(scenario: dict[str, Any]) -> None:
    """Each golden scenario gives exactly the alarms it says."""
    run = replace(HEALTHY_RUN, **scenario.get("run", {}))
    train = [replace(START, **scenario.get("start", {}))]
    train += [replace(LATER, **later) for later in scenario.get("later", [])]
    dev = [replace(START, **each) for each in scenario.get("dev", [])]
    found = [[alarm.what, alarm.cause] for alarm in judge(run, train, dev, scenario.get("norms", [1.0]))]
    assert found == scenario["alarms"]


def test_every_cause_has_a_scenario() -> None:
    """No cause is left untried."""
    from samespace.training.sentinel import judge as sentinel

    causes = {value for name, value in vars(sentinel).items() if name.isupper() and isinstance(value, str)}
    tried = {cause for scenario in json.loads(SCENARIOS.read_text()) for _, cause in scenario["alarms"]}
    assert tried == causes


def test_an_alarm_says_what_to_change() -> None:
    """One sentence with step, cause, numbers and remedy."""
    (alarm,) = judge(HEALTHY_RUN, [START, replace(LATER, moved=1e-8, loss=2.4)], (), [1.0])
    assert str(alarm) == (
        "no learning at step 10, likely cause: rate too low (vectors moved by 1.0e-08, loss 2.4000 to 2.4000, "
        'gradient 1); raise learning_rate (5e-05) a hundredfold, or set learning_rate = "auto"'
    )


def test_judged_within_five_percent_of_the_steps_or_ten_steps() -> None:
    """Early in long runs, not before there is something to judge in short ones, never after the last."""
    assert [first_judged(steps) for steps in (1000, 300, 40, 4)] == [50, 15, 10, 4]
