"""Cosine-MSE: make the cosine of a labelled pair its label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """(cosine - label)^2; an encoder that says the mean label of everything reaches the labels' variance."""
    from ..pairs import own_cosines

    return pairs.mean((own_cosines(q, p, pairs) - pairs.labels) ** 2)


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """Variance of the labels."""
    labels, share = pairs.labels.double(), pairs.share()
    return float((labels - float(labels @ share)) ** 2 @ share)


LOSS = Loss("cosine_mse", "labels", formula, trivial)
