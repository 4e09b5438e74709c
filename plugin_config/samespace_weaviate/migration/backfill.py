"""Gives every object of a collection a second named vector, and leaves everything else of it alone.

No journal: what is done is what the collection shows, so whoever is stopped begins again and passes over what is there.
Each vector is patched in by itself. A batch would be faster, and would replace whole objects: it has to resend every
vector and every property, and overwrites what a client changed between reading and writing. A patch may be late with
the vector of an older text; so what was patched is read again by its ids, and what has changed is encoded again. A run
that was killed has left at most a page where that was not done: the next one begins with it.

Weaviate merges a patch into the object as it read it, so a client's edit in that very moment can leave the *other*
vectors as they were before the edit. That is seen, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np

from samespace.errors import MigrationBlocked
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import PAGE, StoredObject
from .copying.route import CopyPace
from .copying.transfer import text_of

ROUNDS: Final = 5
Make = Callable[[Sequence[StoredObject]], Float32]
"""Objects, with their vectors, to new vectors, shape (n, dims)."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What is filled.

    Attributes:
        collection: its name.
        vector: the named vector that objects get.
        text_property: what it is of.
        others: vectors of the same text by other encoders.
        needs: the vector that it is made of; "" where it is made of the text.
    """

    collection: str
    vector: str
    text_property: str
    others: tuple[str, ...] = ()
    needs: str = ""


def backfill(
    database: Database,
    plan: Filling,
    make: Make,
    pace: CopyPace,
) -> int:
    """Give each object without the vector that vector; how many got one.

    Objects without a text, or without the vector that is needed, are left out.

    Cold tenants are woken one at a time, and put to sleep again; a kill may leave one of them awake.

    Raises:
        MigrationBlocked: a tenant is offloaded; an object changes faster than it can be encoded; or clients edited some
            in the moment when they got their vector, and another vector of them is that of the text before.
    """
    name = plan.collection
    tenants = (
        database.tenant_states(name)
        if (schema_of(database, name).get("multiTenancyConfig") or {}).get("enabled")
        else {}
    )
    away = sorted(tenant for tenant, status in tenants.items() if status not in ("HOT", "COLD"))
    if away:
        raise MigrationBlocked(
            collection=name,
            reason=f"{len(away)} tenants are offloaded, the first {away[0]!r}",
            remedy="bring them back",
        )
    done, stale = 0, list[UUID]()
    for tenant in sorted(tenants) or [""]:
        cold = tenants.get(tenant) == "COLD"
        if cold:
            database.set_tenant_state(name, tenant, "HOT")
        work = _Tenant(database.of_tenant(tenant), plan, make, pace)
        work.fill()
        done, stale = done + work.done, stale + work.stale
        if cold:
            database.set_tenant_state(name, tenant, "COLD")
    if stale:
        raise MigrationBlocked(
            collection=name,
            reason=f"every object has its {plan.vector}, but clients edited {len(stale)} of them in the moment when "
            f"they got it, and {', '.join(plan.others)} of these is that of the text before; the first {stale[0]}",
            remedy=f"fix them with `samespace weaviate repair {name} --encoder ENCODER`, that other one",
        )
    return done


def schema_of(database: Database, name: str) -> dict[str, Any]:
    """The schema of a collection.

    Raises:
        MigrationBlocked: there is none.
    """
    found = database.schema(name)
    if found is None:
        raise MigrationBlocked(collection=name, reason="no such collection or alias", remedy="check the name")
    return found


class _Tenant:
    """The objects of one tenant, in the order of their ids."""

    def __init__(self, database: Database, plan: Filling, make: Make, pace: CopyPace) -> None:
        self.done = 0
        self.stale: list[UUID] = []
        self._database, self._plan, self._make, self._pace = database, plan, make, pace

    def fill(self) -> None:
        """Pass over all pages."""
        start, after, before, begun = self._pace.clock(), "", list[StoredObject](), False
        while page := self._database.page(self._plan.collection, after, PAGE, vectors=True):
            todo = [each for each in page if self._plan.vector not in each.vectors and self._may_have(each)]
            self.done += len(todo)
            if todo and not begun:  # where an earlier run was killed, if there was one
                todo = [each for each in (*before, *page) if self._may_have(each)]
                begun = True
            self._write(todo)
            before, after = page, str(page[-1].uuid)
            if self._pace.max_objects_per_s:
                self._pace.pause(max(0.0, self.done / self._pace.max_objects_per_s - (self._pace.clock() - start)))
        if not begun:
            self._write([each for each in before if self._may_have(each)])

    def _may_have(self, each: StoredObject) -> bool:
        needs = self._plan.needs
        return bool(text_of(each, self._plan.text_property)) and (not needs or needs in each.vectors)

    def _write(self, todo: Sequence[StoredObject]) -> None:
        for _ in range(ROUNDS):
            if not todo:
                return
            for record, row in zip(todo, np.asarray(self._make(todo)), strict=True):
                self._database.patch_vector(self._plan.collection, record.uuid, self._plan.vector, row)
            self._pace.progress(len(todo))
            todo = self._edited(todo)
        raise MigrationBlocked(
            collection=self._plan.collection,
            reason=f"object {todo[0].uuid} changes faster than it can be encoded",
            remedy="run the same command at a quieter time",
        )

    def _edited(self, records: Sequence[StoredObject]) -> list[StoredObject]:
        """Those whose text is another now, as they are now."""
        text, before = self._plan.text_property, {record.uuid: record for record in records}
        now = self._database.read(self._plan.collection, self._plan.vector, list(before), [text])
        changed = [each.uuid for each in now if text_of(each, text) != text_of(before[each.uuid], text)]
        found = (self._database.get(self._plan.collection, uuid, vectors=True) for uuid in changed)
        edited = [each for each in found if each is not None and self._may_have(each)]
        self.stale += [each.uuid for each in edited if each.same_vectors(before[each.uuid], self._plan.others)]
        return edited
