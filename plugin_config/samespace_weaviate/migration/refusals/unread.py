"""A copy under the name of a space says that all of it is of that space, so all of it has to be readable first."""

from __future__ import annotations

from samespace.errors import MigrationBlocked

from ...access.database import Database
from ..plan import Migration


def refuse_unread_tenants(database: Database, migration: Migration) -> None:
    """Return unless an adopted vector would get its space's name in tenants whose vectors nobody has compared.

    Raises:
        MigrationBlocked: tenants are not active, so that neither the look before nor the audit after reads them.
    """
    if migration.renamed is None:
        return
    asleep = sorted(tenant for tenant, active in database.tenants(migration.old).items() if not active)
    if asleep:
        are = "tenants are" if len(asleep) > 1 else "tenant is"
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"{len(asleep)} {are} not active, the first {asleep[0]!r}, so nobody knows who wrote their vectors",
            remedy="the copy's vector has the name of the space, which would vouch for them too: activate them until "
            "the copy is made, or migrate, which encodes all of it again",
        )
