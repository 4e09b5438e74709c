"""Objects of a collection, drawn so that every one has the same chance; of very large ones from random places.

For a fair sample all ids are read, as an audit does: ids that another program made stand in crowds, and just those may
be of another encoder. Where there are too many, Weaviate's lists are begun at random ids, and no bound is told.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ..access.database import Database
from ..access.values import StoredObject
from ..audit.sampling import reservoir

MOST_WALKED: Final = 200_000
"""Objects up to which every id is read; about a minute."""
AT_A_SPOT: Final = 4
"""Objects that are taken from one place: fewer are more random, more are quicker."""
MOST_TENANTS: Final = 50
_LAST: Final = 2**128 - 1


@dataclass(frozen=True, slots=True)
class CollectionSample:
    """What was read.

    Attributes:
        objects: with all their vectors.
        owners: the tenant of each; "" for none.
        tenants: that were read; () for a collection without tenants.
        unread: tenants that are not active, and further ones beyond `MOST_TENANTS`.
        fair: whether every object of those that were read had the same chance.
    """

    objects: tuple[StoredObject, ...]
    owners: tuple[str, ...]
    tenants: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    fair: bool = True


def draw(
    database: Database, schema: Mapping[str, Any], size: int, chance: random.Random, walked: int = MOST_WALKED
) -> CollectionSample:
    """*size* objects of the collection, of its active tenants; all of them where there are fewer.

    Args:
        walked: objects up to which every id is read.
    """
    name = str(schema["class"])
    there = database.tenants(name)
    doors, chosen = {"": database}, list[str]()
    if (schema.get("multiTenancyConfig") or {}).get("enabled"):
        active = sorted(tenant for tenant, awake in there.items() if awake)
        chosen = sorted(chance.sample(active, min(MOST_TENANTS, len(active))))
        doors = {tenant: database.of_tenant(tenant) for tenant in chosen}
    counts = {tenant: door.count(name) for tenant, door in doors.items()}
    total = sum(counts.values())
    found = list[tuple[str, StoredObject]]()
    if fair := total <= walked:
        # One draw from all tenants' ids: so many of each by its size would give those of small ones a better chance.
        ids, _ = reservoir(((tenant, uuid) for tenant, door in doors.items() for uuid in door.ids(name)), size, chance)
        read = ((tenant, doors[tenant].get(name, uuid, vectors=True)) for tenant, uuid in ids)
        found = [(tenant, each) for tenant, each in read if each is not None]
    else:
        for tenant, door in doors.items():
            share = -(-size * counts[tenant] // total)
            found += [(tenant, each) for each in spots(door, name, share, chance)] if share else ()
    return CollectionSample(
        tuple(each for _, each in found),
        tuple(tenant for tenant, _ in found),
        tuple(chosen),
        tuple(sorted(set(there) - set(chosen))),
        fair,
    )


def spots(database: Database, name: str, size: int, chance: random.Random) -> list[StoredObject]:
    """At most *size* objects with all their vectors, from random places between the first id and the last."""
    first = database.page(name, "", 1)
    if not first:
        return []
    low, high = first[0].uuid.int, _last(database, name)
    found: dict[UUID, StoredObject] = {}
    for _ in range(4 * -(-size // AT_A_SPOT)):
        spot = str(UUID(int=chance.randint(max(0, low - 1), high)))
        found |= {each.uuid: each for each in database.page(name, spot, AT_A_SPOT, vectors=True)}
        if len(found) >= size:
            break
    return list(found.values())[:size]


def _last(database: Database, name: str) -> int:
    """The largest id: Weaviate lists upwards only, so it is searched for by halves."""
    low, high = 0, _LAST
    for _ in range(128):
        middle = (low + high) // 2
        low, high = (middle, high) if database.page(name, str(UUID(int=middle)), 1) else (low, middle)
    return high


def longest_first(objects: Sequence[StoredObject], names: Sequence[str]) -> list[str]:
    """The properties *names* that have texts, those with the longest first."""
    lengths = {name: sum(len(str(each.properties.get(name) or "")) for each in objects) for name in names}
    return sorted((name for name in names if lengths[name]), key=lambda name: -lengths[name])
