"""Listwise distillation: rank an answer and its mined candidates as a teacher does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..loss import Loss, LossTerms

if TYPE_CHECKING:
    from torch import Tensor

    from ..pairs import BatchPairs


def formula(q: Tensor, p: Tensor, pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """KL(teacher || student) over an example's own passage and those of its negatives that the teacher has scored.

    Both are softmaxes: of the teacher's scores / teacher_temperature, and of the cosines / temperature. Examples
    without a scored negative have weight 0.

    Source: Cao et al. 2007, "Learning to rank: from pairwise approach to listwise approach", section 4.2; with a
    teacher's scores: Qu et al. 2021, arXiv:2010.08191, and Ren et al. 2021, arXiv:2110.07367, section 3.2.
    """
    import torch

    from ..pairs import cosines

    if pairs.candidates is None:  # nothing is taught here, as on a sample without a teacher
        return cosines(q, p).sum() * 0
    there = pairs.candidates >= 0  # (examples, candidates)
    scores = cosines(q, p)[pairs.queries[:, None], pairs.candidates.clamp_min(0)] / terms.temperature
    student = torch.log_softmax(scores.masked_fill(~there, -torch.inf), dim=1)
    taught = _taught(pairs, terms).to(student)
    apart = taught * (taught.clamp_min(1e-12).log() - student.masked_fill(~there, 0.0))
    return pairs.mean(apart.sum(dim=1))


def trivial(pairs: BatchPairs, terms: LossTerms) -> float:
    """What equal cosines reach: the log of the number of candidates, less the entropy of the teacher's softmax."""
    if pairs.candidates is None:
        return 0.0
    taught = _taught(pairs, terms).double()
    entropy = -(taught * taught.clamp_min(1e-12).log()).sum(dim=1)
    guessing = (pairs.candidates >= 0).sum(dim=1).clamp_min(1).double().log()
    return float((guessing - entropy) @ pairs.share())


def _taught(pairs: BatchPairs, terms: LossTerms) -> Tensor:
    """(examples, candidates) float: the teacher's softmax; 0 where there is no candidate, or it has no score."""
    import torch

    assert pairs.candidates is not None and pairs.scores is not None
    there = pairs.candidates >= 0
    there = there | ~there.any(dim=1, keepdim=True)  # of an example without any, whose weight is 0: no nan
    return torch.softmax((pairs.scores / terms.teacher_temperature).masked_fill(~there, -torch.inf), dim=1)


LOSS = Loss("listwise", "teacher", formula, trivial)
