"""Gives every object of a collection a second named vector, and leaves everything else of it alone.

No journal: what is done is what the collection shows, so whoever is stopped begins again and passes over what is there.
Each vector is patched in by itself. A batch would be faster, and would replace whole objects: it has to resend every
vector and every property, and overwrites what a client changed between reading and writing. A patch can only be late
with the vector of an older text; so each page is read again after it was patched, and what has changed is encoded
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from samespace.errors import MigrationBlocked
from samespace.vectors import Float32

from .door import PAGE, Door, Record
from .transfer import Pace, text_of

ROUNDS: Final = 5
Make = Callable[[Sequence[Record]], Float32]
"""Objects, with their vectors, to new vectors, shape (n, dims)."""


class VectorDoor(Door, Protocol):
    """A `Door` that can also change the vectors of a collection."""

    def add_vector(self, name: str, vector: str, config: dict[str, Any]) -> None:
        """Add a named vector; an existing one of that name is left as it is."""

    def patch_vector(self, name: str, tenant: str, record: str, vector: str, row: Float32) -> None:
        """Set one vector of one object, which may be gone."""

    def drop_vector(self, name: str, vector: str) -> str:
        """Drop a vector's index; "" if Weaviate did, else why it cannot."""


def backfill(
    door: VectorDoor, name: str, vector: str, text_property: str, make: Make, pace: Pace, *, needs: str = ""
) -> int:
    """Give each object without *vector* that vector; how many got one.

    Objects without a text, or without the vector *needs*, are left out.

    Cold tenants are woken one at a time, and put to sleep again; a kill may leave one of them awake.

    Raises:
        MigrationBlocked: a tenant is offloaded.
    """
    tenants = door.tenants(name) if (schema_of(door, name).get("multiTenancyConfig") or {}).get("enabled") else {}
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
            door.set_tenant(name, tenant, "HOT")
        done += _one(door, name, tenant, vector, text_property, make, pace, needs)
        if cold:
            door.set_tenant(name, tenant, "COLD")
    return done


def lacking(door: Door, name: str, tenant: str, vector: str) -> int:
    """How many objects of a tenant have no such vector."""
    missing, after = 0, ""
    while page := door.page(name, tenant, after, PAGE, vectors=True):
        missing += sum(vector not in record.vectors for record in page)
        after = page[-1].id
    return missing


def schema_of(door: Door, name: str) -> dict[str, Any]:
    """The schema of a collection.

    Raises:
        MigrationBlocked: there is none.
    """
    found = door.schema(name)
    if found is None:
        raise MigrationBlocked(collection=name, reason="no such collection or alias", remedy="look for its name")
    return found


def _one(
    door: VectorDoor, name: str, tenant: str, vector: str, text_property: str, make: Make, pace: Pace, needs: str
) -> int:
    start, done, after = pace.clock(), 0, ""
    while page := door.page(name, tenant, after, PAGE, vectors=True):
        todo = [
            each
            for each in page
            if vector not in each.vectors and text_of(each, text_property) and (not needs or needs in each.vectors)
        ]
        for _ in range(ROUNDS):
            if not todo:
                break
            for record, row in zip(todo, np.asarray(make(todo)), strict=True):
                door.patch_vector(name, tenant, record.id, vector, row)
            done += len(todo)
            pace.progress(len(todo))
            texts = {record.id: text_of(record, text_property) for record in todo}
            again = door.page(name, tenant, after, PAGE, vectors=True)
            todo = [each for each in again if each.id in texts and texts[each.id] != text_of(each, text_property)]
        after = page[-1].id
        if pace.max_objects_per_s:
            pace.pause(max(0.0, done / pace.max_objects_per_s - (pace.clock() - start)))
    return done
