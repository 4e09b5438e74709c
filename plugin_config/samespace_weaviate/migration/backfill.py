"""Gives every object of a collection a second named vector, and leaves everything else of it alone.

No journal: what is done is what the collection shows, so whoever is stopped begins again and passes over what is there.
Each vector is patched in by itself. A batch would be faster, and would replace whole objects: it has to resend every
vector and every property, and overwrites what a client changed between reading and writing. A patch can only be late
with the vector of an older text; so each page is read again after it was patched, and what has changed is encoded
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from samespace.errors import MigrationBlocked
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import PAGE, StoredObject
from .transfer import CopyPace, text_of

ROUNDS: Final = 5
Make = Callable[[Sequence[StoredObject]], Float32]
"""Objects, with their vectors, to new vectors, shape (n, dims)."""


def backfill(
    database: Database, name: str, vector: str, text_property: str, make: Make, pace: CopyPace, *, needs: str = ""
) -> int:
    """Give each object without *vector* that vector; how many got one.

    Objects without a text, or without the vector *needs*, are left out.

    Cold tenants are woken one at a time, and put to sleep again; a kill may leave one of them awake.

    Raises:
        MigrationBlocked: a tenant is offloaded.
    """
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
    done = 0
    for tenant in sorted(tenants) or [""]:
        cold = tenants.get(tenant) == "COLD"
        if cold:
            database.set_tenant_state(name, tenant, "HOT")
        done += _one(database.of_tenant(tenant), name, vector, text_property, make, pace, needs)
        if cold:
            database.set_tenant_state(name, tenant, "COLD")
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


def _one(database: Database, name: str, vector: str, text_property: str, make: Make, pace: CopyPace, needs: str) -> int:
    start, done, after = pace.clock(), 0, ""
    while page := database.page(name, after, PAGE, vectors=True):
        todo = [
            each
            for each in page
            if vector not in each.vectors and text_of(each, text_property) and (not needs or needs in each.vectors)
        ]
        for _ in range(ROUNDS):
            if not todo:
                break
            for record, row in zip(todo, np.asarray(make(todo)), strict=True):
                database.patch_vector(name, record.uuid, vector, row)
            done += len(todo)
            pace.progress(len(todo))
            texts = {record.uuid: text_of(record, text_property) for record in todo}
            again = database.page(name, after, PAGE, vectors=True)
            todo = [each for each in again if each.uuid in texts and texts[each.uuid] != text_of(each, text_property)]
        after = str(page[-1].uuid)
        if pace.max_objects_per_s:
            pace.pause(max(0.0, done / pace.max_objects_per_s - (pace.clock() - start)))
    return done
