"""Whether searches find what an import wrote: a sample of it, or all objects of its tenants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from samespace.errors import WeaviateUnavailable

from ..access.database import Database
from ..audit.searchable import SearchCheck, check_searchable, wait_for_index
from .windows import Target

_INDEX_WAIT_S: Final = 600.0
"""How long an asynchronous index may take after the last write."""
READ: Final = "QUORUM"
"""An import goes on while a node is away, so what it wrote is read of as many replicas as took it."""


def door_of(database: Database, target: Target, tenant: str) -> Database:
    """*database* for the objects of a tenant; it is so already where the import is of one tenant."""
    return database if tenant == target.tenant else database.of_tenant(tenant)


def search(
    database: Database, target: Target, tenants: Iterable[str], written: Iterable[tuple[str, UUID]] | None = None
) -> SearchCheck:
    """Search for objects with their own vectors, once the index has caught up.

    Args:
        tenants: that were written to, now or by an earlier run.
        written: (tenant, id) of what is searched for; None for everything that the tenants have.

    Raises:
        WeaviateUnavailable: the index has not caught up in ten minutes.
    """
    if not (some := sorted(set(tenants))):
        return SearchCheck()
    found, queued = SearchCheck(), wait_for_index(database, target.collection, _INDEX_WAIT_S)
    if queued:
        raise WeaviateUnavailable(
            address=f"collection {target.collection}",
            reason=f"{queued} vectors are still waiting to be indexed; everything was imported. Look later "
            "with `samespace weaviate audit`",
        )
    ids = None if written is None else list(written)
    for tenant in some:
        door = door_of(database, target, tenant)
        uuids = door.ids(target.collection, READ) if ids is None else (uuid for of, uuid in ids if of == tenant)
        found += check_searchable(door, target.collection, target.vector, uuids, READ)
    return found
