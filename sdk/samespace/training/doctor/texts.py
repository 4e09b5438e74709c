"""Texts that say nothing, and sentences that stand in many texts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any, Final

from ...text import ROLES
from ..data.near_duplicates import canonical
from .diagnosis import Check, DataFinding, Table, TextName, few, share
from .material import Material

_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")
SENTENCE_WORDS: Final = 6
"""Shorter sentences ("See below.") are no boilerplate."""
PREFIX_WORDS: Final = 8
MANY: Final = 0.05
"""Share of passages with one sentence in common from which it counts as boilerplate."""
FEWEST: Final = 10
"""So many passages at least."""


def empty_texts(material: Material) -> Check:
    """Texts without a letter or digit, and examples that were left out for such a text."""
    findings = []
    without = [
        (TextName(role, name),) for role in ROLES for name, text in material.texts(role).items() if not canonical(text)
    ]
    judged = {name for split in material.data.splits.values() for name in (*split.query_ids, *split.passage_ids)}
    trained = [each for each in without if each[0].id in judged and material.text(each[0])]
    if trained:
        findings.append(
            DataFinding(
                "texts_without_words",
                "error",
                f"{len(trained)} texts of examples have no letter and no digit.",
                "Remove these examples: a text without words teaches nothing and is the same for all",
                few(trained),
            )
        )
    unused = len(without) - len(trained)
    if unused:
        findings.append(
            DataFinding(
                "empty_passages",
                "note",
                f"{unused} passages of the corpus are empty or have no word; no example uses them.",
                examples=few([each for each in without if each not in trained]),
            )
        )
    places = material.data.empty
    if places:
        findings.append(
            DataFinding(
                "empty_examples",
                "warning",
                f"{len(places)} examples have an empty text and were left out: {', '.join(places[:5])}"
                + (", ..." if len(places) > 5 else "."),
                "Remove them, or fill in what is missing",
            )
        )
    numbers = {"without_words": len(without), "examples_left_out": len(places)}
    return Check("empty", "Empty texts", tuple(findings), numbers)


def boilerplate(material: Material) -> Check:
    """Sentences and beginnings that many passages have in common.

    They make passages alike that are about different things, and fill the token limit.
    """
    bearers: dict[str, list[str]] = defaultdict(list)
    beginnings: Counter[str] = Counter()
    first_of: dict[str, str] = {}
    chars: Counter[str] = Counter()
    firsts = {first: name for name, first in reversed(list(material.passage_groups.items()))}
    for name in firsts.values():  # one of each group of near-duplicates: these are told of elsewhere
        text = material.passages[name]
        for sentence in {
            each for each in map(canonical, _SENTENCE.split(text)) if each.count(" ") >= SENTENCE_WORDS - 1
        }:
            bearers[sentence].append(name)
            chars[name] += len(sentence)
        words = canonical(text[:400]).split(" ", PREFIX_WORDS)
        if len(words) > PREFIX_WORDS:
            beginning = " ".join(words[:PREFIX_WORDS])
            beginnings[beginning] += 1
            first_of.setdefault(beginning, name)
    least = max(FEWEST, MANY * len(firsts))
    common = {sentence: names for sentence, names in bearers.items() if len(names) >= least}
    starts = {start: count for start, count in beginnings.items() if count >= least}
    touched = {name for names in common.values() for name in names}
    repeated = sum(len(sentence) * len(names) for sentence, names in common.items())
    numbers: dict[str, Any] = {
        "sentences": len(common),
        "passages_with_them": len(touched),
        "share_of_characters": round(repeated / max(1, sum(chars.values())), 4),
        "beginnings": len(starts),
        "passages_beginning_so": sum(starts.values()),
    }
    findings, rows = [], []
    for sentence, names in sorted(common.items(), key=lambda item: -len(item[1]))[:10]:
        rows.append(("sentence", len(names), sentence.count(" ") + 1, names[0]))
    for start, count in sorted(starts.items(), key=lambda item: -item[1])[:10]:
        rows.append(("beginning", count, PREFIX_WORDS, first_of[start]))
    if common:
        findings.append(
            DataFinding(
                "boilerplate",
                "warning",
                f"{len(common)} sentences stand in {share(least, len(firsts))} or more of the passages each; "
                f"{share(len(touched), len(firsts))} of the passages have one of them, and they are "
                f"{share(repeated, sum(chars.values()))} of all sentences' characters.",
                "Strip them before training and before encoding: they make different passages alike",
                few([tuple(TextName("passage", name) for name in names[:2]) for names in common.values()]),
            )
        )
    if starts:
        findings.append(
            DataFinding(
                "common_beginnings",
                "warning",
                f"{sum(starts.values())} passages ({share(sum(starts.values()), len(firsts))}) begin with the same "
                f"{PREFIX_WORDS} words as many others: {len(starts)} such beginnings.",
                "Strip what is the same, or make it the passage prompt of the recipe",
                few([(TextName("passage", first_of[start]),) for start in starts]),
            )
        )
    head = ("what", "passages", "words", "first in")
    return Check("boilerplate", "Boilerplate", tuple(findings), numbers, (Table(head, tuple(rows)),) if rows else ())
