"""Rate, blend and what follows by trial: short runs on the training part, judged on the development part, in a budget.

Each rate is run once, and the result is looked at in several mixtures with the base: a mixture costs a look and no
training. Then single keys are tried beside the best rate, while there is time. What is chosen is trained anew and whole
by the trainer, which looks at it on the way and keeps what is best on the development part: a step, an average over the
steps, the mean of several seeds. It is scored on the test part, which chose nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import TrainingFailed
from ...model.checkpoint import load_checkpoint
from ...progress import Progress, silent
from ..data.sources import load_data
from ..finetuning.config import AUTO, DEFAULT_BASE, TrainingConfig, make_config
from ..finetuning.dev_score import DevQuestions
from ..finetuning.loop import fit, seconds_a_step
from ..finetuning.model import load_start, mixtures
from ..finetuning.rates import Picked, RateTrial
from ..finetuning.setup import Setup, prepare
from ..losses.loss import loss_named
from .choice import ChosenKey, choose_keys
from .traits import traits_of

RATES: Final = ((1e-5, 3e-5, 1e-4), (3e-5, 1e-4))
SHARES: Final = ((1.0, 0.5, 0.25), (1.0, 0.5))
"""The last ones are for small budgets."""
UNTRIED: Final = (3e-5, 1.0)
"""Rate and share of a run that takes the whole budget."""
ALSO: Final[tuple[Mapping[str, Any], ...]] = (
    {"temperature": 0.02},
    {"mask": "near"},
    {"mask": "equal"},
    {"mine": "bm25", "mine_every": 0},
)
"""What is tried beside the best rate, each by itself; what the keys say already is passed over."""
LEAST_GAIN: Final = 0.002
"""Of nDCG@10 on the development questions: less is not worth a key that says something else."""
_LEAST_STEPS: Final = 6
_MEASURED: Final = 2
_TRIALS: Final = 0.5  # of the budget, for the rates
_ALSO: Final = 0.65  # of the budget, by when trials are over; the rest is the run itself
_LOOKING: Final = 0.2  # of a run's steps in time, at most
_LOOK: Final = 0.02  # of the budget, for one look
_FEWEST_PASSAGES: Final = 300  # that a look searches, however small the budget is
_MOST_LOOKS, _PATIENCE, _MOST_SEEDS = 8, 3, 3

Say = Callable[[str], None]
Grid = tuple[Sequence[float], Sequence[float]]
"""Rates, and shares of a mixture."""


@dataclass(frozen=True, slots=True)
class ChosenRun:
    """A configuration, and how it came about.

    Attributes:
        keys: those that follow from the data.
        picked: the trials; its scores are of the best mixture of each rate.
    """

    config: TrainingConfig
    keys: tuple[ChosenKey, ...]
    picked: Picked


def choose_run(
    data: Path,
    values: Mapping[str, Any],
    budget_s: float,
    progress: Progress = silent,
    say: Say = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ChosenRun:
    """The configuration for *data*, which has train, dev and test.

    Args:
        values: keys that are settled, "out" among them; they are not chosen.

    Raises:
        TrainingFailed: nothing that was tried is better than the base on the development part.
        ConfigInvalid, DataInvalid, ModelUnsupported: as `trainer.train`.
    """
    began = clock()
    read = load_data(data)
    base = str(values.get("base", DEFAULT_BASE))
    traits = traits_of(read, read.splits["train"])
    keys = tuple(key for key in choose_keys(traits, load_checkpoint(base).recipe.token_limit) if key.key not in values)
    for key in keys:
        say(str(key))
    settled = {key.key: key.value for key in keys} | dict(values) | {"data": data}
    config = make_config(settled)
    trial = replace(config, score_splits=(), checkpoint_every=0, on_collapse="warn", blend=1.0)
    setup = prepare(trial)
    found = _Search(setup, replace(setup, config=config).dev_questions(), progress, say, clock)
    smaller = found.dev.over(found.passages_for(_LOOK * budget_s))  # those that answer are in any of them
    if "look_passages" not in values and (fewer := len(smaller.dataset.passages)) < found.passages:
        keys = (*keys, ChosenKey("look_passages", fewer, f"a look at {found.passages} takes {found.look_s:.1f} s"))
        say(str(keys[-1]))
        config = replace(config, look_passages=fewer)
        found = _Search(setup, smaller, progress, say, clock)
    whole, step_s = setup.plan(0.0).total_steps(), found.step_s()
    rates = ((config.rate,),) if config.learning_rate != AUTO and "learning_rate" in values else RATES
    shares = ((config.blend,),) if "blend" in values else SHARES
    # A run to its end is worth more than the best of several that are broken off.
    room_s = min(budget_s * _TRIALS, budget_s - (clock() - began) - Room(budget_s, step_s, found.look_s).run_s(whole))
    grid = affordable(rates, shares, room_s, _LEAST_STEPS * step_s, found.look_s)
    if grid is None:
        rate, share = (_only(rates) or UNTRIED[0]), (_only(shares) or UNTRIED[1])
        picked, also = Picked(rate, "the budget has no room for trials beside the run", found.start, (), 0), {}
        say(f"learning_rate = {rate:g}, blend = {share:g}: {picked.reason}")
    else:
        picked, share, each = _picked(found, grid, room_s, step_s, whole)
        end_s = began + budget_s * _ALSO - each * step_s - 2 * found.look_s
        best = max(picked.trials, key=lambda trial: trial.score)
        also = found.also(trial, best, share, each, set(values), end_s)
    left = Room(budget_s - (clock() - began), step_s, found.look_s)
    # Without checkpoints: a run that is started again makes its trials again, and may choose another way.
    final = replace(config, learning_rate=picked.rate, blend=share, checkpoint_every=0, **also)
    final = replace(final, **_told(_kept(left, whole, values), say))
    return ChosenRun(final, keys, picked)


def _picked(found: _Search, grid: Grid, room_s: float, step_s: float, whole: int) -> tuple[Picked, float, int]:
    """(the rate that did best, its share of the mixture, steps of each trial).

    Raises:
        TrainingFailed: nothing is better than the base.
    """
    rates, shares = grid
    steps = max(_LEAST_STEPS, min(whole, int((room_s / len(rates) - len(shares) * found.look_s) / step_s)))
    trials = [found.trial(rate, steps, shares) for rate in rates]
    share, best = max(((share, trial) for share, trial in trials), key=lambda pair: pair[1].score)
    if best.score <= found.start:
        raise TrainingFailed(
            f"none of {len(rates)} rates and {len(shares)} mixtures with the base is better than the base on the "
            f"development part (best {best.score:.3f}, base {found.start:.3f}); keep the base, or look at the data: "
            "samespace doctor data"
        )
    reason = f"development nDCG@10 {best.score:.3f} with blend {share:g}, untouched {found.start:.3f}"
    found.say(f"learning_rate = {best.rate:g}, blend = {share:g}: {reason}")
    return Picked(best.rate, reason, found.start, tuple(each for _, each in trials), steps), share, steps


def _only(options: Sequence[Sequence[float]]) -> float:
    """What is settled; 0 where there is a choice."""
    return options[0][0] if len(options[0]) == 1 else 0.0


def affordable(
    rates: Sequence[Sequence[float]], shares: Sequence[Sequence[float]], room_s: float, least_s: float, look_s: float
) -> Grid | None:
    """The most of *rates*, and of *shares* with them, whose trials fit into *room_s*; None where no trials do.

    Args:
        rates, shares: from many to few.
        least_s: seconds of the shortest trial, without its looks, of which each share needs one.
    """
    grids = ((some, others) for some in rates for others in shares)
    return next((each for each in grids if len(each[0]) * (least_s + len(each[1]) * look_s) <= room_s), None)


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a budget, and what things cost.

    Attributes:
        left_s: seconds for the run itself.
        step_s, look_s: seconds of a step, and of a look at the development questions.
    """

    left_s: float
    step_s: float
    look_s: float

    def looks(self, steps: int) -> int:
        """How often a run of *steps* is looked at, with its weights and their average."""
        return max(1, min(_MOST_LOOKS, steps, int(_LOOKING * steps * self.step_s / (2 * self.look_s))))

    def run_s(self, steps: int) -> float:
        """Seconds of a run of *steps* with its looks."""
        return steps * self.step_s + (1 + 2 * self.looks(steps)) * self.look_s

    def steps(self, whole: int) -> int:
        """Of *whole*, as many steps as there is room for; a few in any case."""
        return max(min(_LEAST_STEPS, whole), min(whole, int((self.left_s - 3 * self.look_s) / (1.2 * self.step_s))))

    def seeds(self, steps: int) -> int:
        """Runs of *steps* that there is room for, with a look at each mean."""
        return max(1, min(_MOST_SEEDS, int(self.left_s / (self.run_s(steps) + self.look_s))))


