"""Rate, blend and what follows by trial: short runs on the training part, judged on the development part, in a budget.

Each rate is run once, and the result is looked at in several mixtures with the base: a mixture costs a look and no
training. Then single keys are tried beside the best rate, while there is time. What is chosen is trained anew and whole
by the trainer, which looks at it on the way and keeps what is best on the development part: a step, an average over the
steps, the mean of several seeds. It is scored on the test part, which chose nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import TrainingFailed
from ...model.checkpoint import load_checkpoint
from ...progress import Progress, silent
from ..data.sources import load_data
from ..finetuning.config import DEFAULT_BASE, TrainingConfig, make_config
from ..finetuning.dev_score import DevQuestions
from ..finetuning.loop import fit, seconds_a_step
from ..finetuning.model import load_plain, mixtures
from ..finetuning.rates import Picked, RateTrial
from ..finetuning.setup import Setup, prepare
from .choice import ChosenKey, choose_keys
from .traits import traits_of

RATES: Final = (1e-5, 3e-5, 1e-4)
SHARES: Final = (1.0, 0.5, 0.25)
_LEAST_STEPS: Final = 6
_MEASURED: Final = 2
_TRIALS: Final = 0.6  # of the budget; the rest is the run itself

Say = Callable[[str], None]


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
    dev = replace(setup, config=config).dev_questions()  # apart from what is reported in the end
    found = _Search(setup, dev, base, progress, say, clock)
    whole = setup.plan(0.0).total_steps()
    step_s = found.step_s()
    affordable = int(budget_s * (1 - _TRIALS) / step_s)
    steps = max(_LEAST_STEPS, min(whole, affordable))
    each = max(_LEAST_STEPS, min(steps, int(budget_s * _TRIALS / len(RATES) / step_s)))
    if steps < whole:
        say(f"max_steps = {steps}: what the budget has room for, of {whole}; {step_s:.1f} s a step")
    rates = RATES if "learning_rate" not in values else (config.rate,)
    trials = [found.trial(rate, each) for rate in rates]
    share, best = max(((share, trial) for share, trial in trials), key=lambda pair: pair[1].score)
    if best.score <= found.start:
        raise TrainingFailed(
            f"none of {len(rates)} rates and {len(SHARES)} mixtures with the base is better than the base on the "
            f"development part (best {best.score:.3f}, base {found.start:.3f}); keep the base, or look at the data: "
            "samespace doctor data"
        )
    reason = f"development nDCG@10 {best.score:.3f} with blend {share:g}, untouched {found.start:.3f}"
    say(f"learning_rate = {best.rate:g}, blend = {share:g}: {reason}")
    # Without checkpoints: a run that is started again makes its trials again, and may choose another way.
    length = 0 if steps >= whole else steps
    final = replace(config, learning_rate=best.rate, blend=share, max_steps=length, checkpoint_every=0)
    return ChosenRun(final, keys, Picked(best.rate, reason, found.start, tuple(each for _, each in trials), each))


@dataclass
class _Search:
    """Trials from one setup."""

    setup: Setup
    dev: DevQuestions
    base: str
    progress: Progress
    say: Say
    clock: Callable[[], float]
    start: float = 0.0

    def __post_init__(self) -> None:
        self.start = self._score(self.setup.model)

    def step_s(self) -> float:
        """Seconds of a step."""
        return seconds_a_step(
            lambda steps: replace(self.setup.plan(1e-9, steps=steps), mine=None), _MEASURED, self.clock
        )

    def trial(self, rate: float, steps: int) -> tuple[float, RateTrial]:
        """The best share of a run at *rate*, and how that does."""
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
        mixed = mixtures(setup.model, load_plain(self.base), SHARES)
        scores = {share: self._score(model) for share, model in mixed}
        share = max(scores, key=lambda each: scores[each])
        told = ", ".join(f"{score:.3f} at blend {each:g}" for each, score in scores.items())
        self.say(f"rate {rate:g}, {steps} steps: development nDCG@10 {told}; untouched {self.start:.3f}")
        return share, RateTrial(rate, scores[share], measured.loss, measured.trivial)

    def _score(self, model: Any) -> float:
        scores = self.dev.scores(model, self.setup.text_encoders, bf16=self.setup.precision == "bf16")
        return float(scores.mean())
