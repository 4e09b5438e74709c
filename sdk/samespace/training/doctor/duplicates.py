"""Near-duplicates within the set, and held-out texts that training would see.

What it leaves to others: `near_duplicates`, what leaked texts do to a score (`cost`), making splits
without leaks (`resplit`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...text import ROLES, Role
from ..data.near_duplicates import find_near
from .diagnosis import PLURAL, Check, DataFinding, Severity, Table, TextName, few, share
from .material import Material

MANY: Final = 0.01
"""Share of near-duplicates from which they are worth a warning."""
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
        rows.append((f"{role} texts", len(groups), len(members), extra, largest, crossing))
        numbers[role] = {
            "texts": len(groups), "groups": len(members), "superfluous": extra, "largest": largest, "crossing": crossing
        }  # fmt: skip
        if extra:
            plural = PLURAL[role]
            many = extra >= MANY * len(groups)
            advice = (
                "Look at some (--show-texts): where they say the same, keep one of each group, or let no batch hold "
                "two of one; where they differ in a name that matters, strip what is the same"
            )
            findings.append(
                DataFinding(
                    name=f"duplicate_{plural}",
                    severity="warning" if many and role == "passage" else "note",
                    says=f"{extra} of {len(groups)} {plural} ({share(extra, len(groups))}) are near-duplicates of "
                    f"another; the largest group has {largest}.",
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
    """Held-out queries, and passages of held-out pairs, that are near-duplicates of what is trained on.

    Near-duplicates are of one group, so only texts of groups that are on both sides are compared.
    """
    found = []
    for split in material.held_out:
        for role in ROLES:
            groups = material.groups(role)
            held, trained = (used_ids(material, each, role) for each in (split, material.train))
            both = {groups[name] for name in held} & {groups[name] for name in trained}
            asked, among = ([name for name in each if groups[name] in both] for each in (held, trained))
            texts = material.texts(role)
            rows = find_near([texts[name] for name in asked], [texts[name] for name in among])
            found += [
                LeakedText(split, TextName(role, name), TextName(role, among[row]))
                for name, row in zip(asked, rows, strict=True)
                if row >= 0
            ]
    return found


def leakage(material: Material, leaks: Iterable[LeakedText], allowed: str = "none") -> Check:
    """What of the held-out splits is trained on; an error unless *allowed* ("none", "passages", "all") lets it pass."""
    leaks = list(leaks)
    findings, rows, numbers = [], [], {}
    for split in material.held_out:
        for role in ROLES:
            plural = PLURAL[role]
            those = [leak for leak in leaks if leak.split == split and leak.held_out.role == role]
            total = len(used_ids(material, split, role))
            rows.append((split, plural, total, len(those), share(len(those), total)))
            numbers[f"{split}_{plural}"] = {"texts": total, "leaked": len(those)}
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
                    advice=f"Make splits that share nothing: --write-splits FOLDER, with --keep {split} to leave "
                    f"{split} as it is" + ("" if passes else f"; or allow it: --allow-leakage {needed}"),
                    examples=few([tuple(dict.fromkeys((leak.held_out, leak.trained))) for leak in those]),
                )
            )
    head = ("split", "texts", "number", f"near-duplicates in {material.train}", "share")
    return Check("leakage", "Leaks of held-out texts", tuple(findings), numbers, (Table(head, tuple(rows)),))
