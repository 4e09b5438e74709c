"""The loss of a batch: texts through the model in mini-batches, the gradient that of the whole batch at once.

The vectors are made first, without gradients; the loss gives the gradient of each vector; then each mini-batch is
made again and takes up its part (Gao et al. 2021, arXiv:2101.06983; the replay is sentence-transformers' own, with
its handling of dropout and of several devices). Memory is that of one mini-batch, however many negatives there are.

With several processes each brings its own examples, and all vectors are negatives for all: the gradient is that of
one process with all of the batch.

What it leaves to others: the formulas (`kinds`), what is no negative (`masking`), the loop (`finetuning.loop`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import CachedLossMixin
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather as all_gather_with_gradient

from .batch import Side, TrainingBatch
from .loss import LossTerms, loss_named
from .masking import Known
from .pairs import BatchPairs, matryoshka, unit_rows

_COLDEST, _WARMEST = 0.005, 1.0  # where a learned temperature stays: beyond, training of CLIP became unstable


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Which loss, and how; the keys of `TrainingConfig` say more.

    Attributes:
        kind: one of `loss.loss_names`.
        mini_batch_size: texts that go through the model at once.
        matryoshka_dims: prefixes of the vector that have to work alone; () for the whole vector only.
    """

    kind: str = "infonce"
    temperature: float = 0.05
    learn_temperature: bool = False
    symmetric: bool = True
    mini_batch_size: int = 32
    matryoshka_dims: tuple[int, ...] = ()
    teacher_temperature: float = 1.0


