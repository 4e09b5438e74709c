"""Which rate, and which state of its run: chosen by nDCG on the development split, and what came of it.

A full training of a head takes seconds, so the rate is not guessed from the first steps of one: every rate of a
ladder is trained to its end. A rate that learns nothing and one that destroys are both in the table.

What it leaves to others: the training (`fit`), whether a run is ill (`sentinel`).
What it gives up: an unbiased development score. It is the best of many; the test split says what the head is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigInvalid
from ...evaluation import Bm25Ranker, Comparison, Evaluation, Ranker, VectorRanker, evaluate
from ...heads import Heads
from ..losses.loss import loss_named
from ..sentinel.judge import Alarm, RunFacts, Vitals
from .config import RATES, HeadConfig
from .data import HeadData
from .fit import HeadPairs, HeadState, fit
from .watch import judge, watch

CHOOSES = "dev"
"""The split that chooses: no p-value is made of it."""
Tick = Callable[[int], None]


def no_verdict(points: float, against: str, split: str, seen: int) -> str:
    """What is said of a change on a split that cannot judge it.

    Args:
        points: of nDCG@10, times 100.
        seen: questions of *split* that are trained on; 0 where it chose the rate and the step.
    """
    why = f"{seen} questions of which are trained on" if seen else "which chose the rate and the step"
    return (
        f"{points:+.2f} points against the {against} on {split}, {why}: too good to be believed, and no p-value; score "
        "a test split"
    )


@dataclass(frozen=True)
class Tried:
    """One training.

    Attributes:
        rate: its highest rate.
        states: the start, and some on the way; the last is the end.
        dev: nDCG@10 of each on the development split, () where there is none.
        measured: each on some of the training pairs.
        run: what the sentinel has to know of it.
    """

    rate: float
    states: Sequence[HeadState]
    dev: Sequence[float]
    measured: Sequence[Vitals]
    run: RunFacts

    @property
    def best(self) -> int:
        """Place of the state that is taken: the best on the development split, of equal ones the first."""
        return int(np.argmax(self.dev)) if self.dev else len(self.states) - 1

    @property
    def score(self) -> float:
        """The taken state's nDCG@10 on the development split; 0 where there is none."""
        return self.dev[self.best] if self.dev else 0.0

    def to_json(self) -> dict[str, Any]:
        """What provenance keeps."""
        return {
            "rate": self.rate,
            "steps": [state.step for state in self.states],
            "loss": [round(state.loss, 6) for state in self.states],
            "gradient_norm": [float(f"{state.gradient_norm:.4g}") for state in self.states],
            "start": self.measured[0].to_json(),
            "end": self.measured[-1].to_json(),
            "dev_ndcg@10": [round(each, 6) for each in self.dev],
            "taken_step": self.states[self.best].step,
        }


def probe(
    data: HeadData, made: HeadPairs, begin: Heads, config: HeadConfig, tick: Tick = lambda _: None
) -> list[Tried]:
    """Train with `config.rate`, or with every rate of `RATES` where it is 0; *tick* gets 1 after each.

    Raises:
        ConfigInvalid: a rate has to be found, and there is no development split to find it with.
        TrainingFailed: see `head_fit.fit`.
    """
    if not config.rate and "dev" not in data.splits:
        raise ConfigInvalid(
            key="rate", reason=f"{data.name} has no dev split to choose it with; say one, such as --rate 1e-3"
        )
    tried = []
    for rate in (config.rate,) if config.rate else RATES:
        states = fit(made, begin, config, rate)
        dev = [score(data, "dev", state.heads).score.ndcg_10 for state in states] if "dev" in data.splits else []
        run = RunFacts(
            config.loss, states[-1].step, config.temperature, min(config.batch_size, len(made.pairs)) - 1.0,
            float(made.labels.std()) if loss_named(config.loss).needs == "labels" else 1.0, rate,
        )  # fmt: skip
        tried.append(Tried(rate, states, dev, watch(made, states, config), run))
        tick(1)
    return tried


def chosen(tried: Sequence[Tried]) -> Tried:
    """The training with the best development score; of equal ones that with the lowest rate."""
    return max(tried, key=lambda each: (each.score, -each.rate))


def alarms(tried: Sequence[Tried]) -> list[Alarm | None]:
    """What is wrong with each training, the others being its ladder."""
    ends = [(each.rate, each.measured[-1]) for each in tried]
    return [
        judge(each.run, each.measured, [*ends[:row], *ends[row + 1 :]], [state.gradient_norm for state in each.states])
        for row, each in enumerate(tried)
    ]


def score(data: HeadData, split: str, heads: Heads | None, *, name: str = "head") -> Evaluation:
    """How *heads* rank on a split, or the vectors as they are."""
    return evaluate(VectorRanker(name, *data.pooled(split, heads)), data.splits[split].dataset)


@dataclass(frozen=True)
class Compared:
    """One row of the answer.

    Attributes:
        name: "BM25", "base", "start" or "head".
        scores: split -> nDCG@10; a split that cannot be scored is left out.
        change: split -> the head's nDCG@10 against this row's, over the same queries; not of the development split,
            which chose the rate and the step, so that any test on it would flatter.
    """

    name: str
    scores: Mapping[str, float]
    change: Mapping[str, Comparison]

    def to_json(self) -> dict[str, Any]:
        """What provenance keeps."""
        return {
            "name": self.name,
            "ndcg@10": {split: round(value, 6) for split, value in self.scores.items()},
            "head_against_it": {split: change.to_json() for split, change in self.change.items()},
        }


def compare(data: HeadData, begin: Heads, heads: Heads, *, bm25: bool) -> list[Compared]:
    """BM25, the base, the start and the head on every split that there is.

    Two encoders of different spaces have no base score: their vectors cannot be compared. What their raw numbers
    would give where the dims happen to be equal is shown as "base", because it is what a mistake would give. Where
    the start is the base itself, it has no row.
    """
    rows: list[tuple[str, dict[str, Evaluation]]] = []
    if bm25:
        ranker: Ranker = Bm25Ranker()
        rows.append(("BM25", {name: evaluate(ranker, split.dataset) for name, split in data.splits.items()}))
    scored: list[tuple[str, Heads | None]] = [("base", None)] if data.queries.dims == data.passages.dims else []
    if data.anchors is not None or begin.dims != data.queries.dims:
        scored.append(("start", begin))
    scored.append(("head", heads))
    rows += [(name, {split: score(data, split, each, name=name) for split in data.splits}) for name, each in scored]
    last = rows[-1][1]
    return [
        Compared(
            name,
            {split: each.score.ndcg_10 for split, each in found.items()},
            {split: last[split].against(each) for split, each in found.items() if name != "head" and split != CHOOSES},
        )
        for name, found in rows
    ]
