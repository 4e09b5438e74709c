"""Training two encoders and their heads together, and which epoch of it is kept.

It begins where the heads were trained alone, so that it can only add: the state before the first step is one of those
that the development split chooses from. Each epoch's towers are written as model folders, read back, and scored over
the whole text path.

What it leaves to others: the heads at the start (`heads`), the towers as modules (`towers`), the artifact (`request`).
What it gives up: a rate that is found, and resuming. A rate that spoils shows as "heads alone" in the end.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import ConfigInvalid, TrainingFailed
from ...evaluation import Evaluation, VectorRanker, evaluate
from ...exporting.fastest import fastest
from ...exporting.provenance import public_name
from ...heads import Heads
from ...model.checkpoint import Checkpoint, load_checkpoint
from ...progress import Progress
from ...text import ROLES, Role
from ..data.examples import RELEVANT, Examples
from ..finetuning.batches import Collator, Negatives
from ..finetuning.encoding import training_path
from ..finetuning.loop import batches_of
from ..heads.choice import CHOOSES, no_verdict, score
from ..heads.data import HeadData
from ..losses.batch_loss import LossSettings
from ..losses.masking import known_pairs
from . import towers as both
from .config import JointConfig

_WARMUP, _DECAY, _LONGEST_GRADIENT = 0.1, 0.01, 1.0
Folders = Mapping[Role, Path]


@dataclass(frozen=True)
class JointState:
    """The towers after an epoch.

    Attributes:
        epoch: 0 for the heads alone, whose encoders are untouched.
        loss: mean over the epoch's steps; NaN for epoch 0.
        folders: model folder of each role; None for epoch 0.
        scored: split -> its evaluation.
    """

    epoch: int
    loss: float
    folders: Folders | None
    scored: Mapping[str, Evaluation]

    @property
    def dev(self) -> float:
        """nDCG@10 on the split that chooses."""
        return self.scored[CHOOSES].score.ndcg_10


@dataclass(frozen=True)
class TunedTowers:
    """What came of a training.

    Attributes:
        states: the heads alone, and each epoch.
        seen: split -> questions of it that are trained on.
        taken: the best on the development split; of equal ones the first.
    """

    config: JointConfig
    states: Sequence[JointState]
    seen: Mapping[str, int] = field(default_factory=dict)

    @property
    def taken(self) -> JointState:
        return _best(self.states)

    def summary(self) -> str:
        """One sentence: what was taken, and what it is worth on a split that did not choose it."""
        taken, alone = self.taken, self.states[0]
        known = self.seen.get(CHOOSES, 0)
        doubt = f", {known} questions of which are trained on: no epoch is chosen fairly" if known else ""
        if taken.folders is None:
            best = max(each.dev for each in self.states[1:])
            return (
                f"the encoders stay as they are: no epoch is better on {CHOOSES} than the heads alone "
                f"({best:.4f}, heads {alone.dev:.4f}){doubt}"
            )
        on_dev = f"({taken.dev:.4f}, heads {alone.dev:.4f})"
        told = f"epoch {taken.epoch} of {self.config.epochs}, chosen on {CHOOSES} {on_dev}{doubt}"
        if "test" not in taken.scored:
            return f"{told}; no other split is held out to say what it is worth"
        reached = taken.scored["test"].score.ndcg_10
        if seen := self.seen.get("test", 0):
            points = 100 * (reached - alone.scored["test"].score.ndcg_10)
            return f"{told}; nDCG@10 on test {reached:.4f}, {no_verdict(points, 'heads alone', 'test', seen)}"
        change = taken.scored["test"].against(alone.scored["test"])
        return f"{told}; {change.word} the heads alone on test: nDCG@10 {reached:.4f}, {change.points}"

    def record(self) -> dict[str, Any]:
        """What provenance keeps."""
        return {
            "summary": self.summary(),
            "config": asdict(self.config),
            "taken_epoch": self.taken.epoch,
            "epochs": [
                {
                    "epoch": each.epoch,
                    "loss": None if math.isnan(each.loss) else round(each.loss, 6),
                    "ndcg@10": {split: round(found.score.ndcg_10, 6) for split, found in each.scored.items()},
                }
                for each in self.states
            ],
        }


def tune(
    data: HeadData,
    encoders: Mapping[Role, Checkpoint],
    heads: Heads,
    config: JointConfig,
    work: Path,
    progress: Progress,
) -> TunedTowers:
    """Train both towers on the pairs of *data*, from *heads* on; model folders are written below *work*.

    Raises:
        ConfigInvalid: there is no development split, or fewer than two right pairs.
        TrainingFailed: the loss is no longer a number.
    """
    examples = _right(data)
    alone = {split: score(data, split, heads, name="heads alone") for split in data.splits}
    states = [JointState(0, math.nan, None, alone)]
    towers = both.build(encoders, heads)
    given = [text for texts in examples.negatives for text in texts]
    known = known_pairs(zip(examples.queries, examples.passages, strict=True), given)
    paths = {role: training_path(encoder) for role, encoder in encoders.items()}
    collator = Collator(examples, paths, Negatives(examples.negatives, 1, config.seed), known)
    loss = both.TowersLoss(towers, LossSettings(temperature=config.temperature), known)
    sampler = batches_of(collator, config.batch_size, config.seed)
    optimizer = torch.optim.AdamW(towers.parameters(), lr=config.rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(config.epochs * len(sampler)))
    torch.manual_seed(config.seed)
    with progress("training both encoders, steps", config.epochs * len(sampler)) as advance:
        for epoch in range(1, config.epochs + 1):
            sampler.set_epoch(epoch - 1)
            collator.epoch = epoch - 1
            losses = []
            towers.train()
            for rows in sampler:
                losses.append(_step(towers, loss, collator.batch(rows), optimizer))
                schedule.step()
                advance(1)
                if not math.isfinite(losses[-1]):
                    raise TrainingFailed(
                        f"the loss is {losses[-1]} in epoch {epoch}; lower --joint-rate ({config.rate:g})"
                    )
            folders = {role: work / f"epoch-{epoch}" / role / _name(encoders[role]) for role in ROLES}
            both.save(towers, encoders, folders)
            states.append(JointState(epoch, sum(losses) / len(losses), folders, _scores(data, folders, progress)))
            _forget(states)
    return TunedTowers(config, states, data.record.get("trained_on", {}))


def _right(data: HeadData) -> Examples:
    if CHOOSES not in data.splits:
        raise ConfigInvalid(
            key="joint",
            reason=f"{data.name} has no {CHOOSES} split, which says whether training the encoders helps; "
            "`samespace doctor data DATA --write-splits OUT` makes one",
        )
    assert data.examples is not None  # vectors have no towers
    rows = [row for row, label in enumerate(data.examples.labels) if label >= RELEVANT]
    if len(rows) < 2:
        raise ConfigInvalid(key="joint", reason=f"{len(rows)} right pairs to train on; at least 2 are needed")
    return replace(data.examples.rows(rows), labelled=False, labels=(1.0,) * len(rows))


def _rise_and_fall(steps: int) -> Any:
    rising = max(1, math.ceil(_WARMUP * steps))
    return lambda step: min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def _step(towers: both.Towers, loss: both.TowersLoss, batch: Any, optimizer: torch.optim.Optimizer) -> float:
    device = next(towers.parameters()).device
    found = loss(batch.to(device))
    optimizer.zero_grad()
    found.backward()
    torch.nn.utils.clip_grad_norm_(towers.parameters(), _LONGEST_GRADIENT)
    optimizer.step()
    return float(found.detach())


def _scores(data: HeadData, folders: Folders, progress: Progress) -> dict[str, Evaluation]:
    """Each split's score of the towers as they are written, over the whole text path."""
    towers = {role: load_checkpoint(str(folder)) for role, folder in folders.items()}
    passages = next(iter(data.splits.values())).dataset.passages
    asked = [text for split in data.splits.values() for text in split.dataset.queries]
    with progress("scoring both encoders, texts", len(passages) + len(asked)) as advance:
        with fastest(towers["passage"], passages) as (encoder, _):
            rows = np.asarray(encoder.encode(passages, "passage", progress=advance))
        with fastest(towers["query"], asked) as (encoder, _):
            questions = np.asarray(encoder.encode(asked, "query", progress=advance))
    found, begin = {}, 0
    for name, split in data.splits.items():
        end = begin + len(split.dataset.queries)
        found[name] = evaluate(VectorRanker("both trained", questions[begin:end], rows), split.dataset)
        begin = end
    return found


def _best(states: Sequence[JointState]) -> JointState:
    return max(states, key=lambda each: (each.dev, -each.epoch))


def _forget(states: Sequence[JointState]) -> None:
    """Remove the folders of epochs that will not be taken."""
    best = _best(states)
    for each in states:
        if each is not best and each.folders is not None:
            shutil.rmtree(each.folders["query"].parent.parent, ignore_errors=True)


def _name(encoder: Checkpoint) -> str:
    return f"{public_name(encoder.source).rpartition('/')[2]}-joint"
