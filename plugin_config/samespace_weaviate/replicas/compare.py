"""What differs between replicas, and the sum of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from ..access.aligned import AlignedRow

SHOWN: Final = 10
"""Ids that are kept of a comparison; the counts are of all."""


@dataclass(frozen=True, slots=True)
class ReplicaDifference:
    """An object that not all nodes have, or not all the same.

    Attributes:
        uuid, tenant: of the object.
        lacking: addresses of the nodes that do not have it: never got it, or deleted it.
        older: addresses of those with a copy that is not the newest; where copies of one time differ, of all.
        newest_ms: when the newest copy was written.
        nodes: how many were asked.
    """

    uuid: UUID
    tenant: str
    lacking: tuple[str, ...]
    older: tuple[str, ...]
    newest_ms: int
    nodes: int

    @property
    def lacking_on_most(self) -> bool:
        """Whether more than half of the nodes do not have it."""
        return 2 * len(self.lacking) > self.nodes


def difference(row: AlignedRow, nodes: Sequence[str], tenant: str = "") -> ReplicaDifference | None:
    """What differs in one row; None where all copies are the same.

    Args:
        row: with a copy for each of *nodes*.
        nodes: addresses.
        tenant: whose object it is.
    """
    if row.alike:
        return None
    copies = dict(zip(nodes, row.copies, strict=True))
    lacking = tuple(node for node, copy in copies.items() if copy is None)
    there = {node: copy for node, copy in copies.items() if copy is not None}
    older = tuple(node for node, copy in there.items() if copy.updated_ms < row.newest_ms)
    newest = [(node, copy) for node, copy in there.items() if copy.updated_ms == row.newest_ms]
    if not all(copy.same_content(newest[0][1]) for _, copy in newest):
        older += tuple(node for node, _ in newest)
    return ReplicaDifference(row.uuid, tenant, lacking, older, row.newest_ms, len(nodes))


def same_state(one: AlignedRow, other: AlignedRow) -> bool:
    """Whether an object stands on all nodes as it did before: then no write is on its way."""
    return [each and each.updated_ms for each in one.copies] == [each and each.updated_ms for each in other.copies]


@dataclass(slots=True)
class ReplicaComparison:
    """The replicas of one collection, compared.

    Attributes:
        collection: its name.
        nodes: addresses of those that answered.
        objects: ids that any of them has.
        differing: how many of those are not the same on all.
        lacking, older: objects by the node that lacks them, or has an old copy.
        tenants: differing objects by tenant.
        first: ids of the first that differ.
    """

    collection: str
    nodes: tuple[str, ...]
    objects: int = 0
    differing: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    older: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    first: list[UUID] = field(default_factory=list)

    @property
    def alike(self) -> bool:
        """Whether all replicas hold the same."""
        return not self.differing

    def add(self, found: ReplicaDifference) -> None:
        """Count one that differs."""
        self.differing += 1
        self.lacking.update(found.lacking)
        self.older.update(found.older)
        self.tenants[found.tenant] += 1
        if len(self.first) < SHOWN:
            self.first.append(found.uuid)

    def sentence(self) -> str:
        """Which node differs in how many objects, and the first ids."""
        if self.alike:
            return f"{self.objects} objects, the same on all {len(self.nodes)} nodes"
        parts = []
        for node in self.nodes:
            told = [
                f"{words} {count}"
                for words, count in (("lacks", self.lacking[node]), ("has old copies of", self.older[node]))
                if count
            ]
            if told:
                parts.append(f"{node} {' and '.join(told)}")
        of = sorted(tenant for tenant in self.tenants if tenant)
        whose = f", of the tenants {', '.join(of[:3])}{' and others' if len(of) > 3 else ''}" if of else ""
        ids = ", ".join(map(str, self.first[:3])) + (", ..." if self.differing > 3 else "")
        counted = f"{self.differing} of {self.objects} objects are not the same on all nodes{whose}"
        return f"{counted}: {'; '.join(parts)} ({ids})"

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "collection": self.collection,
            "nodes": list(self.nodes),
            "objects": self.objects,
            "differing": self.differing,
            "lacking": dict(self.lacking),
            "older": dict(self.older),
            "tenants": {tenant: count for tenant, count in self.tenants.items() if tenant},
            "first": [str(uuid) for uuid in self.first],
        }
