"""Texts that say nothing, and sentences that stand in many texts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...evaluation.excerpts import clipped
from ...evaluation.words import canonical, has_words
from ...text import ROLES, Role
from ..data.prompted import common_beginnings
from .diagnosis import Check, DataFinding, Table, TextName, few, share
from .material import Material

_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")
SENTENCE_WORDS: Final = 6
"""Shorter sentences ("See below.") are no boilerplate."""
PREFIX_WORDS: Final = 8
_PROMPTED: Final = 0.9
_PLURAL: Final[Mapping[Role, str]] = {"query": "queries", "passage": "passages"}
MANY: Final = 0.05
"""Share of passages with one sentence in common from which it counts as boilerplate."""
FEWEST: Final = 10
"""So many passages at least."""
WORTH: Final = 0.01
"""Share of all sentences' characters below which common sentences do no harm."""


def on_reading(material: Material, train: str) -> Check:
    """What was met on reading: judgements of what is not there, columns that are not used."""
    notes = list(dict.fromkeys(material.data.notes))
    findings = [DataFinding("on_reading", "note", f"{note[0].upper()}{note[1:]}.") for note in notes]
    if train not in material.data.splits:
        findings.append(
            DataFinding(
                "no_training_split",
                "note",
                f"There is no split {train!r} to train on; what is said of training pairs is said of {material.train}.",
            )
        )
    return Check("reading", "Reading", tuple(findings), {"notes": len(notes)})


