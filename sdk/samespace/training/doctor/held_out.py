"""Whether the held-out splits can show anything: they are asked what training is asked, and named if at fault.

What it leaves to others: leaks (`duplicates`), rows that repeat another one and shortcuts (`labels`), whether their
pairs belong together (`wrong_pairs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from ..data.examples import RELEVANT, Examples
from ..data.near_duplicates import canonical
from .diagnosis import Check, DataFinding, Severity, TextName, few, interval, share
from .material import Material
from .wrong_pairs import Share, excess

FEW: Final = 20
"""Different questions below which a difference has to be large to show."""
NOTHING: Final = 6
"""Different questions below which no difference shows."""
SAME: Final = 0.01
"""Share of pairs with one text on both sides that is worth a warning."""
MOST_OF_THEM: Final = 0.5
GARBLED: Final = 0.05
"""Lower bound of the difference between parts in how many texts are garbled, from which it is told."""
_SUSPECT: Final = re.compile("[\u00c2-\u00f4][\u0080-\u00ff\u0152-\u0178\u02c6\u02dc\u2013-\u203a\u20ac\u2122]{1,3}")
"""What UTF-8 looks like where it was read as Windows-1252."""


def held_out_splits(material: Material) -> Check:
    """What is wrong with single held-out splits, and texts that were garbled in one part alone."""
    findings = [
        finding
        for split in material.held_out
        for finding in (*_pairs(material, split), *_few_questions(material, split))
    ]
    findings += _garbled(material)
    numbers = {split: {"queries": _questions(material.data.splits[split])} for split in material.held_out}
    return Check("held_out", "Held-out splits", tuple(findings), numbers)


def one_text(part: Examples) -> list[int]:
    """Rows that belong together and have one text as query and passage."""
    return [
        row
        for row in range(len(part))
        if part.labels[row] >= RELEVANT and canonical(part.queries[row]) == canonical(part.passages[row])
    ]


def _questions(part: Examples) -> int:
    return len({canonical(query) for query in part.queries})


def _pairs(material: Material, split: str) -> Iterator[DataFinding]:
    part = material.data.splits[split]
    same, right = one_text(part), [row for row, label in enumerate(part.labels) if label >= RELEVANT]
    if same and len(same) >= SAME * len(right):
        severity: Severity = "error" if len(same) >= MOST_OF_THEM * len(right) else "warning"
        names = [(TextName("query", part.query_ids[row]), TextName("passage", part.passage_ids[row])) for row in same]
        yield DataFinding(
            "query_is_passage_held_out",
            severity,
            f"{len(same)} of {len(right)} pairs of {split} ({share(len(same), len(right))}) have one text as query and "
            "passage: any encoder finds it, so a score on them is too good.",
            f"Look at how queries and passages of {split} were joined, and take these pairs out",
            few(names),
        )
    asked = len({canonical(part.queries[row]) for row in right})
    if asked >= FEW and len({canonical(part.passages[row]) for row in right}) == 1:
        yield DataFinding(
            "one_passage_held_out",
            "error",
            f"one passage answers all {asked} queries of {split}: to find it is no merit, so a score says nothing.",
            f"Look at how queries and passages of {split} were joined",
            ((TextName("passage", part.passage_ids[right[0]]),),),
        )


def _few_questions(material: Material, split: str) -> Iterator[DataFinding]:
    asked = _questions(material.data.splits[split])
    if asked >= FEW:
        return
    lack = (
        f"fewer than {NOTHING} can show no difference between two encoders"
        if asked < NOTHING
        else f"with fewer than {FEW}, only large differences show; below {NOTHING} none does"
    )
    yield DataFinding(
        "few_held_out",
        "warning",
        f"{split} has {asked} different {'question' if asked == 1 else 'questions'}: {lack}.",
        f"Move more questions to {split}: a hundred or more tell small differences",
    )


def _garbled(material: Material) -> Iterator[DataFinding]:
    """Parts whose texts were read in another encoding than the others."""
    parts = {split: _texts(material.data.splits[split]) for split in (material.train, *material.held_out)}
    shares = {split: _share(list(map(is_garbled, texts))) for split, texts in parts.items() if len(texts) >= FEW}
    for split, mine in shares.items():
        others = [name for name, theirs in shares.items() if name != split and excess(mine, theirs) > GARBLED]
        if others:
            which = next(text for text in parts[split] if is_garbled(text))
            found = _SUSPECT.search(which)
            shown = "" if found is None else f" ({found.group()!r} for {repaired(found.group())!r})"
            yield DataFinding(
                "garbled_texts",
                "warning",
                f"{mine} of the texts of {split} have garbled letters{shown}, and those of {' and '.join(others)} do "
                "not: what is trained is not what is scored.",
                f"Read {split} again as UTF-8: it was read as Windows-1252",
            )


def _texts(part: Examples) -> list[str]:
    return list(dict.fromkeys((*part.queries, *part.passages)))


def _share(garbled: Sequence[bool]) -> Share:
    hits = sum(garbled)
    return Share(hits / len(garbled), *interval(hits, len(garbled)))


@lru_cache(maxsize=32_768)
def is_garbled(text: str) -> bool:
    """Whether *text* has letters that are the bytes of others."""
    return not text.isascii() and any(repaired(run) for run in _runs(text))


def _runs(text: str) -> Iterable[str]:
    return (found.group() for found in _SUSPECT.finditer(text))


def repaired(run: str) -> str:
    """What *run* would be if its letters were bytes; "" where it is as it should be."""
    for end in range(len(run), 1, -1):
        try:
            return run[:end].encode("cp1252").decode("utf-8")
        except UnicodeError:
            continue
    return ""