class BatchLoss(CachedLossMixin, nn.Module):  # type: ignore[misc]
    """The loss of a `TrainingBatch`.

    Args:
        model: features to features with "sentence_embedding".
        known: what is masked.
    """

    model: Any

    def __init__(self, model: nn.Module, settings: LossSettings, known: Known) -> None:
        super().__init__()
        self.model, self.settings, self.known = model, settings, known
        self.loss = loss_named(settings.kind)
        self.mini_batch_size = settings.mini_batch_size
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(settings.temperature)), requires_grad=settings.learn_temperature
        )

    def reset(self) -> None:
        """The temperature of the settings again."""
        with torch.no_grad():
            self.log_temperature.fill_(math.log(self.settings.temperature))

    @property
    def temperature(self) -> Tensor | float:
        """What cosines are divided by."""
        if not self.settings.learn_temperature:
            return self.settings.temperature
        return self.log_temperature.exp().clamp(_COLDEST, _WARMEST)

    def temperature_now(self) -> float:
        """The temperature as a number."""
        return float(torch.as_tensor(self.temperature).detach())

    def terms(self) -> LossTerms:
        """The numbers of the formula, as they are now."""
        return LossTerms(self.temperature, self.settings.symmetric, self.settings.teacher_temperature)

    def features(self, batch: TrainingBatch) -> list[dict[str, Any]]:
        """What the model takes of the queries and of the passages."""
        return [batch.query.inputs(), batch.passage.inputs()]

    def forward(self, batch: TrainingBatch) -> Tensor:
        """The loss of *batch*; its gradient reaches the model's weights whichever way the vectors were made."""
        features = self.features(batch)
        small = max(len(batch.query.ids), len(batch.passage.ids)) <= self.mini_batch_size
        if small and not _distributed():
            vectors = [[self.model(each)["sentence_embedding"]] for each in features]
            return self.calculate_loss(vectors, batch)
        loss: Tensor = CachedLossMixin.forward_cached(self, features, batch)
        return loss

    def calculate_loss(
        self, reps: Sequence[Sequence[Tensor]], labels: Any = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss of vectors, [of queries, of passages] in mini-batches; the mixin's call, *labels* the batch."""
        batch: TrainingBatch = labels
        q, p = (
            of_texts(torch.cat(list(made)), side.parts)
            for made, side in zip(reps, (batch.query, batch.passage), strict=True)
        )
        q, p, pairs = self.gathered(q, p, batch)
        loss = self.of_vectors(q, p, pairs)
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
            if _distributed() and self.log_temperature.grad is not None:
                # Not one of the model's weights, so the model's wrapper does not average it over the processes.
                distributed.all_reduce(self.log_temperature.grad)
                self.log_temperature.grad /= distributed.get_world_size()
            loss = loss.detach()
        return loss

    def of_vectors(self, q: Tensor, p: Tensor, pairs: BatchPairs) -> Tensor:
        """The loss of vectors that are there: (queries, dim) and (passages, dim)."""
        terms, dims = self.terms(), self.settings.matryoshka_dims

        def loss(q: Tensor, p: Tensor) -> Tensor:
            return self.loss.formula(q, p, pairs, terms)

        return matryoshka(loss, dims)(q, p) if dims else loss(q, p)

    def gathered(self, q: Tensor, p: Tensor, batch: TrainingBatch) -> tuple[Tensor, Tensor, BatchPairs]:
        """The vectors of all processes, and this process's examples among them.

        Each process's loss is over its own examples only, divided by the processes' mean weight: so the mean over
        processes, which is what becomes of the gradient, is the mean over all examples.
        """
        if not _distributed():
            return q, p, self.pairs(batch)
        world, rank = distributed.get_world_size(), distributed.get_rank()
        q, start_q = _gather_rows(q)
        p, start_p = _gather_rows(p)
        query, first_q, place_q = _everyone(batch.query)
        passage, first_p, place_p = _everyone(batch.passage)
        merged = replace(
            batch,
            query=query,
            passage=passage,
            queries=place_q[batch.queries + start_q[rank]],
            passages=place_p[batch.passages + start_p[rank]],
            rivals=_moved_rows(batch.rivals, start_p[rank], place_p),
            candidates=None if batch.candidates is None else _moved_rows(batch.candidates, start_p[rank], place_p),
        )
        pairs = self.pairs(merged)
        total = pairs.total.clone()
        distributed.all_reduce(total)
        return q[first_q], p[first_p], replace(pairs, total=total / world)

    def pairs(self, batch: TrainingBatch, known: Known | None = None) -> BatchPairs:
        """What belongs together in *batch*; masked by *known*, the loss's own unless given, and by the guide."""
        query, passage = batch.query, batch.passage
        right = (known or self.known).mask(query.groups.cpu().numpy(), passage.groups.cpu().numpy())
        masked = torch.from_numpy(right).to(batch.queries.device)
        guide = None
        if query.guide is not None and passage.guide is not None:
            guide = (query.guide, passage.guide)
            masked = masked | guided(query.guide @ passage.guide.T, batch.queries, batch.passages)
        counts = batch.weights * (batch.rivals >= 0) if self.loss.needs == "teacher" else batch.weights
        return BatchPairs(
            queries=batch.queries,
            passages=batch.passages,
            weights=counts,
            total=counts.sum(),
            masked=masked,
            labels=batch.labels,
            rivals=batch.rivals,
            margins=batch.margins,
            candidates=batch.candidates,
            scores=batch.scores,
            guide=guide,
        )


def _moved_rows(rows: Tensor, start: int, place: Tensor) -> Tensor:
    """*rows* of this process's passages as rows of everybody's distinct ones; -1 stays."""
    return torch.where(rows >= 0, place[torch.where(rows >= 0, rows + start, 0)], rows)


def _everyone(side: Side) -> tuple[Side, Tensor, Tensor]:
    """What the distinct texts of all processes are, the gathered row of each, and for each gathered row its text."""
    first, place = _distinct(_gather_rows(side.keys)[0])
    guide = None if side.guide is None else _gather_rows(side.guide)[0][first]
    return replace(side, groups=_gather_rows(side.groups)[0][first], guide=guide), first, place


def of_texts(windows: Tensor, parts: Tensor) -> Tensor:
    """The vectors of texts, (texts, dim), from those of their windows, (windows, dim), as `pool_windows` makes them.

    Args:
        parts: (texts, windows), the content tokens of each window in the row of its text.
    """
    if bool(((parts > 0).sum(dim=1) == 1).all()):
        return windows[parts.argmax(dim=1).to(windows.device)]  # as they are: their lengths tell the sentinel something
    rows = unit_rows(windows)
    return unit_rows(parts.to(rows) @ rows)


def guided(scores: Tensor, queries: Tensor, passages: Tensor) -> Tensor:
    """Which passages a guide puts above a query's own: right answers, as far as it can tell.

    Args:
        scores: (queries, passages), the guide's.
        queries, passages: (examples,), the pairs.

    Returns:
        (queries, passages) bool. Of several own passages, the lowest counts; a query of nobody's is not masked.

    Source: Solatorio 2024, "GISTEmbed", arXiv:2402.16829, section 3.
    """
    bound = torch.full((len(scores),), math.inf, dtype=scores.dtype, device=scores.device)
    bound = bound.scatter_reduce(0, queries, scores[queries, passages], "amin")
    return scores > bound[:, None]


def _distinct(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the first of each key, and for each row the place of its key among these.

    A text that two processes have counts once, as it does within one.
    """
    values, inverse = torch.unique(keys, return_inverse=True)
    first = torch.full((len(values),), len(keys), device=keys.device)
    first = first.scatter_reduce(0, inverse, torch.arange(len(keys), device=keys.device), "amin")
    return first, inverse


def _gather_rows(rows: Tensor) -> tuple[Tensor, list[int]]:
    """The rows of all processes one after the other, and where each one's begin; with gradient if they have one."""
    world = distributed.get_world_size()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world)]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(count) for count in counts]
    padded = torch.cat([rows, rows.new_zeros((max(lengths) - len(rows), *rows.shape[1:]))])
    if rows.requires_grad:
        parts = list(all_gather_with_gradient(padded))  # type: ignore[no-untyped-call]
    else:
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
    starts = [sum(lengths[:rank]) for rank in range(world)]
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)]), starts


def _distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
