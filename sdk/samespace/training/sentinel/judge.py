"""The sentinel: whether an encoder in training learns, and if it does not, why, judged early and by numbers.

A run that has collapsed looks like one that has not: it ends, and writes a folder. What tells them apart is measured
on the same few training and development pairs again and again (`vitals`), and judged here by a pure function: it
takes measurements and gives alarms. The mean cosine is not among the measurements: it moves as much in
healthy runs as in collapsed ones.

What it leaves to others: measuring (`vitals`), what is done about an alarm (`trainer`).
What it gives up: certainty. A cause is the likeliest one; the measurements that it was told by are in the alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..losses.loss import loss_named

RATE_TOO_LOW: Final = "rate too low"
RATE_TOO_HIGH: Final = "rate too high"
FALSE_NEGATIVES: Final = "false negatives"
SATURATED: Final = "saturated activation"
WRONG_LABELS: Final = "wrong labels"
TEMPERATURE: Final = "temperature"
BATCH_TOO_SMALL: Final = "batch too small"
OVERFITTING: Final = "overfitting"

FIRST_JUDGED_SHARE: Final = 0.05
FIRST_JUDGED_STEP: Final = 10
"""Judged from 5 % of the steps on, but not before this one: fewer steps of Adam say nothing."""

_MOVED: Final = 1e-5  # mean 1 - cosine to the vectors at the start; fp32 rounding is 1e-7, a healthy start 1e-3
_DEAD: Final = 0.5  # share of a vector's numbers that are the same for all texts
_FLAT: Final = 0.97  # loss over trivial loss from which nothing is told apart
_RANK_LEFT: Final = 0.25  # of the effective rank at the start: below, the vectors have fallen together
_FEW_NEGATIVES: Final = 4.0
_TWINS: Final = 0.05  # share of right answers with a twin among the negatives
_COLD: Final = 3.0  # loss over trivial loss: far above guessing, and not because of the rate
_WARM: Final = 0.5  # best loss that the temperature allows, over the trivial loss
_TINY_GRADIENT: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is measured on a fixed sample of pairs at one step.

    Attributes:
        step: optimiser steps done; 0 is the untouched encoder.
        loss, trivial: of the sample, and what an encoder reaches there that tells nothing apart.
        effective_rank: of the passage vectors; see `evaluation.isotropy`.
        alignment: mean squared distance of a pair's vectors, in [0, 4]; the lower the nearer.
        uniformity: log of the mean Gaussian potential of passage vectors; the lower, the more evenly spread.
        positive_mean, positive_spread, negative_mean, negative_spread: of the cosines, mean and standard deviation.
        dead: share of the vector's numbers that are the same for all texts, in [0, 1].
        moved: mean 1 - cosine between passage vectors now and at step 0.
        twins: share of right answers of which another passage of the sample, no known answer, is a near copy.
    """

    step: int
    loss: float
    trivial: float
    effective_rank: float
    alignment: float
    uniformity: float
    positive_mean: float
    positive_spread: float
    negative_mean: float
    negative_spread: float
    dead: float
    moved: float
    twins: float

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What does not change while a run goes on.

    Attributes:
        loss: one of `losses.loss.loss_names`.
        steps: of the whole run.
        temperature: of InfoNCE.
        negatives: mean number of negatives that a query has in a step.
        label_spread: standard deviation of the labels; of pairs without labels, 1.
        learning_rate: the highest of the run.
    """

    loss: str
    steps: int
    temperature: float
    negatives: float
    label_spread: float
    learning_rate: float

    @property
    def ranks(self) -> bool:
        """Whether the other passages of a batch are negatives; see `Loss.ranks`."""
        return loss_named(self.loss).ranks

    def lowest(self) -> float:
        """About the lowest loss that training reaches with these negatives at this temperature."""
        lowest = loss_named(self.loss).lowest
        return 0.0 if lowest is None else lowest(self.negatives, self.temperature)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong.

    Attributes:
        step: at which it was seen.
        what: "collapse", "no learning", or "risk": the run goes on whatever is said of collapses.
        cause: the likeliest, one of this module's.
        evidence: the numbers.
        remedy: what to change.
    """

    step: int
    what: str
    cause: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} at step {self.step}, likely cause: {self.cause} ({self.evidence}); {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {name: getattr(self, name) for name in self.__slots__}


def first_judged(steps: int) -> int:
    """The step from which a run of *steps* is judged by what it has learned."""
    return min(steps, max(FIRST_JUDGED_STEP, math.ceil(FIRST_JUDGED_SHARE * steps)))


def judge(
    run: RunFacts, train: Sequence[Vitals], dev: Sequence[Vitals] = (), gradient_norms: Sequence[float] = ()
) -> list[Alarm]:
    """The alarms that the measurements so far give reason for; [] for a healthy run.

    Args:
        train, dev: vitals of training and of development pairs in order of steps, the first at step 0; *dev* may
            be empty.
        gradient_norms: of the steps so far.
    """
    if not train:
        return []
    alarms = _before(run, train[0])
    if not any(alarm.what != "risk" for alarm in alarms):
        alarms += _after(run, train, gradient_norms)
    if not any(alarm.what != "risk" for alarm in alarms):
        alarms += _overfitted(run, train, dev)
    return alarms


def _before(run: RunFacts, start: Vitals) -> list[Alarm]:
    """What can be told before the first step."""
    found = []
    if not run.ranks and run.label_spread < 1e-6:
        found.append(
            Alarm(start.step, "no learning", WRONG_LABELS, f"all labels are the same, spread {run.label_spread:.1g}",
                  "there is nothing to tell apart: give examples of both kinds, or use loss = \"infonce\"")
        )  # fmt: skip
    elif run.ranks and run.negatives < 0.5:
        found.append(
            Alarm(start.step, "no learning", WRONG_LABELS, f"a query has {run.negatives:.1f} negatives in a batch",
                  "all pairs are known answers of each other, one class: check the pairs, or add negatives")
        )  # fmt: skip
    elif start.dead >= _DEAD or start.effective_rank <= 1.01:
        found.append(
            Alarm(start.step, "collapse", SATURATED,
                  f"{start.dead:.0%} of a vector's numbers are the same for all texts, effective rank "
                  f"{start.effective_rank:.1f}, before the first step",
                  "an activation before the vector gives a constant: use a layer without it, or initialise it anew")
        )  # fmt: skip
    elif run.ranks and run.lowest() >= _WARM * math.log1p(run.negatives):
        found.append(
            Alarm(start.step, "no learning", TEMPERATURE,
                  f"at temperature {run.temperature:g} not even perfect vectors get the loss below "
                  f"{run.lowest():.2f}, guessing is {math.log1p(run.negatives):.2f}",
                  "lower temperature; 0.02 to 0.1 is usual")
        )  # fmt: skip
    elif run.ranks and run.negatives < _FEW_NEGATIVES:
        found.append(
            Alarm(start.step, "risk", BATCH_TOO_SMALL, f"a query has {run.negatives:.1f} negatives in a step",
                  "raise batch_size (memory does not grow, see mini_batch_size), or add negatives")
        )  # fmt: skip
    if start.twins >= _TWINS and run.ranks:
        found.append(
            Alarm(start.step, "risk", FALSE_NEGATIVES,
                  f"{start.twins:.0%} of the right answers have a near copy among the negatives",
                  "judge the copies, set mask = \"near\", or name a guide that finds them")
        )  # fmt: skip
    return found


def _after(run: RunFacts, train: Sequence[Vitals], gradient_norms: Sequence[float]) -> list[Alarm]:
    """What the steps have done."""
    start, now = train[0], train[-1]
    if now.step == 0:
        return []
    norm = gradient_norms[-1] if gradient_norms else math.nan
    if not math.isfinite(now.loss) or not math.isfinite(now.effective_rank) or norm == math.inf:
        return [_high(run, now, f"loss {now.loss}, gradient norm {norm:.3g}")]
    if now.step < first_judged(run.steps):
        return []
    fallen = now.effective_rank <= max(1.5, _RANK_LEFT * start.effective_rank)
    flat = now.trivial > 0 and now.loss >= _FLAT * now.trivial
    if fallen and (flat or now.effective_rank <= 1.5):
        evidence = (
            f"effective rank {start.effective_rank:.1f} to {now.effective_rank:.1f}, "
            f"loss {now.loss:.3f}, telling nothing apart {now.trivial:.3f}"
        )
        if now.dead >= _DEAD and now.moved < 0.01:
            return [Alarm(now.step, "collapse", SATURATED, evidence, "an activation before the vector died")]
        return [_high(run, now, evidence)]
    worse = now.loss > max(start.loss, now.trivial) * 1.5
    if worse:
        return [_high(run, now, f"loss {start.loss:.3f} to {now.loss:.3f}, telling nothing apart {now.trivial:.3f}")]
    if now.loss <= 0.05 * now.trivial:
        return []  # solved already: small steps are right then
    if now.moved < _MOVED:
        evidence = f"vectors moved by {now.moved:.1e}, loss {start.loss:.4f} to {now.loss:.4f}, gradient {norm:.2g}"
        if norm < _TINY_GRADIENT:
            return [
                Alarm(now.step, "no learning", SATURATED, evidence, "no gradient arrives: an activation is saturated")
            ]
        return [
            Alarm(now.step, "no learning", RATE_TOO_LOW, evidence,
                  f"raise learning_rate ({run.learning_rate:g}) a hundredfold, or set learning_rate = \"auto\"")
        ]  # fmt: skip
    if run.ranks and now.loss > _COLD * now.trivial:
        return [
            Alarm(now.step, "no learning", TEMPERATURE,
                  f"loss {now.loss:.2f}, telling nothing apart {now.trivial:.2f}, at temperature {run.temperature:g}",
                  "raise temperature; 0.02 to 0.1 is usual")
        ]  # fmt: skip
    if flat and now.step >= run.steps / 2:
        return [
            Alarm(now.step, "no learning", WRONG_LABELS,
                  f"loss {start.loss:.3f} to {now.loss:.3f} after half of the steps, telling nothing apart "
                  f"{now.trivial:.3f}; vectors moved by {now.moved:.2g}",
                  "queries and answers may not belong together: look at some pairs, run `samespace doctor`")
        ]  # fmt: skip
    return []


def _high(run: RunFacts, now: Vitals, evidence: str) -> Alarm:
    remedy = f'lower learning_rate ({run.learning_rate:g}) to a tenth, or set learning_rate = "auto"'
    return Alarm(now.step, "collapse", RATE_TOO_HIGH, evidence, remedy)


def _overfitted(run: RunFacts, train: Sequence[Vitals], dev: Sequence[Vitals]) -> list[Alarm]:
    """Development loss clearly above its start while the training loss falls."""
    if len(dev) < 3 or dev[-1].step < run.steps / 4:
        return []
    start, now = dev[0], dev[-1]
    if now.loss > start.loss + 0.15 * now.trivial and train[-1].loss < train[0].loss:
        return [
            Alarm(now.step, "risk", OVERFITTING,
                  f"development loss {start.loss:.3f} to {now.loss:.3f}, training loss {train[0].loss:.3f} to "
                  f"{train[-1].loss:.3f}",
                  "fewer epochs, a lower learning_rate, dropout, or more data")
        ]  # fmt: skip
    return []
