"""Near-duplicates within the set, and held-out texts that training would see.

What it leaves to others: what a near-duplicate is and what leaks (`training.data`), what leaked texts do to a score
(`cost`), making splits without leaks (`resplit`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from shlex import quote
from typing import Any, Final

from ...text import ROLES, Role
from ..data.examples import Examples
from ..data.leakage import leakage_between
from ..data.near_duplicates import canonical
from .diagnosis import PLURAL, Check, DataFinding, Severity, Table, TextName, few, share
from .material import Material
from .resplit import keep_options

MANY: Final = 0.01
"""Share of near-duplicates from which they are worth a warning."""
CHOOSE: Final = ("dev", "val")
"""Beginnings of the names of splits that one chooses by."""
ALLOWED: Final[Mapping[str, tuple[Role, ...]]] = {"none": (), "passages": ("passage",), "all": ("passage", "query")}
"""What `allow_leakage` lets pass."""


@dataclass(frozen=True, slots=True)
class LeakedText:
    """A held-out text, by name, and the training text that it is a near-duplicate of."""

    split: str
    held_out: TextName
    trained: TextName


def near_duplicates(material: Material) -> Check:
    """How many queries and passages are said more than once, and how many training examples repeat another."""
    findings, rows = [], []
    numbers: dict[str, Any] = {}
    for role in ROLES:
        groups = material.groups(role)
        members = _members(groups)
        extra = sum(len(each) - 1 for each in members.values())
        largest = max((len(each) for each in members.values()), default=0)
        crossing = _crossing(material, role, members)
        texts = material.texts(role)
        copies = sum(len(each) - len({canonical(texts[name]) for name in each}) for each in members.values())
        rows.append((f"{role} texts", len(groups), len(members), extra, largest, crossing))
        numbers[role] = {
            "texts": len(groups), "groups": len(members), "superfluous": extra,
            "largest": largest, "crossing": crossing,
            "copies": copies,
        }  # fmt: skip
        if extra:
            plural = PLURAL[role]
            many = copies >= MANY * len(groups)
            advice = "Keep one of each: several copies of a passage push each other out of rankings and batches"
            findings.append(
                DataFinding(
                    name=f"duplicate_{plural}",
                    severity="warning" if many and role == "passage" else "note",
                    says=f"{extra} of {len(groups)} {plural} ({share(extra, len(groups))}) are near-duplicates of "
                    f"another, {copies} of them in nothing but case and punctuation; the largest group has {largest}.",
                    advice=advice if many and role == "passage" else "",
                    examples=few(
                        [
                            tuple(TextName(role, name) for name in each[:3])
                            for each in sorted(members.values(), key=len, reverse=True)
                        ]
                    ),
                )
            )
    head = (
        "texts",
        "number",
        "groups of near-duplicates",
        "superfluous",
        "largest group",
        "groups over several splits",
    )
    return Check("duplicates", "Near-duplicates", tuple(findings), numbers, (Table(head, tuple(rows)),))


def _members(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """First id -> ids, of groups of more than one."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, first in groups.items():
        members[first].append(name)
    return {first: each for first, each in members.items() if len(each) > 1}


def _crossing(material: Material, role: Role, members: Mapping[str, list[str]]) -> int:
    """Groups whose members are used by different splits."""
    used = {split: used_ids(material, split, role) for split in material.data.splits}
    return sum(sum(any(name in ids for name in each) for ids in used.values()) > 1 for each in members.values())


def used_ids(material: Material, split: str, role: Role) -> dict[str, None]:
    """Ids of the queries, or of the passages of pairs, of one split, in order."""
    examples = material.data.splits[split]
    return dict.fromkeys(examples.query_ids if role == "query" else examples.passage_ids)


def leaked_texts(material: Material) -> list[LeakedText]:
    """Held-out queries, and passages of held-out pairs, that training would give away."""
    return [leak for each in shared_texts(material).values() for leak in each.leaks]


@dataclass(frozen=True, slots=True)
class SharedTexts:
    """What a held-out split shares with the training split.

    Attributes:
        leaks: what gives it away.
        alike: role -> texts that are near-duplicates of a trained one, and other questions or other answers.
        examples: training examples that would have to be left out.
    """

    leaks: tuple[LeakedText, ...]
    alike: Mapping[Role, int]
    examples: int


