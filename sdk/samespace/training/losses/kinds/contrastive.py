"""The contrastive loss: labelled pairs of label 1 together, those of label 0 a margin apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs

MARGIN: Final = 0.5
"""Cosine distance from which two texts that do not belong together are far enough apart."""


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """label d^2 + (1 - label) max(0, margin - d)^2, with d = 1 - cosine.

    Source: Hadsell, Chopra and LeCun 2006, equation 4, without its factor 1/2.
    """
    from torch.nn.functional import relu

    from ..pairs import own_cosines

    distance = 1 - own_cosines(q, p, pairs)
    apart = relu(MARGIN - distance)
    return pairs.mean(pairs.labels * distance**2 + (1 - pairs.labels) * apart**2)


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """The best that one constant distance reaches."""
    mean = float(pairs.labels.double() @ pairs.share())
    return mean * (1 - mean) * MARGIN**2


LOSS = Loss("contrastive", "labels", formula, trivial)
