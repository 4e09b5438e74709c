"""InfoNCE: tell the right passage from all others of the batch. For retrieval, and the default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """-log( exp(s_qp / t) / sum_j exp(s_qj / t) ), s the cosine, the sum over all passages that are not masked.

    If symmetric, the mean of that and of the same over all queries for the example's passage.

    Args:
        q: (queries, dim), any length of rows.
        p: (passages, dim).

    Returns:
        The mean over the examples by their weights; ln(number of terms) for vectors that tell nothing apart.

    Source: van den Oord et al. 2018, arXiv:1807.03748, equation 4.
    """
    from ..pairs import cosines

    scores = cosines(q, p) / terms.temperature  # (queries, passages)
    loss = _one_way(scores[pairs.queries], pairs.masked[pairs.queries], pairs.passages)
    if terms.symmetric:
        back = _one_way(scores.T[pairs.passages], pairs.masked.T[pairs.passages], pairs.queries)
        loss = (loss + back) / 2
    return pairs.mean(loss)


def _one_way(scores: Tensor, masked: Tensor, right: Tensor) -> Tensor:
    """Cross entropy of each row of (examples, candidates), against the candidate *right*; (examples,)."""
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.zeros_like(masked).scatter_(1, right[:, None], True)
    return cross_entropy(scores.masked_fill(masked & ~own, -math.inf), right, reduction="none")


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """Mean ln(number of terms of the softmax)."""
    # An example's own passage always counts, also where another example has it masked.
    logs = (1 + (~_with_own(pairs.masked, pairs.queries, pairs.passages)).sum(dim=1)).double().log()
    if terms.symmetric:
        back = 1 + (~_with_own(pairs.masked.T, pairs.passages, pairs.queries)).sum(dim=1)
        logs = (logs + back.double().log()) / 2
    return float(logs @ pairs.share())


def _with_own(masked: Tensor, rows: Tensor, right: Tensor) -> Tensor:
    """(examples, candidates): which candidates are no negatives of each example, its own among them."""
    return masked[rows].scatter(1, right[:, None], True)


def lowest(negatives: float, temperature: float) -> float:
    """Right answers at cosine 1 and all negatives at cosine 0: about the best that training reaches."""
    return math.log1p(negatives * math.exp(-1 / temperature))


LOSS = Loss("infonce", "pairs", formula, trivial, lowest)
