"""Several poolings side by side: how well each retrieves before training, and after a short run.

A base has learned one pooling; another one tells little before it is trained, so both scores stand in the table.

What it leaves to others: training with the one that is chosen (`finetuning`, key `pooling`), a verdict on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ...errors import TrainingFailed
from ...progress import Progress, silent
from ..finetuning.config import AUTO, POOLINGS, TrainingConfig
from ..finetuning.loop import Alarmed, fit
from ..finetuning.rates import MOST_STEPS, SAFE
from ..finetuning.setup import prepare

AS_GOOD: Final = 0.005
"""Of nDCG@10 on the development questions: another pooling than the base's has to be so much better."""


@dataclass(frozen=True, slots=True)
class PoolingTrial:
    """One pooling.

    Attributes:
        untouched, trained: nDCG@10 on the development questions, before and after.
    """

    pooling: str
    untouched: float
    trained: float


@dataclass(frozen=True, slots=True)
class ComparedPoolings:
    """What was tried.

    Attributes:
        own: the base's pooling, "mean+cls" for several.
        steps: of each short run.
        questions: that the scores are of.
    """

    own: str
    steps: int
    questions: int
    trials: tuple[PoolingTrial, ...]

    @property
    def best(self) -> PoolingTrial:
        """The base's own, unless another one is clearly better after training."""
        top = max(self.trials, key=lambda each: each.trained)
        own = next((each for each in self.trials if each.pooling == self.own), top)
        return top if top.trained >= own.trained + AS_GOOD else own


def compare_poolings(
    config: TrainingConfig, progress: Progress = silent, say: Callable[[str], None] = lambda _: None
) -> ComparedPoolings:
    """Train *config* for some steps with each pooling; nothing is written.

    Raises:
        ConfigInvalid: there is no development split, or the base's pooling cannot be replaced.
        DataInvalid, ModelUnsupported: as `trainer.train`.
    """
    trials, own, steps, questions = [], "", 0, 0
    for pooling in POOLINGS:
        setup = prepare(replace(config, pooling=pooling, on_collapse="warn"))
        dev, bf16 = setup.dev_questions(), setup.precision == "bf16"
        own, questions = setup.checkpoint.pooling, len(dev.dataset.queries)
        steps = min(MOST_STEPS, setup.plan(0.0).total_steps())
        before = float(dev.scores(setup.model, setup.text_encoders, bf16=bf16).mean())
        rate = SAFE if config.learning_rate == AUTO else config.rate
        try:
            fit(replace(setup.plan(rate, steps=steps), mine=None), progress)
            after = float(dev.scores(setup.model, setup.text_encoders, bf16=bf16).mean())
        except (Alarmed, TrainingFailed) as error:
            say(f"{pooling}: {error}")
            after = 0.0
        trials.append(PoolingTrial(pooling, before, after))
        say(f"{pooling}: {before:.4f} untouched, {after:.4f} after {steps} steps")
    return ComparedPoolings(own, steps, questions, tuple(trials))
