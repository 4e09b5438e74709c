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
from samespace.evaluation.words import canonical

FEWEST: Final = 20
"""Judged queries below which nothing is decided: the interval of fewer is no interval."""
MARGIN: Final = 0.01
"""Of nDCG@10: by how much the new one may be worse."""
CROWD: Final = 30
"""Objects up to which the first ten are the same too easily."""
SAME_ORDER: Final = 0.98
"""Mean average overlap from which on two orders are the same: neighbours that are nearly as near may change places."""

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


def decide(
    old: Float64, new: Float64, *, margin: float = MARGIN, texts: Sequence[str] | None = None, same: bool = False
) -> CutoverVerdict:
    """Judge by nDCG@10 of the same judged queries, (queries,) each, in one order.

    A text that is asked under several ids is one query. Queries for which neither finds a judged passage say nothing
    about which is better, and are not counted: their ids may be wrong, or their passages missing from both.

    A bootstrap sees no loss whose like was not met: twenty ties leave it no width, and an encoder that loses one query
    of twenty whole meets none in a third of all draws. So of what is not better, `_unmet` is taken off.

    Args:
        same: whether both gave the same answers in the same order, which equal scores are not.
    """
    asked, tells = len(old), (old > 0) | (new > 0)
    old, new = old[tells], new[tells]
    asked_for = None if texts is None else [text for text, tell in zip(texts, tells, strict=True) if tell]
    count = len(old) if asked_for is None else len(set(map(canonical, asked_for)))
    counted = f"{count} judged queries"
    if count < len(old):
        counted += f" (under {len(old)} ids)"
    if len(old) < asked:
        counted += f" ({asked - len(old)} more do not count: neither finds a judged passage)"
    if not len(old) and asked >= FEWEST:
        return CutoverVerdict(
            Decision.CANNOT_TELL,
            "neither collection finds a judged passage: do the ids of the judgements and of the collections agree?",
        )
    if not (old > 0).any():
        return CutoverVerdict(
            Decision.CANNOT_TELL,
            f"the old collection finds a judged passage for none of {counted}, and the new one does: do the ids of the "
            "judgements and of the old collection agree?",
        )
    if count < FEWEST:
        return CutoverVerdict(
            Decision.CANNOT_TELL, f"{counted} are too few; {FEWEST} are needed at least, 100 are better"
        )
    found = paired_bootstrap(new, old, texts=asked_for)
    return _decided(found, float(old.mean()), float(new.mean()), counted, margin, same)


def _decided(found: Comparison, old: float, new: float, counted: str, margin: float, same: bool) -> CutoverVerdict:
    """What a comparison says; *old* and *new* are mean nDCG@10, *counted* says of how many queries."""
    change = f"nDCG@10 {old:.4f} to {new:.4f} (95 % interval {found.low:+.4f} to {found.high:+.4f}), {counted}"
    if same:
        alike = f"both give the same answers in the same order{_other_kinds(found.queries)}"
        return CutoverVerdict(Decision.GO, f"{alike}: {change}", found)
    unmet = _unmet(found.queries)
    if found.better or found.low - unmet * (found.low + old) >= -margin:
        return CutoverVerdict(Decision.GO, f"the new one is {_within(found, margin)}: {change}", found)
    if found.high < 0:
        return CutoverVerdict(Decision.NO_GO, f"the new one is worse: {change}", found)
    if found.low >= -margin:
        needed, why = _queries_until(found, old, margin), f"these queries show no loss above {margin:g}, and up to "
        why += f"{unmet:.0%} of others may still be lost"
    else:
        needed, why = _queries_needed(found, margin), f"the interval reaches below -{margin:g} and above 0"
    more = f"; some {needed:,} judged queries would tell" if needed else ""
    return CutoverVerdict(Decision.CANNOT_TELL, f"{why}: {change}{more}", found)


def _within(found: Comparison, margin: float) -> str:
    """What an interval above the margin shows; "not worse" is said of none that reaches below 0."""
    if found.better:
        return "better"
    if found.low >= 0:
        return "not worse"
    doubt = "" if found.high < 0 else ", if at all,"
    return f"worse{doubt} by no more than the margin of {margin:g}"


def decide_unjudged(overlaps: Sequence[float], orders: Sequence[float], objects: int) -> CutoverVerdict:
    """Judge by the answers that both give; it says how much changes, not whether for good.

    Args:
        overlaps: of each query that either answered, the share of answers that both give.
        orders: of the same queries, `average_overlap`.
        objects: in the smaller collection.
    """
    count = len(overlaps)
    if count < FEWEST:
        return CutoverVerdict(
            Decision.CANNOT_TELL, f"{count} queries with an answer are too few; {FEWEST} are needed at least"
        )
    judge = f"{FEWEST} judged queries at least (--judged) would tell"
    if objects <= CROWD:
        return CutoverVerdict(
            Decision.CANNOT_TELL, f"of {objects} objects any two encoders give nearly the same ten; {judge}"
        )
    mean, order = float(np.mean(overlaps)), float(np.mean(orders))
    if min(overlaps) >= 1.0:
        same = f"both give the same answers to all of {count} queries"
        if order >= SAME_ORDER:
            alike = f"{same}, in the same order (average overlap {order:.3f})"
            return CutoverVerdict(Decision.GO, f"{alike}{_other_kinds(count)}")
        return CutoverVerdict(Decision.CANNOT_TELL, f"{same}, in another order (average overlap {order:.3f}); {judge}")
    return CutoverVerdict(
        Decision.CANNOT_TELL,
        f"{mean:.0%} of the answers to {count} queries are the same, and nobody has judged the others; {judge}",
    )


def average_overlap(old: Sequence[str], new: Sequence[str]) -> float:
    """How alike two rankings are, 0 to 1: the mean, over each depth, of the share of answers that both have so far.

    Source: Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28 (2010), section 3.
    """
    depth = max(len(old), len(new))
    shares = [len(set(old[:place]) & set(new[:place])) / place for place in range(1, depth + 1)]
    return sum(shares) / depth if depth else 0.0


def _unmet(queries: int) -> float:
    """The largest share of a kind of query of which none was met, with 97.5 % confidence.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits", for no event in *queries*.
    """
    return float(1 - 0.025 ** (1 / queries))


def _other_kinds(queries: int) -> str:
    """What equal answers to so many queries leave open."""
    return f"; of queries unlike these, up to {_unmet(queries):.0%} may differ"


def _queries_until(found: Comparison, old: float, margin: float) -> int:
    """How many queries like these leave room for no loss above *margin*; 0 where no number would."""
    share = (margin + found.low) / (found.low + old) if found.low + old > 0 else 0.0
    return math.ceil(math.log(0.025) / math.log1p(-share)) if 0 < share < 1 else 0


def _queries_needed(found: Comparison, margin: float) -> int:
    """How many queries like these would settle it, if the mean stays; 0 where no number would."""
    half = (found.high - found.low) / 2
    room = max(found.mean + margin, -found.mean)
    return math.ceil(found.queries * (half / room) ** 2 * 1.2) if room > 1e-6 else 0
