"""Margin-MSE: learn a teacher's score margins between an answer and a negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """(student margin - teacher margin)^2, a margin being the score of the passage minus that of its rival.

    A teacher's scores are logits of any size, cosines are not: the student's scores are cosines / temperature.
    Examples without a rival have margin 0 on both sides, and weight 0.

    Source: Hofstatter et al. 2020, arXiv:2010.02666, section 3.
    """
    import torch

    from ..pairs import cosines

    scores = cosines(q, p) / terms.temperature
    rivals = torch.where(pairs.rivals >= 0, pairs.rivals, pairs.passages)
    student = scores[pairs.queries, pairs.passages] - scores[pairs.queries, rivals]
    return pairs.mean((student - pairs.margins) ** 2)


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """Mean square of the teacher's margins."""
    return float(pairs.margins.double() ** 2 @ pairs.share())


LOSS = Loss("margin_mse", "teacher", formula, trivial)