def empty_texts(material: Material) -> Check:
    """Texts without a letter, digit or meaningful sign, and examples that were left out for such a text."""
    findings = []
    without = [
        (TextName(role, name),) for role in ROLES for name, text in material.texts(role).items() if not has_words(text)
    ]
    judged = {name for split in material.data.splits.values() for name in (*split.query_ids, *split.passage_ids)}
    trained = [each for each in without if each[0].id in judged and material.text(each[0])]
    if trained:
        findings.append(
            DataFinding(
                "texts_without_words",
                "error",
                f"{len(trained)} texts of examples have no letter, no digit and no sign but punctuation.",
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


@dataclass(frozen=True, slots=True)
class _Repeated:
    """What many passages have in common.

    Attributes:
        passages: how many were looked at, one of each group of near-duplicates.
        chars: characters of all their sentences.
        least: passages from which something is common.
        sentences: common sentence -> ids of the passages that have it.
        beginnings: common beginning -> how many passages begin so.
        first_of: beginning -> id of the first passage that begins so.
    """

    passages: int
    chars: int
    least: float
    sentences: Mapping[str, list[str]]
    beginnings: Mapping[str, int]
    first_of: Mapping[str, str]

    @property
    def touched(self) -> int:
        """Passages with a common sentence."""
        return len({name for names in self.sentences.values() for name in names})

    @property
    def repeated(self) -> int:
        """Characters of common sentences, each as often as it occurs."""
        return sum(len(sentence) * len(names) for sentence, names in self.sentences.items())


def boilerplate(material: Material) -> Check:
    """Sentences and beginnings that many passages have in common.

    They make passages alike that are about different things, and fill the token limit.
    """
    found = _repeated(material)
    numbers: dict[str, Any] = {
        "sentences": len(found.sentences),
        "passages_with_them": found.touched,
        "share_of_characters": round(found.repeated / max(1, found.chars), 4),
        "beginnings": len(found.beginnings),
        "passages_beginning_so": sum(found.beginnings.values()),
    }
    rows: list[tuple[str, int, int, str]] = []
    for sentence, names in sorted(found.sentences.items(), key=lambda item: -len(item[1]))[:10]:
        rows.append(("sentence", len(names), sentence.count(" ") + 1, names[0]))
    for start, count in sorted(found.beginnings.items(), key=lambda item: -item[1])[:10]:
        rows.append(("beginning", count, PREFIX_WORDS, found.first_of[start]))
    head = ("what", "passages", "words", "first in")
    tables = (Table(head, tuple(rows)),) if rows else ()
    return Check("boilerplate", "Boilerplate", _repetitions(found), numbers, tables)


def _repeated(material: Material) -> _Repeated:
    bearers: dict[str, list[str]] = defaultdict(list)
    beginnings: Counter[str] = Counter()
    first_of: dict[str, str] = {}
    chars = 0
    firsts = {first: name for name, first in reversed(list(material.passage_groups.items()))}
    for name in firsts.values():  # one of each group of near-duplicates: these are told of elsewhere
        text = material.passages[name]
        for sentence in {
            each for each in map(canonical, _SENTENCE.split(text)) if each.count(" ") >= SENTENCE_WORDS - 1
        }:
            bearers[sentence].append(name)
            chars += len(sentence)
        words = canonical(text[:400]).split(" ", PREFIX_WORDS)
        if len(words) > PREFIX_WORDS:
            beginning = " ".join(words[:PREFIX_WORDS])
            beginnings[beginning] += 1
            first_of.setdefault(beginning, name)
    least = max(FEWEST, MANY * len(firsts))
    common = {sentence: names for sentence, names in bearers.items() if len(names) >= least}
    starts = {start: count for start, count in beginnings.items() if count >= least}
    return _Repeated(len(firsts), chars, least, common, starts, first_of)


def _repetitions(found: _Repeated) -> tuple[DataFinding, ...]:
    findings = []
    if found.sentences:
        much = found.repeated >= WORTH * found.chars
        findings.append(
            DataFinding(
                "boilerplate",
                "warning" if much else "note",
                f"{len(found.sentences)} sentences stand in {share(found.least, found.passages)} or more of the "
                f"passages each; {share(found.touched, found.passages)} of the passages have one of them, and they are "
                f"{share(found.repeated, found.chars)} of all sentences' characters.",
                "Strip them before training and before encoding: they make different passages alike" if much else "",
                few([tuple(TextName("passage", name) for name in names[:2]) for names in found.sentences.values()]),
            )
        )
    if found.beginnings:
        many = sum(found.beginnings.values())
        findings.append(
            DataFinding(
                "common_beginnings",
                "warning",
                f"{many} passages ({share(many, found.passages)}) begin with the same {PREFIX_WORDS} words as many "
                f"others: {len(found.beginnings)} such beginnings.",
                "Strip what is the same, or make it the passage prompt of the recipe",
                few([(TextName("passage", found.first_of[start]),) for start in found.beginnings]),
            )
        )
    return tuple(findings)


def prompts_in_texts(material: Material) -> Check:
    """Prompts that were written into texts: of one part alone, or of all."""
    findings: list[DataFinding] = []
    for role in ROLES:
        trained = _of_role(material, material.train, role)
        others = {split: _of_role(material, split, role) for split in material.held_out}
        if material.trains and (prompt := next(iter(common_beginnings(trained, _PROMPTED)), "")):
            bare = [split for split, texts in others.items() if texts and _begin(texts, prompt) <= 1 - _PROMPTED]
            findings.append(_prompted(role, prompt, f"training {_PLURAL[role]}", bare))
            continue
        for split, texts in others.items():
            prompt = next(iter(common_beginnings(texts, _PROMPTED)), "")
            if prompt and trained and _begin(trained, prompt) <= 1 - _PROMPTED:
                findings.append(_prompted(role, prompt, f"{_PLURAL[role]} of {split}", [material.train]))
                break
    return Check("prompts", "Prompts in texts", tuple(findings))


def _of_role(material: Material, split: str, role: Role) -> list[str]:
    part = material.data.splits[split]
    return list(dict.fromkeys(part.queries if role == "query" else part.passages))


def _begin(texts: Sequence[str], prompt: str) -> float:
    return sum(text.startswith(prompt) for text in texts) / len(texts)


def _prompted(role: Role, prompt: str, where: str, bare: Sequence[str]) -> DataFinding:
    advice = (
        f"Take it out of the texts, and give it as {role}_prompt: then it is put before every text, also when served"
    )
    said = f"{share(_PROMPTED, 1)} or more of the {where} begin with {clipped(prompt)}"
    if not bare:
        note = f"{said}, as held-out ones do. {advice}."
        return DataFinding("prompt_in_texts", "note", note[0].upper() + note[1:])
    lack = f"{said}, and those of {' and '.join(bare)} do not: what is trained is not what is scored."
    return DataFinding("prompt_in_texts", "warning", lack, advice)
