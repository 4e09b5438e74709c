"""Splits that share nothing: whatever is connected goes to one of them whole.

Two examples are connected when they share a query or a passage, near-duplicates of one, or a question's content words.
A split may be kept as it is, such as a published test split; then what is connected to it is left out instead of moved.

What it leaves to others: files (`data.written_splits`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import Final

from ...errors import DataInvalid
from ..data.content import question_key
from ..data.examples import Examples, join
from ..data.leakage import linked_rows
from ..data.near_duplicates import canonical, connected
from ..data.written_splits import Resplit
from .material import Material

SHARES: Final[Mapping[str, float]] = {"train": 0.8, "dev": 0.1, "test": 0.1}
"""How the examples are spread, unless asked otherwise."""


def resplit(material: Material, shares: Mapping[str, float] = SHARES, keep: Sequence[str] = ()) -> Resplit:
    """Spread all examples anew, by whole components, the largest first.

    Args:
        shares: split -> share of the examples that are not kept; they are scaled to 1.
        keep: splits that stay as they are; what is connected to them is left out of all others.

    Raises:
        DataInvalid: a kept split is not there, a split would be empty, or pairs have labels in some splits alone.
    """
    data = material.data
    for split in keep:
        if split not in data.splits:
            raise DataInvalid(path=data.name, reason=f"has no split {split!r} to keep; it has {', '.join(data.splits)}")
    if len({part.labelled for part in data.splits.values()}) > 1:
        kinds = ", ".join(f"{name} has {'labels' if part.labelled else 'none'}" for name, part in data.splits.items())
        raise DataInvalid(path=data.name, reason=f"labelled pairs and pairs cannot be divided together: {kinds}")
    everything = join(list(data.splits.values()))
    origin = [split for split, part in data.splits.items() for _ in range(len(part))]
    members: dict[int, list[int]] = defaultdict(list)
    for row, first in enumerate(_components(material, everything)):
        members[first].append(row)
    chosen: dict[str, list[int]] = {name: [] for name in (*shares, *keep)}
    left_out = 0
    free: list[list[int]] = []
    for rows in members.values():
        kept = [row for row in rows if origin[row] in keep]
        for row in kept:
            chosen[origin[row]].append(row)
        if kept:
            left_out += len(rows) - len(kept)
        else:
            free.append(rows)
    _spread(free, {name: share for name, share in shares.items() if name not in keep}, chosen, everything)
    for name, rows in chosen.items():
        if not rows:
            raise DataInvalid(
                path=data.name,
                reason=f"split {name!r} would be empty: {len(everything)} examples fall into {len(members)} connected "
                f"parts, the largest with {max(map(len, members.values()))}; ask for fewer splits",
            )
    return Resplit(
        {name: everything.rows(sorted(rows)) for name, rows in chosen.items()},
        left_out,
        len(members),
        max(len(rows) for rows in members.values()),
        tuple(keep),
    )


def _components(material: Material, examples: Examples) -> list[int]:
    """For each example the first one that it is connected with, over texts that are shared, alike or inside others.

    Given negatives do not connect: what does not answer a query says nothing about it.
    """
    first: dict[tuple[str, str], int] = {}
    links = list(linked_rows(examples))
    for row in range(len(examples)):
        keys = [
            ("query", material.query_groups[examples.query_ids[row]]),
            ("passage", material.passage_groups[examples.passage_ids[row]]),
            ("text", canonical(examples.queries[row])),  # a question may be what another one is paired with
            ("text", canonical(examples.passages[row])),
        ]
        if asked := question_key(examples.queries[row]):
            keys.append(("content", asked))
        for key in keys:
            links.append((row, first.setdefault(key, row)))
    return connected(len(examples), links)


def _spread(
    parts: Sequence[list[int]], shares: Mapping[str, float], chosen: Mapping[str, list[int]], examples: Examples
) -> None:
    """Each part, the largest first, to the split that lacks most; equal sizes in the order of a hash."""
    whole = sum(shares.values())
    total = sum(len(rows) for rows in parts)
    wanted = {name: total * share / whole for name, share in shares.items()}

    def order(rows: list[int]) -> tuple[int, bytes]:
        return -len(rows), hashlib.sha256(examples.queries[rows[0]].encode("utf-8", "surrogatepass")).digest()

    for rows in sorted(parts, key=order):
        name = max(wanted, key=lambda split: wanted[split] - len(chosen[split]))
        chosen[name].extend(rows)


def keep_options(splits: Iterable[str]) -> str:
    """How the command is told to keep *splits*."""
    return " ".join(f"--keep {quote(split)}" for split in splits)