def shared_texts(material: Material) -> dict[str, SharedTexts]:
    """Split -> what it shares."""
    found = {}
    for split in material.held_out:
        part, trained = material.data.splits[split], material.trained
        shared = leakage_between(trained, part, {role: material.groups(role) for role in ROLES})
        leaks = tuple(
            dict.fromkeys(
                LeakedText(split, _name(part, each.role, each.held_out), _name(trained, each.role, each.trained))
                for each in shared.leaks
            )
        )
        found[split] = SharedTexts(leaks, shared.alike, len(shared.trained_rows))
    return found


def _name(examples: Examples, role: Role, row: int) -> TextName:
    return TextName(role, (examples.query_ids if role == "query" else examples.passage_ids)[row])


def leakage(material: Material, shared: Mapping[str, SharedTexts], allowed: str = "none") -> Check:
    """What of the held-out splits is trained on; an error unless *allowed* ("none", "passages", "all") lets it pass."""
    leaks = [leak for each in shared.values() for leak in each.leaks]
    findings, rows, numbers = [], [], {}
    for split in material.held_out:
        for role in ROLES:
            plural = PLURAL[role]
            those = [leak for leak in leaks if leak.split == split and leak.held_out.role == role]
            total = len(used_ids(material, split, role))
            alike = shared[split].alike[role]
            rows.append((split, plural, total, len(those), share(len(those), total), alike))
            numbers[f"{split}_{plural}"] = {"texts": total, "leaked": len(those), "alike": alike}
            if alike:
                findings.append(_look_alikes(split, role, alike, total, material.train))
            if not those:
                continue
            passes = role in ALLOWED[allowed]
            severity: Severity = "warning" if passes else "error"
            needed = (
                "passages" if role == "passage" and not any(leak.held_out.role == "query" for leak in leaks) else "all"
            )
            findings.append(
                DataFinding(
                    name=f"leaked_{plural}",
                    severity=severity,
                    says=f"{len(those)} of {total} {plural} of {split} ({share(len(those), total)}) are also "
                    f"trained on in {material.train}"
                    + ("; leaks are allowed, or left out." if passes else ", so the scores would be inflated."),
                    advice=""
                    if passes
                    else f"Set drop_leaks = true in the training's configuration (train-head: --drop-leaks): it leaves "
                    f"{shared[split].examples} of {len(material.trained)} training examples out. Or make splits that "
                    f"share nothing: {_splitting(material)}; or allow it: "
                    f"allow_leakage = '{needed}'",
                    examples=few([tuple(dict.fromkeys((leak.held_out, leak.trained))) for leak in those]),
                )
            )
    findings += _shared_between(material)
    head = ("split", "texts", "number", f"leaked from {material.train}", "share", "alike, no leak")
    return Check("leakage", "Leaks of held-out texts", tuple(findings), numbers, (Table(head, tuple(rows)),))


def _splitting(material: Material) -> str:
    """The command for new splits; the held-out ones stay, for they may be published, and what is trained is moved."""
    sources = " ".join(quote(str(each)) for each in material.data.sources) or "DATA"
    return f"samespace doctor data {sources} --write-splits FOLDER {keep_options(material.held_out)}"


def _shared_between(material: Material) -> list[DataFinding]:
    """Pairs of the split that one chooses by that are in another held-out one, which is scored once."""
    findings = []
    for one, other in permutations(material.held_out, 2):
        if not one.startswith(CHOOSE) or other.startswith(CHOOSE):
            continue  # a part of a test split, such as its long texts, may well be a split too
        left, right = ({(canonical(query), canonical(passage)) for query, passage in zip(part.queries, part.passages,
                       strict=True)} for part in (material.data.splits[one], material.data.splits[other]))  # fmt: skip
        if both := len(left & right):
            says = (
                f"{both} of {len(right)} pairs of {other} ({share(both, len(right))}) are in {one} too: what is chosen "
                f"on {one} is chosen on {other}, so a score on it is too good."
            )
            advice = f"Take them out of {one}, or do not choose by it"
            findings.append(DataFinding("shared_held_out", "warning", says, advice))
    return findings


def _look_alikes(split: str, role: Role, alike: int, total: int, train: str) -> DataFinding:
    other = "ask something else and have other answers" if role == "query" else "differ in what is asked for"
    return DataFinding(
        f"alike_{PLURAL[role]}",
        "note",
        f"{alike} of {total} {PLURAL[role]} of {split} ({share(alike, total)}) are near-duplicates of some in {train}, "
        f"but {other}: no leaks.",
    )
