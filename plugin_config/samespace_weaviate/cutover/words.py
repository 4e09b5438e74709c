"""A comparison for people: sentences, JSON, and one page that opens offline. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from samespace.report.html import Kind, heading, note, page, paragraph, table
from samespace.report.pictures import histogram

from .compare import AskedQuery, CutoverAnswer, CutoverComparison
from .verdict import Decision

_SHOWN: Final = 3
_KINDS: Final[dict[Decision, Kind]] = {Decision.GO: "good", Decision.NO_GO: "bad", Decision.CANNOT_TELL: "plain"}


def verdict_line(found: CutoverComparison) -> str:
    """The decision first, then why."""
    why = found.verdict.why
    return f"{found.verdict.decision.value}: {why[:1].upper()}{why[1:]}."


def sentences(found: CutoverComparison) -> list[str]:
    """What else was seen."""
    lines = [
        f"{len(found.asked)} queries, asked of both in turns; {found.overlap:.0%} of the first 10 answers are in both.",
        f"A query takes {found.old_ms[0]:.1f} ms in {found.old} and {found.new_ms[0]:.1f} ms in {found.new} at the "
        f"median; 95 % are within {found.old_ms[1]:.1f} and {found.new_ms[1]:.1f} ms.",
        f"{found.old_objects:,} and {found.new_objects:,} objects. Vectors as float32: {_megabytes(found.old_bytes)} "
        f"and {_megabytes(found.new_bytes)}.",
    ]
    if found.tenant:
        lines.insert(0, f"All this is of tenant {found.tenant} alone; the others were not asked.")
    if found.left_out:
        lines.append(f"{found.left_out} live queries came faster than both answered, and were not asked.")
    if found.verdict.comparison is not None:
        compared = found.verdict.comparison
        lines.append(
            f"{compared.wins} queries gain, {compared.losses} lose, "
            f"{compared.queries - compared.wins - compared.losses} stay. It is a GO where the answers are the same, "
            f"where it is better (p < 0.05), or where the interval is above -{found.margin:g}, less what so few "
            "queries may have missed."
        )
    return lines


def comparison_page(found: CutoverComparison) -> str:
    """The comparison as one HTML document."""
    parts = [note(verdict_line(found), _KINDS[found.verdict.decision]), *map(paragraph, sentences(found))]
    judged = [each for each in found.asked if not math.isnan(each.change)]
    if judged:
        parts += [
            heading("Change of nDCG@10, query by query"),
            histogram({"queries": [each.change for each in judged]}, label="nDCG@10, new less old"),
        ]
        for title, chosen in (("What is lost", found.losses), ("What is won", found.wins)):
            if chosen:
                parts += [heading(title), *(part for each in chosen for part in _side_by_side(each))]
    else:
        least = sorted(found.asked, key=lambda each: each.overlap)[:_SHOWN]
        parts += [heading("Where the answers differ most"), *(part for each in least for part in _side_by_side(each))]
    return page(f"{found.old} or {found.new}?", *parts)


def to_json(found: CutoverComparison) -> dict[str, Any]:
    """The plain form; of each query its numbers, and no texts of answers."""
    compared = found.verdict.comparison
    return {
        "old": found.old,
        "new": found.new,
        "decision": found.verdict.decision.value,
        "why": found.verdict.why,
        "margin": found.margin,
        "comparison": None if compared is None else compared.to_json(),
        "overlap": found.overlap,
        "ms": {"old": list(found.old_ms), "new": list(found.new_ms)},
        "vector_bytes": {"old": found.old_bytes, "new": found.new_bytes},
        "objects": {"old": found.old_objects, "new": found.new_objects},
        "left_out": found.left_out,
        "tenant": found.tenant,
        "queries": [
            {
                "query": each.query,
                "old": None if math.isnan(each.old_score) else each.old_score,
                "new": None if math.isnan(each.new_score) else each.new_score,
                "overlap": each.overlap,
            }
            for each in found.asked
        ],
    }


def _side_by_side(each: AskedQuery) -> list[str]:
    rows = [
        [place + 1, _shown(each.old, place), _shown(each.new, place)]
        for place in range(min(_SHOWN, max(len(each.old), len(each.new))))
    ]
    score = "" if math.isnan(each.change) else f" (nDCG@10 {each.old_score:.2f} to {each.new_score:.2f})"
    return [paragraph(f"{each.query}{score}"), table(("rank", "old", "new"), rows)]


def _shown(answers: Sequence[CutoverAnswer], place: int) -> str:
    return f"{answers[place].document}: {answers[place].text}" if place < len(answers) else ""


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
