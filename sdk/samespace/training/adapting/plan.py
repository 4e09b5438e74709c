"""How a budget of time is spent. Pure: the caller measures.

Nearly half goes into learning from what is better than the base, a quarter into trying signals, a fifth into those that
help. What a stage
costs is known from a few steps that were measured and thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TRYING, _PAIRS, _LISTS = 0.25, 0.2, 0.45
_LEAST, _MOST = 8, 40
_LONGEST: Final = 1000
_EPOCHS: Final = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """What things cost here.

    Attributes:
        step_s: seconds of one step on pairs.
        look_s: seconds of one look at the development questions.
    """

    step_s: float
    look_s: float


@dataclass(frozen=True, slots=True)
class Spending:
    """Steps.

    Attributes:
        kinds: how many signals are tried.
        trial: steps of each trial.
        pairs: steps on the signals that help, at most.
        lists: steps of distillation, at most.
    """

    kinds: int
    trial: int
    pairs: int
    lists: int

    @staticmethod
    def fixed(steps: int, kinds: int) -> Spending:
        """The same on every machine: *steps* for each long stage, and a third for a trial."""
        return Spending(kinds, max(2, steps // 3), steps, steps)


def spend(budget_s: float, pace: Pace, kinds: int, looks: int, list_cost: float) -> Spending:
    """What *budget_s*, in seconds, buys.

    Args:
        kinds: signals that could be tried.
        looks: looks at the development questions after each stage.
        list_cost: what a step on lists costs beside one on pairs.
    """
    looking = looks * pace.look_s
    trying = _TRYING * budget_s
    able = max(1, min(kinds, int(trying / (looking + _LEAST * pace.step_s))))
    trial = int((trying / able - looking) / pace.step_s)
    pairs = int((_PAIRS * budget_s - looking) / pace.step_s)
    lists = int((_LISTS * budget_s - looking) / (list_cost * pace.step_s))
    return Spending(
        able, min(_MOST, max(_LEAST, trial)), min(_LONGEST, max(_LEAST, pairs)), min(_LONGEST, max(_LEAST, lists))
    )


def steps_for(most: int, rows: int, batch: int) -> int:
    """*most* steps, or fewer where *rows* examples would be seen more than three times."""
    return max(1, min(most, _EPOCHS * rows // batch))
