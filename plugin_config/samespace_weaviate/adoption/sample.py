"""Objects from random places of a collection, however large it is: nothing is listed, no tenant is woken.

Weaviate begins its lists at any id. Where ids are random (those of Weaviate, of its clients and of samespace are), what
stands behind a random id is a random object. An audit, which names every wrong object, lists all ids instead.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ..access.database import Database
from ..access.values import StoredObject

AT_A_SPOT: Final = 4
"""Objects that are taken from one place: fewer are more random, more are quicker."""
MOST_TENANTS: Final = 50


@dataclass(frozen=True, slots=True)
class CollectionSample:
    """What was read.

    Attributes:
        objects: with all their vectors.
        tenants: that were read; () for a collection without tenants.
        unread: tenants that are not active, and further ones beyond `MOST_TENANTS`.
    """

    objects: tuple[StoredObject, ...]
    tenants: tuple[str, ...] = ()
    unread: int = 0


def draw(database: Database, schema: Mapping[str, Any], size: int, chance: random.Random) -> CollectionSample:
    """About *size* objects of the collection, evenly from its active tenants; all of them where there are few."""
    name = str(schema["class"])
    there = database.tenants(name)
    if not (schema.get("multiTenancyConfig") or {}).get("enabled"):
        return CollectionSample(tuple(_spots(database, name, size, chance)))
    active = sorted(tenant for tenant, awake in there.items() if awake)
    chosen = sorted(chance.sample(active, min(MOST_TENANTS, len(active))))
    objects: list[StoredObject] = []
    for tenant in chosen:
        objects += _spots(database.of_tenant(tenant), name, -(-size // len(chosen)), chance)
    return CollectionSample(tuple(objects), tuple(chosen), len(there) - len(chosen))


def _spots(database: Database, name: str, size: int, chance: random.Random) -> list[StoredObject]:
    first = database.page(name, "", size + 1, vectors=True)
    if len(first) <= size:
        return first  # all that there are
    found: dict[UUID, StoredObject] = {}
    for _ in range(4 * -(-size // AT_A_SPOT)):
        spot = str(UUID(int=chance.getrandbits(128)))
        found |= {each.uuid: each for each in database.page(name, spot, AT_A_SPOT, vectors=True)}
        if len(found) >= size:
            break
    return list(found.values())[:size]


def longest_first(objects: Sequence[StoredObject], names: Sequence[str]) -> list[str]:
    """The properties *names* that have texts, those with the longest first."""
    lengths = {name: sum(len(str(each.properties.get(name) or "")) for each in objects) for name in names}
    return sorted((name for name in names if lengths[name]), key=lambda name: -lengths[name])
