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
        tenants: that were read; () for a collection without tenants.
        unread: tenants that are not active, and further ones beyond `MOST_TENANTS`.
        fair: whether every object of them had the same chance.
    """

    objects: tuple[StoredObject, ...]
    tenants: tuple[str, ...] = ()
    unread: int = 0
    fair: bool = True


def draw(
    database: Database, schema: Mapping[str, Any], size: int, chance: random.Random, walked: int = MOST_WALKED
) -> CollectionSample:
    """About *size* objects of the collection, of its active tenants in proportion; all of them where there are few.

    Args:
        walked: objects up to which every id is read.
    """
    name = str(schema["class"])
    there = database.tenants(name)
    if not (schema.get("multiTenancyConfig") or {}).get("enabled"):
        fair = database.count(name) <= walked
        return CollectionSample(_drawn(database, name, size, chance, fair), fair=fair)
    active = sorted(tenant for tenant, awake in there.items() if awake)
    chosen = sorted(chance.sample(active, min(MOST_TENANTS, len(active))))
    counts = {tenant: database.of_tenant(tenant).count(name) for tenant in chosen}
    total, fair = sum(counts.values()), sum(counts.values()) <= walked
    objects: list[StoredObject] = []
    for tenant, count in counts.items():
        share = -(-size * count // total) if total else 0
        objects += _drawn(database.of_tenant(tenant), name, share, chance, fair) if share else ()
    return CollectionSample(tuple(objects), tuple(chosen), len(there) - len(chosen), fair)


def _drawn(database: Database, name: str, size: int, chance: random.Random, fair: bool) -> tuple[StoredObject, ...]:
    if not fair:
        return tuple(_spots(database, name, size, chance))
    ids, _ = reservoir(database.ids(name), size, chance)
    read = (database.get(name, each, vectors=True) for each in ids)
    return tuple(each for each in read if each is not None)


def _spots(database: Database, name: str, size: int, chance: random.Random) -> list[StoredObject]:
    """From random places between the first id and the last."""
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
