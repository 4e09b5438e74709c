"""Which vectors belong together, and the arithmetic that losses share.

A batch names every distinct text once. Example i pairs row `queries[i]` of the query vectors with row `passages[i]` of
the passage vectors; passages that no example names are negatives of all queries. So a text that is in a batch twice is
encoded once and counts once as a negative.

What it leaves to others: which passages are no negatives (`masking`), vectors and cached gradients (`batch_loss`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

OfVectors = Callable[[Tensor, Tensor], Tensor]
"""Query vectors (queries, dim) and passage vectors (passages, dim), not normalised, to a scalar."""


@dataclass(frozen=True, slots=True)
class BatchPairs:
    """Which vectors belong together.

    Attributes:
        queries, passages: (examples,) int64, rows of the query and the passage vectors.
        weights: (examples,) float32, 0 or more: how much an example counts beside one of weight 1.
        total: scalar; what sums over the examples are divided by: the sum of the weights.
        masked: (queries, passages) bool; True where a passage must not be taken as a negative of a query: it is, or
            may be, another right answer. What an example itself pairs is never masked for that example.
        labels: (examples,) float32 in [0, 1]; how far the two belong together.
        rivals: (examples,) int64, row of the passage that an example is compared with; -1 for none.
        margins: (examples,) float32, the teacher's score of the passage minus that of the rival.
        candidates: (examples, most) int64, rows of the passages that the teacher has scored, the example's own first;
            -1 beyond. None without a teacher.
        scores: (examples, most) float32, the teacher's scores of these; 0 beyond.
        guide: another encoder's unit vectors of the queries and of the passages; None where there is no guide.
    """

    queries: Tensor
    passages: Tensor
    weights: Tensor
    total: Tensor
    masked: Tensor
    labels: Tensor
    rivals: Tensor
    margins: Tensor
    candidates: Tensor | None = None
    scores: Tensor | None = None
    guide: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def alike(queries: Tensor, passages: Tensor, masked: Tensor, labels: Tensor) -> BatchPairs:
        """Pairs of weight 1, without a teacher."""
        ones, nobody = torch.ones(len(queries)), torch.full((len(queries),), -1)
        return BatchPairs(queries, passages, ones, ones.sum(), masked, labels, nobody, torch.zeros(len(queries)))

    def __len__(self) -> int:
        return len(self.queries)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of (examples,) *values* by their weights."""
        return (values * self.weights).sum() / self.total.clamp_min(1e-12)

    def share(self) -> Tensor:
        """(examples,) float64 that sum to 1: what each example counts."""
        return self.weights.double() / self.weights.sum().clamp_min(1e-12)


def cosines(q: Tensor, p: Tensor) -> Tensor:
    """(queries, passages), float32 at least."""
    return unit_rows(q) @ unit_rows(p).T


def own_cosines(q: Tensor, p: Tensor, pairs: BatchPairs) -> Tensor:
    """(examples,): of each query with its own passage."""
    return (unit_rows(q)[pairs.queries] * unit_rows(p)[pairs.passages]).sum(dim=1)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of unit length, (texts, dim), float32 at least."""
    # A softmax over scores of bf16 would see steps of 1/128: vectors may be of few bits, scores may not.
    return normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=1)


def matryoshka(loss: OfVectors, dims: Sequence[int]) -> OfVectors:
    """The mean of *loss* over the vectors cut to each of *dims*: a prefix of the vector then is an encoder too.

    Source: Kusupati et al. 2022, arXiv:2205.13147, equation 1, with equal weights.
    """

    def nested(q: Tensor, p: Tensor) -> Tensor:
        return torch.stack([loss(q[:, :dim], p[:, :dim]) for dim in dims]).mean()

    return nested
