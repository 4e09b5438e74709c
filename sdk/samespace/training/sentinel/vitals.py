"""Measuring what the sentinel judges, on a fixed sample of pairs.

The sample's own passages are each other's negatives: one batch, always the same, without dropout. What it is called
with decides the cost: 64 pairs are two thirds of a step of 64, and about 25 measurements are made in a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...evaluation.isotropy import effective_rank, uniformity
from ..losses.batch import Side, TrainingBatch, model_inputs
from ..losses.batch_loss import BatchLoss, of_texts
from ..losses.masking import Known
from .judge import Vitals

SAMPLE_PAIRS: Final = 64
_CONSTANT: Final = 1e-6  # spread of one number of the vectors over the texts, against the mean length
_TWIN: Final = 0.15  # distance of two passages over the mean distance of passages: near copies

Float = npt.NDArray[np.float32]


@dataclass
class Sample:
    """A fixed batch and the vectors that its passages had at the first measurement.

    Attributes:
        batch: as `batches.Collator` makes it.
        known: what is masked; of the same texts as the batch's groups.
        vitals: the measurements so far, in order of steps.
        start: (passages, dim), unit rows: the passages' vectors at the first of them.
    """

    batch: TrainingBatch
    known: Known
    vitals: list[Vitals] = field(default_factory=list)
    start: Float | None = None

    def start_over(self) -> None:
        """Forget the measurements: another run begins."""
        self.vitals, self.start = [], None

    def measured(self, step: int) -> bool:
        """Whether there is a measurement of *step* already."""
        return any(each.step == step for each in self.vitals)

    def measure(self, model: torch.nn.Module, loss: BatchLoss, step: int) -> Vitals:
        """One more measurement, of *model* after *step* steps; its mode and gradients are left as they were."""
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                batch = self.batch.to(next(model.parameters()).device)
                q, p = (
                    of_texts(embed(model, side, loss.mini_batch_size), side.parts)
                    for side in (batch.query, batch.passage)
                )
                pairs = loss.pairs(batch, self.known)
                value = float(loss.of_vectors(q, p, pairs))
        finally:
            model.train(training)
        if self.start is None:
            self.start = _unit(p.cpu().numpy())
        found = vitals(
            q.cpu().numpy(),
            p.cpu().numpy(),
            pairs.queries.cpu().numpy(),
            pairs.passages.cpu().numpy(),
            pairs.masked.cpu().numpy(),
            labels=pairs.labels.cpu().numpy(),
            start=self.start,
            step=step,
            loss=value,
            trivial=loss.loss.trivial(pairs, loss.terms()),
        )
        self.vitals.append(found)
        return found


def embed(model: torch.nn.Module, side: Side, mini_batch_size: int) -> Tensor:
    """Vectors of the windows of *side*, (windows, dim) float32, in mini-batches without needless padding."""
    device = next(model.parameters()).device
    ids, mask = side.ids.to(device), side.mask.to(device)
    rows = []
    with torch.no_grad():
        for start in range(0, len(ids), mini_batch_size):
            part = slice(start, start + mini_batch_size)
            longest = int((mask[part] > 0).sum(dim=1).max())
            made = model(model_inputs(ids[part, :longest], mask[part, :longest]))
            rows.append(made["sentence_embedding"].float())
    return torch.cat(rows)


def vitals(
    q: Float,
    p: Float,
    queries: npt.NDArray[np.int64],
    passages: npt.NDArray[np.int64],
    masked: npt.NDArray[np.bool_],
    *,
    labels: Float,
    start: Float,
    step: int,
    loss: float,
    trivial: float,
) -> Vitals:
    """`sentinel.Vitals` of vectors.

    Args:
        q, p: (queries, dim) and (passages, dim), of any length.
        queries, passages: (pairs,), which rows belong together.
        masked: (queries, passages), what is known to be right besides.
        labels: (pairs,); from 0.5 on a pair counts as right.
        start: (passages, dim), unit rows, of step 0.
    """
    alive = bool(np.isfinite(q).all() and np.isfinite(p).all())
    if not alive:
        nan = float("nan")
        return Vitals(step, loss, trivial, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan)
    unit_q, unit_p = _unit(q), _unit(p)
    cosines = unit_q @ unit_p.T  # (queries, passages)
    right = labels >= 0.5
    own = cosines[queries, passages]
    positive = own[right] if right.any() else own
    others = ~masked.copy()
    others[queries[right], passages[right]] = False
    negative = cosines[others] if others.any() else own[~right] if (~right).any() else np.zeros(1, np.float32)
    length = float(np.linalg.norm(p, axis=1).mean())
    return Vitals(
        step=step,
        loss=loss,
        trivial=trivial,
        effective_rank=effective_rank(unit_p),
        alignment=float((2 - 2 * positive).mean()),
        uniformity=uniformity(unit_p) if len(unit_p) > 1 else 0.0,
        positive_mean=float(positive.mean()),
        positive_spread=float(positive.std()),
        negative_mean=float(negative.mean()),
        negative_spread=float(negative.std()),
        dead=float((p.std(axis=0) <= _CONSTANT * max(length, 1e-30)).mean()),
        moved=float((1 - (unit_p * start).sum(axis=1)).mean()),
        twins=_twins(unit_p, queries[right], passages[right], masked),
    )


def _twins(
    unit_p: Float, queries: npt.NDArray[np.int64], passages: npt.NDArray[np.int64], masked: npt.NDArray[np.bool_]
) -> float:
    """Share of pairs whose passage has a near copy that is a negative of the pair's query."""
    if len(unit_p) < 3 or not len(passages):
        return 0.0
    distance = np.sqrt(np.maximum(2 - 2 * unit_p @ unit_p.T, 0))
    mean = float(distance.sum() / (len(unit_p) * (len(unit_p) - 1)))
    near = distance[passages] <= _TWIN * mean  # (pairs, passages)
    near &= ~masked[queries]
    near[np.arange(len(passages)), passages] = False
    return float(near.any(axis=1).mean())


def _unit(rows: Float) -> Float:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)


def spread_evenly(count: int, most: int) -> Sequence[int]:
    """Up to *most* positions of 0..count-1, evenly spread."""
    return [int(row) for row in np.linspace(0, count - 1, min(most, count)).round()] if count else []
