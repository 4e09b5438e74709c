"""The losses, as functions of vectors: what is right, and how wrong the encoder is.

A batch names every distinct text once. Example i pairs row `queries[i]` of the query vectors with row
`passages[i]` of the passage vectors; passages that no example names are negatives of all queries. So a text that
is in a batch twice is encoded once and counts once as a negative.

What it leaves to others: which passages are no negatives (`masking`), vectors and cached gradients (`contrastive`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, relu

CONTRASTIVE_MARGIN = 0.5
"""Cosine distance from which two texts that do not belong together are far enough apart."""

Loss = Callable[[Tensor, Tensor], Tensor]
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
    """

    queries: Tensor
    passages: Tensor
    weights: Tensor
    total: Tensor
    masked: Tensor
    labels: Tensor
    rivals: Tensor
    margins: Tensor

    def __len__(self) -> int:
        return len(self.queries)


def info_nce(q: Tensor, p: Tensor, examples: BatchPairs, temperature: Tensor | float, *, symmetric: bool) -> Tensor:
    """-log( exp(s_qp / t) / sum_j exp(s_qj / t) ), s the cosine, the sum over all passages that are not masked.

    If *symmetric*, the mean of that and of the same over all queries for the example's passage.

    Args:
        q: (queries, dim), any length of rows.
        p: (passages, dim).

    Returns:
        The mean over the examples by their weights; ln(number of terms) for vectors that tell nothing apart.

    Source: van den Oord et al. 2018, arXiv:1807.03748, equation 4.
    """
    scores = cosines(q, p) / temperature  # (queries, passages)
    loss = _one_way(scores[examples.queries], examples.masked[examples.queries], examples.passages)
    if symmetric:
        back = _one_way(scores.T[examples.passages], examples.masked.T[examples.passages], examples.queries)
        loss = (loss + back) / 2
    return _mean(loss, examples)


def _one_way(scores: Tensor, masked: Tensor, right: Tensor) -> Tensor:
    """Cross entropy of each row of (examples, candidates), against the candidate *right*; (examples,)."""
    own = torch.zeros_like(masked).scatter_(1, right[:, None], True)
    return cross_entropy(scores.masked_fill(masked & ~own, -math.inf), right, reduction="none")


def margin_mse(q: Tensor, p: Tensor, examples: BatchPairs, temperature: Tensor | float) -> Tensor:
    """(student margin - teacher margin)^2, a margin being the score of the passage minus that of its rival.

    A teacher's scores are logits of any size, cosines are not: the student's scores are cosines / temperature.
    Examples without a rival have margin 0 on both sides, and weight 0.

    Source: Hofstatter et al. 2020, arXiv:2010.02666, section 3.
    """
    scores = cosines(q, p) / temperature
    rivals = torch.where(examples.rivals >= 0, examples.rivals, examples.passages)
    student = scores[examples.queries, examples.passages] - scores[examples.queries, rivals]
    return _mean((student - examples.margins) ** 2, examples)


def cosine_mse(q: Tensor, p: Tensor, examples: BatchPairs) -> Tensor:
    """(cosine - label)^2; an encoder that says the mean label of everything reaches the labels' variance."""
    return _mean((_own_cosines(q, p, examples) - examples.labels) ** 2, examples)


def contrastive(q: Tensor, p: Tensor, examples: BatchPairs, margin: float = CONTRASTIVE_MARGIN) -> Tensor:
    """label d^2 + (1 - label) max(0, margin - d)^2, with d = 1 - cosine.

    Source: Hadsell, Chopra and LeCun 2006, equation 4, without its factor 1/2.
    """
    distance = 1 - _own_cosines(q, p, examples)
    apart = relu(margin - distance)
    return _mean(examples.labels * distance**2 + (1 - examples.labels) * apart**2, examples)


def matryoshka(loss: Loss, dims: Sequence[int]) -> Loss:
    """The mean of *loss* over the vectors cut to each of *dims*: a prefix of the vector then is an encoder too.

    Source: Kusupati et al. 2022, arXiv:2205.13147, equation 1, with equal weights.
    """

    def nested(q: Tensor, p: Tensor) -> Tensor:
        return torch.stack([loss(q[:, :dim], p[:, :dim]) for dim in dims]).mean()

    return nested


def cosines(q: Tensor, p: Tensor) -> Tensor:
    """(queries, passages), float32 at least."""
    return unit_rows(q) @ unit_rows(p).T


def _own_cosines(q: Tensor, p: Tensor, examples: BatchPairs) -> Tensor:
    return (unit_rows(q)[examples.queries] * unit_rows(p)[examples.passages]).sum(dim=1)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of unit length, (texts, dim), float32 at least."""
    # A softmax over scores of bf16 would see steps of 1/128: vectors may be of few bits, scores may not.
    return normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=1)


def _mean(values: Tensor, examples: BatchPairs) -> Tensor:
    return (values * examples.weights).sum() / examples.total.clamp_min(1e-12)


def trivial_loss(kind: str, examples: BatchPairs, *, symmetric: bool = False) -> float:
    """What an encoder reaches that tells nothing apart: the bar that learning has to get below.

    "infonce": mean ln(number of terms of the softmax); "cosine_mse": variance of the labels; "contrastive": the best
    that one constant distance reaches; "margin_mse": mean square of the teacher's margins.
    """
    weights = examples.weights.double() / examples.weights.sum().clamp_min(1e-12)
    if kind == "infonce":
        # An example's own passage always counts, also where another example has it masked.
        forward = 1 + (~_with_own(examples.masked, examples.queries, examples.passages)).sum(dim=1)
        terms = forward.double().log()
        if symmetric:
            back = 1 + (~_with_own(examples.masked.T, examples.passages, examples.queries)).sum(dim=1)
            terms = (terms + back.double().log()) / 2
        return float(terms @ weights)
    if kind == "margin_mse":
        return float(examples.margins.double() ** 2 @ weights)
    mean = float(examples.labels.double() @ weights)
    if kind == "cosine_mse":
        return float((examples.labels.double() - mean) ** 2 @ weights)
    return mean * (1 - mean) * CONTRASTIVE_MARGIN**2


def _with_own(masked: Tensor, rows: Tensor, right: Tensor) -> Tensor:
    """(examples, candidates): which candidates are no negatives of each example, its own among them."""
    return masked[rows].scatter(1, right[:, None], True)