def _kept(room: Room, whole: int, values: Mapping[str, Any]) -> list[ChosenKey]:
    """How long the run is, and what is kept of it, but for what *values* settle."""
    steps = room.steps(whole)
    looks = room.looks(steps)
    chosen = []
    if steps < whole:
        why = f"what the budget has room for, of {whole}; {room.step_s:.1f} s a step"
        chosen.append(ChosenKey("max_steps", steps, why))
    if values.get("keep", "best") == "best":
        chosen.append(ChosenKey("keep", "best", f"the step that does best on the development part, of {looks} looks"))
        chosen.append(ChosenKey("looks", looks, f"a look takes {room.look_s:.1f} s"))
        if looks > 2 * _PATIENCE:
            chosen.append(ChosenKey("patience", _PATIENCE, "looks in vain end the run"))
    average = round(min(0.999, max(0.5, 1 - 5 / steps)), 3)
    chosen.append(ChosenKey("ema", average, "taken only where the development part is answered better by it"))
    seeds = room.seeds(steps)
    if seeds > 1:
        chosen.append(ChosenKey("seeds", seeds, "the budget has room for so many runs; means of them are looked at"))
    return [each for each in chosen if each.key == "max_steps" or each.key not in values]


def _told(keys: Sequence[ChosenKey], say: Say) -> dict[str, Any]:
    for key in keys:
        say(str(key))
    return {key.key: key.value for key in keys}


