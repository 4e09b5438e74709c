"""What a decision about a collection with replicas asks first: whether they hold the same.

A list of objects is always what one replica has. Where another has more, a count, a copy or an audit of that list is
about a part of what is stored, and says nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from samespace.errors import ReplicasDiffer, ReplicasUnknown

from ..access.database import Database
from ..access.objects import spare
from ..access.values import Consistency
from .compare import ReplicaComparison
from .walk import Walk

AS_READ: Final[dict[Consistency, str]] = {
    "ONE": "as one replica has it",
    "QUORUM": "as a majority of the replicas have it",
    "ALL": "",
}
"""What a verdict adds about a collection with replicas, by the level of what it rests on."""


def factor(database: Database, name: str) -> int:
    """How many replicas an object has at most; 1 where there is no such collection."""
    return max(1, database.replicas(name))


def as_read(database: Database, name: str) -> str:
    """What a verdict about the collection adds: "" unless it rests on fewer than all replicas."""
    return AS_READ[database.levels.decide] if factor(database, name) > 1 else ""


def walk_of(database: Database, name: str, *, pause: Callable[[float], None] = time.sleep) -> Walk:
    """A walk through every node that there is, or through as many as the level of decisions needs.

    Raises:
        ReplicasUnknown: not enough addresses are known.
    """
    replicas, nodes = factor(database, name), database.each_node()
    there = max(len(database.node_names()), replicas)
    away = spare(replicas, database.levels.decide)
    if len(nodes) < there - away:
        raise ReplicasUnknown(collection=name, factor=replicas, nodes=there, known=len(nodes))
    return Walk(name, dict(nodes), max(0, away - max(0, there - len(nodes))), database.patience, pause)


def compare_replicas(
    database: Database,
    name: str,
    tenants: Iterable[str] | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> ReplicaComparison:
    """Compare all replicas of a collection, object by object; nothing is written.

    Args:
        tenants: only these, which have to be active; by default all that are, and [""] without tenants.
        pause: waits so many seconds.

    Raises:
        ReplicasUnknown: not enough addresses are known.
        WeaviateUnavailable: nodes do not answer.
    """
    chosen = active_tenants(database, name) if tenants is None else list(tenants)
    return walk_of(database, name, pause=pause).run(chosen)


def require_alike(
    database: Database,
    name: str,
    tenants: Iterable[str] | None = None,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> ReplicaComparison | None:
    """Return if replicas hold the same; None where nothing was compared: one replica, or the level is ONE.

    Raises:
        ReplicasDiffer: they do not.
        ReplicasUnknown, WeaviateUnavailable: it cannot be told.
    """
    if database.levels.decide == "ONE" or factor(database, name) <= 1:
        return None
    found = compare_replicas(database, name, tenants, pause=pause)
    if not found.alike:
        raise ReplicasDiffer(
            collection=name,
            found=found.sentence(),
            nodes=tuple(node for node in found.nodes if found.lacking[node] or found.older[node]),
            ids=tuple(map(str, found.first)),
        )
    return found


def active_tenants(database: Database, name: str) -> list[str]:
    """The tenants that can be read; [""] for a collection without tenants."""
    there = database.tenants(name)
    return sorted(tenant for tenant, active in there.items() if active) if there or _by_tenant(database, name) else [""]


def _by_tenant(database: Database, name: str) -> bool:
    return bool(((database.schema(name) or {}).get("multiTenancyConfig") or {}).get("enabled"))
