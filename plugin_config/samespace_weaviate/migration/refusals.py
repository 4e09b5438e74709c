"""What a migration does not do by itself, because something would be lost that only people can decide about.

Each function raises `MigrationBlocked` with what is in the way and what to do; `--force` passes over those that say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from samespace.errors import MigrationBlocked

from ..access.database import Database, is_collection, stream
from ..audit.searchable import SearchCheck
from ..pinning.routes import vectorizer_of
from .compare import unlike_properties
from .plan import Migration, filled_vectors, references_from_others
from .progress import MigrationProgress
from .transfer import MARGIN_MS, Transfer
from .verification import Verification, made_searchable


def refuse_without_aliases(database: Database) -> None:
    """A migration ends by moving an alias, which older versions of Weaviate do not have."""
    if not database.has_aliases():
        raise MigrationBlocked(
            collection="every collection",
            reason="this Weaviate has no aliases; they came with version 1.32",
            remedy="upgrade Weaviate, or use --strategy named-vector",
        )


def is_made_by(database: Database, migration: Migration) -> bool:
    """Whether the new collection is there, and was made by this migration.

    Raises:
        MigrationBlocked: it is there, and is another's.
    """
    if not is_collection(database, migration.new):
        return False
    if migration.mark in str((database.schema(migration.new) or {}).get("description")):
        return True
    raise MigrationBlocked(
        collection=migration.new,
        reason=f"it exists, and was not made by migration {migration.id}: its description does not say so",
        remedy="is this the Weaviate that the migration was started on? If so, give the collection another name, or "
        "delete it if nobody needs it, and run the same command again",
    )


def refuse_another(database: Database, migration: Migration) -> None:
    """The journal tells of a collection that is not there: another Weaviate, or somebody deleted it."""
    if not is_made_by(database, migration):
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"the journal of migration {migration.id} says that it was made, and there is none",
            remedy="is this the Weaviate that the migration was started on? If somebody deleted the collection, "
            "--rollback ends a migration that has not switched",
        )


def refuse_moved_alias(database: Database, migration: Migration) -> None:
    """The journal says that the alias leads to the new collection, and it does not."""
    found = database.alias_target(migration.alias)
    if found != migration.new:
        raise MigrationBlocked(
            collection=migration.alias,
            reason=f"the migration to {migration.new} is done, and the alias points to {found or 'nothing'} now",
            remedy=f"is this the Weaviate that the migration was started on? If somebody moved the alias, point it to "
            f"{migration.new} again, or begin anew with another --journal",
        )


def refuse_unlike_properties(transfer: Transfer) -> None:
    """A property is defined in another way than where it comes from: filters and keyword search would change."""
    source, target = (transfer.database.schema(name) or {} for name in (transfer.route.source, transfer.route.target))
    if unlike := unlike_properties(source, target):
        raise MigrationBlocked(
            collection=transfer.route.target,
            reason=f"its properties are defined otherwise than in {transfer.route.source}: {'; '.join(unlike)}",
            remedy="somebody changed one of the two while it was copied, or Weaviate guessed (AUTOSCHEMA_ENABLED). "
            "Roll back with --rollback, and migrate again",
        )


def refuse_lost_vectors(transfer: Transfer, migration: Migration) -> None:
    """Somebody gave one collection another vector meanwhile, which the other one does not get."""
    route = transfer.route
    source, target = (transfer.database.schema(name) or {} for name in (route.source, route.target))
    kept = {migration.old_vector, migration.new_vector, *(filled_vectors(target) if migration.carries else ())}
    if lost := [name for name in filled_vectors(source) if name not in kept]:
        raise MigrationBlocked(
            collection=route.source,
            reason=f"it has got another vector meanwhile, {', '.join(lost)}, which {route.target} does not get",
            remedy="let nobody add vectors meanwhile; drop it, or give it up with --force",
        )


def refuse_if_named(database: Database, name: str) -> None:
    """Other aliases point to a collection that is about to be deleted; they would dangle."""
    others = sorted(alias for alias, target in database.aliases().items() if target == name)
    if others:
        raise MigrationBlocked(
            collection=name,
            reason=f"the aliases {', '.join(others)} point to it",
            remedy="point them elsewhere, then run the same command again",
        )


def refuse_if_referred_to(database: Database, migration: Migration) -> None:
    """Other collections refer to the old one; their references would lead nowhere."""
    referring = references_from_others(migration, {name: database.schema(name) or {} for name in database.names()})
    if referring:
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"{', '.join(referring)} refer to it",
            remedy=f"let them refer to {migration.new}, or give them up with --force",
        )


def refuse_late_writes(
    transfer: Transfer, migration: Migration, times: MigrationProgress, because: tuple[str, str]
) -> None:
    """Somebody wrote to the old collection, or deleted from it, by its own name, after the alias had moved.

    Args:
        times: when the alias moved, and when everything was settled.
        because: what would become of writes, and of deletions.
    """
    apart_ms = MARGIN_MS if len(transfer.database.node_names()) > 1 else 0  # of the nodes' clocks
    late: list[UUID] = []
    deleted: list[UUID] = []
    for tenant in transfer.tenants():
        with transfer.awake(tenant, make=False):
            own = transfer.database.of_tenant(tenant)
            late += [each.uuid for each in stream(own, migration.old) if each.updated_ms >= times.settled_ms]
            if not tenant or transfer.database.tenant_state(migration.new, tenant):
                deleted += _deleted(own, migration, times.moved_ms - apart_ms)
    for ids, done, reason in ((late, "written", because[0]), (deleted, "deleted", because[1])):
        if ids:
            raise MigrationBlocked(
                collection=migration.old,
                reason=f"{len(ids)} of its objects were {done} after the switch, by its own name ({ids[0]}, ...); "
                f"{reason}",
                remedy=f"let all clients use {migration.alias}, do the same there, or give it up with --force",
            )


def _deleted(own: Database, migration: Migration, before_ms: int) -> Iterator[UUID]:
    """What was carried over before the alias moved, is untouched since, and is not in the old collection any more."""
    there = iter(own.ids(migration.old))
    next_id = next(there, None)
    for each in stream(own, migration.new):
        while next_id is not None and str(next_id) < str(each.uuid):
            next_id = next(there, None)
        if next_id != each.uuid and each.updated_ms < before_ms:
            yield each.uuid


def refuse_without_module(database: Database, migration: Migration) -> None:
    """Nothing encodes for the old collection, so what was written since the switch would have no vector there."""
    module, _ = vectorizer_of(database.schema(migration.old) or {}, migration.old_vector)
    if module == "none":
        raise MigrationBlocked(
            collection=migration.old,
            reason="it has no vectorizer: objects that were written or changed since the switch would get no vector",
            remedy="write them again after the way back, with their vectors, and say so with --force",
        )


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


def refuse_unsearchable(transfer: Transfer, migration: Migration) -> None:
    """Searches have to find all of the new collection before the old one goes.

    They did before the switch, but a Weaviate that was killed since may have lost the end of its index.
    """
    found = SearchCheck()
    for tenant in transfer.tenants():
        with transfer.awake(tenant, make=False):
            own = transfer.database.of_tenant(tenant)
            if not tenant or transfer.database.tenant_state(migration.new, tenant):
                found += made_searchable(own, migration)[0]
    if found.lost:
        raise _unsearchable(migration, found.lost, found.searched)


def _unsearchable(migration: Migration, lost: Sequence[UUID | str], searched: int) -> MigrationBlocked:
    return MigrationBlocked(
        collection=migration.new,
        reason=f"{len(lost)} of {searched} objects are stored and no search finds them, the first {lost[0]}",
        remedy=f"fix them with `samespace weaviate repair {migration.new}`, then run the same command again",
    )