@dataclass
class _Search:
    """Trials from one setup."""

    setup: Setup
    dev: DevQuestions
    progress: Progress
    say: Say
    clock: Callable[[], float]
    start: float = 0.0
    look_s: float = 0.0

    def __post_init__(self) -> None:
        began = self.clock()
        self.start = self._score(self.setup.model)
        self.look_s = max(1e-3, self.clock() - began)

    @property
    def passages(self) -> int:
        """How many a look searches."""
        return len(self.dev.dataset.passages)

    def passages_for(self, seconds: float) -> int:
        """How many a look searches that takes so long, and a few hundred in any case."""
        return max(_FEWEST_PASSAGES, int(self.passages * seconds / self.look_s))

    def step_s(self) -> float:
        """Seconds of a step."""
        return seconds_a_step(
            lambda steps: replace(self.setup.plan(1e-9, steps=steps), mine=None), _MEASURED, self.clock
        )

    def trial(self, rate: float, steps: int, shares: Sequence[float]) -> tuple[float, RateTrial]:
        """The best of *shares* of a run at *rate*, and how that does."""
        setup = self.setup
        setup.start_over()
        plan = replace(setup.plan(rate, steps=steps), stop_on_alarm=False)
        if self.setup.loss.loss.needs != "teacher":  # which says nothing without negatives
            plan = replace(plan, mine=None)
        try:
            fit(plan, self.progress)
        except TrainingFailed:
            return 1.0, RateTrial(rate, 0.0, math.nan, setup.trivial)
        measured = list(setup.samples.values())[-1].vitals[-1]
        scores = self._mixed(setup, shares)
        share = max(scores, key=lambda each: scores[each])
        told = ", ".join(f"{score:.3f} at blend {each:g}" for each, score in scores.items())
        self.say(f"rate {rate:g}, {steps} steps: development nDCG@10 {told}; untouched {self.start:.3f}")
        return share, RateTrial(rate, scores[share], measured.loss, measured.trivial)

    def also(
        self, trial: TrainingConfig, best: RateTrial, share: float, steps: int, settled: Set[str], end_s: float
    ) -> dict[str, Any]:
        """Those of `ALSO` that help beside the best rate, one after the other, while the clock is before *end_s*."""
        chosen: dict[str, Any] = {}
        score = best.score
        for keys in ALSO:
            fits = loss_named(trial.loss).needs == "pairs" and not settled & set(keys)
            same = all(getattr(trial, key) == value for key, value in keys.items())
            if not fits or same or self.clock() > end_s:
                continue
            config = replace(trial, **{**chosen, **keys})
            setup = prepare(config)
            try:
                fit(replace(setup.plan(best.rate, steps=steps), stop_on_alarm=False), self.progress)
            except TrainingFailed:
                continue
            found = self._mixed(setup, (share,))[share]
            helps = found >= score + LEAST_GAIN
            named = ", ".join(f"{key} = {value!r}" for key, value in keys.items())
            self.say(f"{named}: development nDCG@10 {found:.3f}, without {score:.3f}; {'taken' if helps else 'left'}")
            if helps:
                chosen, score = {**chosen, **keys}, found
        return chosen

    def _mixed(self, setup: Setup, shares: Sequence[float]) -> dict[float, float]:
        return {share: self._score(model) for share, model in mixtures(setup.model, load_start(setup.config), shares)}

    def _score(self, model: Any) -> float:
        scores = self.dev.scores(model, self.setup.text_encoders, bf16=self.setup.precision == "bf16")
        return float(scores.mean())
