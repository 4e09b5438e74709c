"""What was found by verifying and searching the new collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from samespace.errors import MigrationBlocked

from ...audit.searchable import SearchCheck, remarks, wait_for_index
from ..copying.transfer import Transfer
from ..plan import Migration
from ..verification import BOUND, INDEX_WAIT_S, Verification, made_searchable, module_distances

MOST_BROUGHT: Final = 0.25
"""Share of carried vectors that clients may have brought themselves."""


def refuse_what_was_found(found: Verification, migration: Migration) -> None:
    """The new collection is not what it has to be."""
    if found.wrong:
        compared = "objects are not the same in both" if migration.carries else "vectors are not those of the encoder"
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"{len(found.wrong)} of {found.sampled} {compared}, the first {found.wrong[0]}",
            remedy="did anybody else write to it, or was the encoder's build changed? Roll back and migrate again",
        )
    if found.queued:
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"{found.queued} vectors are still waiting to be indexed (asynchronous indexing)",
            remedy="continue the migration when Weaviate has caught up",
        )
    if found.lost:
        raise _unsearchable(migration, found.lost, found.searched)


def refuse_another_encoder(transfer: Transfer, migration: Migration, tell: Callable[[str], None]) -> None:
    """The server at the new address answers, and its vectors are not those that are stored.

    What was encoded on the way has to be the same. Of vectors that were carried, clients may have brought some.
    """
    distances = module_distances(transfer, migration)
    wrong = [far for far in distances if not far <= BOUND]
    said = (
        f"of {len(distances)} stored texts, the server at its address gives {len(wrong)} other vectors (1 - cos up to "
        f"{max(distances, default=0.0):.2g}; {BOUND:g} is allowed)"
    )
    if wrong and (not migration.carries or len(wrong) > MOST_BROUGHT * len(distances)):
        raise MigrationBlocked(
            collection=migration.new,
            reason=said,
            remedy=f"let the server there serve space {migration.to_space} itself, with its recipe; then run the same "
            "command again. Nothing was changed. --force goes on all the same, such as where clients bring vectors",
        )
    if wrong:
        tell(f"{said[0].upper()}{said[1:]}: clients brought those vectors, or the server is wrong in part. Audit it.")


def refuse_unsearchable(transfer: Transfer, migration: Migration, tell: Callable[[str], None]) -> None:
    """Searches have to find all of the new collection before the old one goes.

    They did before the switch, but a Weaviate that was killed since may have lost the end of its index. Clients
    write to it by now, so it is left to `repair`.
    """
    found = SearchCheck()
    wait_for_index(transfer.database, migration.new, INDEX_WAIT_S)
    for tenant in transfer.tenants():
        with transfer.awake(tenant, make=False):
            if not tenant or transfer.database.tenant_state(migration.new, tenant):
                found += made_searchable(transfer.database.of_tenant(tenant), migration, served=True)[0]
    for tenant in _made_since(transfer, migration):
        found += made_searchable(transfer.database.of_tenant(tenant), migration, served=True)[0]
    if found.lost:
        raise _unsearchable(migration, found.lost, found.searched)
    for sentence in remarks(found.tied, found.behind):
        tell(sentence)


def _made_since(transfer: Transfer, migration: Migration) -> list[str]:
    """Active tenants that clients made in the new collection alone."""
    states = transfer.database.tenant_states(migration.new) if migration.tenants else {}
    old = set(transfer.tenants())
    return sorted(tenant for tenant, state in states.items() if state == "HOT" and tenant not in old)


def _unsearchable(migration: Migration, lost: Sequence[UUID | str], searched: int) -> MigrationBlocked:
    return MigrationBlocked(
        collection=migration.new,
        reason=f"{len(lost)} of {searched} objects are stored and no search finds them, the first {lost[0]}",
        remedy=f"fix them with `samespace weaviate repair {migration.new} --encoder ENCODER`, then run the same "
        "command again",
    )
