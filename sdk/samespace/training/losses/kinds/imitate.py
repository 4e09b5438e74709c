"""Imitation: give each text the vector that a guide has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs

_SCALE: Final = 10.0
"""Cosines to a guide differ in hundredths; a gradient this size is that of the other losses."""


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """10 (1 - cosine to the guide's vector), the mean over queries and that over passages; 0 without a guide.

    Source: Reimers and Gurevych 2020, arXiv:2004.09813, section 2, with cosines in place of squares.
    """
    from ..pairs import unit_rows

    if pairs.guide is None:
        return (q.sum() + p.sum()) * 0
    far = [1 - (unit_rows(made) * wanted).sum(dim=1).mean() for made, wanted in zip((q, p), pairs.guide, strict=True)]
    return _SCALE * (far[0] + far[1]) / 2


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """What one vector for all texts of a role reaches, the best there is: the guide's mean."""
    if pairs.guide is None:
        return 0.0
    means = [float(wanted.double().mean(dim=0).norm()) for wanted in pairs.guide]
    return _SCALE * (1 - sum(means) / 2)


LOSS = Loss("imitate", "pairs", formula, trivial)
