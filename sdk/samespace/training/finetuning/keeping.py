"""Which weights of a run are kept: those of its last step, of the step that was best on its development questions, or a
mean.

Two means are looked at: the running average over the steps of one run, and the mean of runs that differ in their seed
alone. Either is taken only where the development questions are answered no worse by it.

Source: Polyak and Juditsky 1992 (averages over steps); Wortsman et al. 2022, "Model soups", arXiv:2203.05482, recipe 1.

What it leaves to others: the questions (`dev_score`), the steps (`loop`), what is reported (`scoring`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn

Weights = Mapping[str, Tensor]
_EARLY: Final = 10  # an average over the first steps forgets faster, or the base would weigh for long


@dataclass(frozen=True, slots=True)
class Look:
    """What development questions said after a step.

    Attributes:
        score: nDCG@10 with the weights as they were.
        averaged: with their average over the steps; None where none is made.
    """

    step: int
    score: float
    averaged: float | None = None

    @property
    def best(self) -> float:
        """The better of the two."""
        return self.score if self.averaged is None else max(self.score, self.averaged)


@dataclass
class Keeper:
    """Looks at a run now and then, and keeps the weights that did best.

    Attributes:
        score: a model to its nDCG@10 on the development questions.
        steps: after which it looks; the run's last is among them.
        patience: looks in a row without a better one after which the run ends; 0 for never.
        ema: share of the running average that a step leaves as it was; 0 for no average.
        start: nDCG@10 before the first step.
        look_s: seconds of a look.
    """

    score: Callable[[Any], float]
    steps: frozenset[int]
    patience: int = 0
    ema: float = 0.0
    looks: list[Look] = field(default_factory=list)
    start: float = 0.0
    look_s: float = 0.0
    _kept: dict[str, Tensor] = field(default_factory=dict)
    _average: dict[str, Tensor] = field(default_factory=dict)

    def begin(self, model: nn.Module) -> None:
        """Before the first step."""
        began = time.perf_counter()
        self.start = of_the_first(self.score(model))
        self.look_s = (time.perf_counter() - began) * (2 if self.ema else 1)
        if self.ema:
            self._average = weights_of(model)

    def after(self, model: nn.Module, step: int) -> bool:
        """After *step*: whether the run may end."""
        if self.ema:
            follow(self._average, model, min(self.ema, (1 + step) / (_EARLY + step)))
        if step in self.steps and (not self.looks or self.looks[-1].step < step):
            self._look(model, step)
        return 0 < self.patience <= self._in_vain()

    def settle(self, model: nn.Module) -> None:
        """Give *model* the weights that did best."""
        load_weights(model, self._kept)

    @property
    def best(self) -> Look:
        """The first of the looks that did best; a run that ended has one."""
        return max(self.looks, key=lambda look: look.best)

    @property
    def taken_average(self) -> bool:
        """Whether the best look's better weights were the average."""
        return self.best.averaged is not None and self.best.averaged > self.best.score

    def to_json(self) -> dict[str, Any]:
        """What run.json says of the run."""
        return {
            "start": self.start,
            "looks": [asdict(look) for look in self.looks],
            "step": self.best.step,
            "averaged": self.taken_average,
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, for `torch.save`."""
        said = {"looks": [asdict(look) for look in self.looks], "start": self.start, "look_s": self.look_s}
        return said | {"kept": self._kept, "average": self._average}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.looks, self.start, self.look_s = [Look(**look) for look in state["looks"]], state["start"], state["look_s"]
        self._kept, self._average = dict(state["kept"]), dict(state["average"])

    def _look(self, model: nn.Module, step: int) -> None:
        so_far = self.best.best if self.looks else -1.0
        now = weights_of(model)
        score, averaged = of_the_first(self.score(model)), None
        if self.ema:
            load_weights(model, self._average)
            averaged = of_the_first(self.score(model))
            load_weights(model, now)
        look = Look(step, score, averaged)
        self.looks.append(look)
        if look.best > so_far:
            better = averaged is not None and averaged > score
            self._kept = {name: value.clone() for name, value in (self._average if better else now).items()}

    def _in_vain(self) -> int:
        return len(self.looks) - 1 - self.looks.index(self.best) if self.looks else 0


@dataclass(frozen=True, slots=True)
class Soup:
    """The mean of some runs.

    Attributes:
        taken: which of the runs are in it, the best first.
        score: its nDCG@10 on the development questions.
    """

    weights: Weights
    taken: tuple[int, ...]
    score: float

    def to_json(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"in_the_mean": list(self.taken), "score": self.score}


def soup_of(runs: Sequence[tuple[float, Weights]], score: Callable[[Weights], float]) -> Soup:
    """Begin with the best run; each next one joins the mean where the mean does not get worse by it.

    Args:
        runs: score and weights of each.
        score: weights to their nDCG@10 on the development questions.
    """
    order = sorted(range(len(runs)), key=lambda run: -runs[run][0])
    soup = Soup(runs[order[0]][1], (order[0],), runs[order[0]][0])
    for run in order[1:]:
        count = len(soup.taken)
        mean = {name: value + (runs[run][1][name] - value) / (count + 1) for name, value in soup.weights.items()}
        found = of_the_first(score(mean))
        if found >= soup.score:
            soup = Soup(mean, (*soup.taken, run), found)
    return soup


def kept_sentence(kept: Mapping[str, Any]) -> str:
    """What was kept, for people, out of run.json."""
    taken, runs, last = kept["in_the_mean"], len(kept["runs"]), kept["looks"][-1]
    if len(taken) > 1:
        what = f"the mean of {len(taken)} of {runs} runs"
    elif taken[0]:
        what = f"run {taken[0] + 1} of {runs}"
    else:
        what = f"{'the average of the weights up to' if kept['averaged'] else 'the weights of'} step {kept['step']}"
    return (
        f"kept: {what}, with {kept['score']:.4f} nDCG@10 on {kept['chosen_on']}, which chose; step {last['step']} has "
        f"{last['score']:.4f}, the weights before the first step {kept['start']:.4f}"
    )


def look_steps(total: int, looks: int) -> frozenset[int]:
    """Evenly spread steps of a run of *total* after which it is looked at, the last among them."""
    return frozenset(max(1, round(total * (look + 1) / looks)) for look in range(looks))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of what is trained."""
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


@torch.no_grad()
def load_weights(model: nn.Module, weights: Weights) -> None:
    """Give *model* the *weights*; those that it has besides stay."""
    for name, value in model.named_parameters():
        if name in weights:
            value.copy_(weights[name])


@torch.no_grad()
def follow(average: Mapping[str, Tensor], model: nn.Module, kept: float) -> None:
    """Move *average* towards the weights of *model*; *kept* is the share of it that stays."""
    for name, value in model.named_parameters():
        if name in average:
            average[name].lerp_(value.detach().to(average[name]), 1 - kept)


def of_the_first(score: float) -> float:
    """The score as the first of several processes has it, so that all decide alike."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return score
    shared = [score]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]
