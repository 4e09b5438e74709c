"""GO, NO-GO or CANNOT TELL: whether a new collection answers at least as well as an old one. Pure.

GO says that the new one is not worse by more than a margin that was named beforehand: the whole confidence interval of
the mean difference lies above it. "No significant difference" is no GO, because few queries never show one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from samespace.evaluation.significance import Comparison, paired_bootstrap

FEWEST: Final = 20
"""Judged queries below which nothing is decided: the interval of fewer is no interval."""
MARGIN: Final = 0.01
"""Of nDCG@10: by how much the new one may be worse."""

Float64 = npt.NDArray[np.float64]


class Decision(Enum):
    """Whether to switch."""

    GO = "GO"
    NO_GO = "NO-GO"
    CANNOT_TELL = "CANNOT TELL"


@dataclass(frozen=True, slots=True)
class CutoverVerdict:
    """A decision, and what it rests on.

    Attributes:
        why: one sentence.
        comparison: new against old, nDCG@10; None without judged queries.
    """

    decision: Decision
    why: str
    comparison: Comparison | None = None


def decide(old: Float64, new: Float64, *, margin: float = MARGIN) -> CutoverVerdict:
    """Judge by nDCG@10 of the same judged queries, (queries,) each, in one order."""
    if len(old) < FEWEST:
        return CutoverVerdict(
            Decision.CANNOT_TELL, f"{len(old)} judged queries are too few; {FEWEST} are needed at least, 100 are better"
        )
    if not old.any() and not new.any():
        return CutoverVerdict(
            Decision.CANNOT_TELL,
            "neither collection finds a judged passage: do the ids of the judgements and of the collections agree?",
        )
    found = paired_bootstrap(new, old)
    change = f"nDCG@10 {old.mean():.4f} to {new.mean():.4f} (95 % interval {found.low:+.4f} to {found.high:+.4f})"
    if found.low >= -margin:
        better = "better" if found.better else "not worse"
        return CutoverVerdict(Decision.GO, f"the new one is {better}: {change}, {len(old)} judged queries", found)
    if found.high < 0:
        return CutoverVerdict(Decision.NO_GO, f"the new one is worse: {change}, {len(old)} judged queries", found)
    needed = _queries_needed(found, margin)
    more = f"; some {needed:,} judged queries would tell" if needed else ""
    return CutoverVerdict(
        Decision.CANNOT_TELL, f"the interval reaches below -{margin:g} and above 0: {change}{more}", found
    )


def decide_unjudged(overlaps: Sequence[float]) -> CutoverVerdict:
    """Judge by the share of answers that both give, for each query; it says how much changes, not whether for good."""
    if len(overlaps) < FEWEST:
        return CutoverVerdict(
            Decision.CANNOT_TELL, f"{len(overlaps)} queries are too few; {FEWEST} are needed at least"
        )
    mean = float(np.mean(overlaps))
    if min(overlaps) >= 1.0:
        return CutoverVerdict(Decision.GO, f"both give the same answers to all of {len(overlaps)} queries")
    return CutoverVerdict(
        Decision.CANNOT_TELL,
        f"{mean:.0%} of the answers to {len(overlaps)} queries are the same, and nobody has judged the others; "
        f"{FEWEST} judged queries at least (--judged) would tell",
    )


def _queries_needed(found: Comparison, margin: float) -> int:
    """How many queries like these would settle it, if the mean stays; 0 where no number would."""
    half = (found.high - found.low) / 2
    room = max(found.mean + margin, -found.mean)
    return math.ceil(found.queries * (half / room) ** 2 * 1.2) if room > 1e-6 else 0
