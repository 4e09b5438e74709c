"""Brings the replicas of a collection together, and proves it by comparing them again.

A read at level ALL makes Weaviate give the newest copy to the replicas that lack it or have an old one. A deletion that
one replica knows and another does not is settled by nobody but the collection's own deletion strategy; here it wins
where most replicas do not have the object, and else the object is named and left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from samespace.errors import ReplicasDiffer, RequestInvalid

from ..access.database import Database
from .alike import active_tenants, walk_of
from .compare import ReplicaComparison, ReplicaDifference

_READERS: Final = 8
_BATCH: Final = 256


@dataclass(slots=True)
class Reconciled:
    """What was done.

    Attributes:
        before: the replicas as they were found.
        brought: objects that were read at ALL, by which replicas get the newest copy.
        deleted: objects that most replicas had not, and one knew to be deleted.
        left: the first of those that still differ: a deletion that most replicas do not know.
        after: the replicas compared again; None where nothing was to be done, or was not to be (`dry_run`).
    """

    before: ReplicaComparison
    brought: int = 0
    deleted: int = 0
    left: list[ReplicaDifference] = field(default_factory=list)
    after: ReplicaComparison | None = None

    @property
    def alike(self) -> bool:
        """Whether all replicas hold the same now."""
        return (self.after or self.before).alike

    def sentences(self) -> list[str]:
        """For people."""
        lines = [f"Replicas: {self.before.sentence()}."]
        if self.after is not None:
            lines.append(f"{self.brought} objects brought together; {self.deleted} deletions made known to all.")
            lines.append(f"Compared again: {self.after.sentence()}.")
        for each in self.left:
            lines.append(
                f"{each.uuid} was deleted on {', '.join(each.lacking) or 'a replica'} and is on the other nodes: "
                "delete it, or write it again, whichever was meant."
            )
        return lines


def reconcile(
    database: Database,
    name: str,
    tenants: Sequence[str] | None = None,
    *,
    dry_run: bool = False,
    pause: Callable[[float], None] = time.sleep,
    progress: Callable[[int], None] = lambda objects: None,
) -> Reconciled:
    """Bring all replicas together by reads at ALL, then compare them again.

    Objects that are the same everywhere are not touched. Doing it again changes nothing. It always wants every node,
    whatever the connection's level.

    Args:
        tenants: only these, which have to be active; by default all that are.
        dry_run: compare only.
        pause: waits so many seconds.
        progress: gets each number of objects that were seen to.

    Raises:
        RequestInvalid: the connection decides at another level than ALL.
        ReplicasUnknown: not every node's address is known.
        WeaviateUnavailable: one of them does not answer.
    """
    if database.levels.decide != "ALL":
        raise RequestInvalid(field="consistency", reason=f"{database.levels.decide}; replicas are reconciled at ALL")
    chosen = active_tenants(database, name) if tenants is None else list(tenants)
    walk = walk_of(database, name, pause=pause)
    done = Reconciled(walk.found)
    waiting: list[ReplicaDifference] = []
    for one in walk.differences(chosen):
        waiting.append(one)
        if len(waiting) >= _BATCH and not dry_run:
            _settle(database, name, waiting, done, progress)
            waiting = []
    if dry_run or done.before.alike:
        return done
    _settle(database, name, waiting, done, progress)
    again = walk_of(database, name, pause=pause)
    for one in again.differences(chosen):
        if one.lacking_on_most and _is_deleted(database, name, one):
            database.of_tenant(one.tenant).delete(name, [one.uuid], consistency="ALL")
            done.deleted += 1
        elif len(done.left) < 100:
            done.left.append(one)
    done.after = again.found
    if done.deleted:
        done.after = walk_of(database, name, pause=pause).run(chosen)
    return done


def _settle(
    database: Database, name: str, found: Sequence[ReplicaDifference], done: Reconciled, progress: Callable[[int], None]
) -> None:
    """Read each at ALL; replicas that lack it, or have an old one, get the newest."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="samespace-reconcile") as pool:
        done.brought += sum(pool.map(lambda one: not _is_deleted(database, name, one), found))
    progress(len(found))


def _is_deleted(database: Database, name: str, one: ReplicaDifference) -> bool:
    """Whether a replica knows that the object was deleted."""
    try:
        return database.of_tenant(one.tenant).get(name, one.uuid, vectors=True, consistency="ALL") is None
    except ReplicasDiffer:
        return True
