"""The learning rate, by trying: short runs over a range, judged by what they are for, not by how fast the loss falls.

A loss falls fastest just below the rate at which everything breaks, and a collapse lowers it too. So each short run is
judged by two things: whether development queries find their passages (mean reciprocal rank in a small pool), and
whether the loss is below that of telling nothing apart. Picking is a pure function of these.

What it leaves to others: the runs (`loop`), drawing the curve (`report`).
What it gives up: the best rate. Short runs like rates somewhat higher than long ones do; where two rates are about as
good the lower is picked. A sweep of whole runs is better, and costs that many runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

RATES: Final = (3e-6, 1e-5, 3e-5, 1e-4, 3e-4)
"""What is tried, unless the caller says otherwise."""
SHARE: Final = 0.1
"""Of the run's steps, all short runs together."""
LEAST_STEPS: Final = 6
"""Fewer steps of Adam tell nothing about a rate."""
MOST_STEPS: Final = 40
SAFE: Final = 5e-5
"""Taken where the run is too short to try rates, or none was any good."""
_AS_GOOD: Final = 0.01  # of a reciprocal rank: within this the lower rate is taken


@dataclass(frozen=True, slots=True)
class RateTrial:
    """One short run.

    Attributes:
        rate: highest learning rate.
        score: mean reciprocal rank of development pairs after it, in (0, 1].
        loss: of the sample of development pairs (of training pairs where there are none).
        trivial: the same of an encoder that tells nothing apart.
    """

    rate: float
    score: float
    loss: float
    trivial: float

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Picked:
    """A rate and why.

    Attributes:
        start: the score of the untouched encoder.
        steps: of each short run; 0 where none was made.
    """

    rate: float
    reason: str
    start: float
    trials: tuple[RateTrial, ...]
    steps: int

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "rate": self.rate,
            "reason": self.reason,
            "start": self.start,
            "steps": self.steps,
            "trials": [trial.to_json() for trial in self.trials],
        }


def steps_each(run_steps: int, rates: int = len(RATES)) -> int:
    """Steps of one short run so that all *rates* together take at most `SHARE` of *run_steps*; 0: too few to try."""
    each = min(MOST_STEPS, int(SHARE * run_steps / rates))
    return each if each >= LEAST_STEPS else 0


def pick(start: float, trials: Sequence[RateTrial], steps: int) -> Picked:
    """The lowest rate that is about as good as the best of those that learned without breaking.

    Args:
        start: the score of the untouched encoder.
        trials: in any order.
        steps: of each.
    """
    sound = [trial for trial in trials if math.isfinite(trial.loss) and trial.loss < trial.trivial and trial.score > 0]
    if not sound:
        reason = f"no rate brought the loss below that of telling nothing apart; {SAFE:g} is taken"
        return Picked(SAFE, reason, start, tuple(trials), steps)
    best = max(trial.score for trial in sound)
    chosen = min((trial for trial in sound if trial.score >= best - _AS_GOOD), key=lambda trial: trial.rate)
    if best <= start + _AS_GOOD:
        # Short runs say which rates break the encoder, not which is best: of those that do no harm, the highest that
        # is safe by custom.
        unharmed = [trial for trial in sound if trial.score >= start - _AS_GOOD]
        below = [trial for trial in unharmed if trial.rate <= SAFE] or unharmed
        chosen = max(below, key=lambda trial: trial.rate) if below else chosen
        reason = f"no rate was better than the untouched encoder ({start:.3f}) so soon; the highest that did no harm"
        return Picked(chosen.rate, reason, start, tuple(trials), steps)
    reason = f"development score {chosen.score:.3f}, best {best:.3f}, untouched {start:.3f}"
    return Picked(chosen.rate, reason, start, tuple(trials), steps)


def not_tried(run_steps: int) -> Picked:
    """What is taken where a run is too short for trials."""
    least = math.ceil(LEAST_STEPS * len(RATES) / SHARE)
    return Picked(SAFE, f"{run_steps} steps are too few to try rates in {SHARE:.0%} of them, from {least}", 0.0, (), 0)


def probe(run: Callable[[float], RateTrial], start: float, steps: int, rates: Sequence[float] = RATES) -> Picked:
    """Try *rates* upwards with *run*; what lies above a rate that broke the encoder is not tried."""
    trials: list[RateTrial] = []
    for rate in sorted(rates):
        trials.append(run(rate))
        broken = not math.isfinite(trials[-1].loss) or trials[-1].loss >= trials[-1].trivial
        if broken and trials[-1].score < 0.5 * start:
            break
    return pick(start, trials, steps)
