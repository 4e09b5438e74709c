"""The end of a way back: the new collection is deleted, where this is the Weaviate that has it.

An empty answer may be that of another Weaviate. So the old collection and the alias have to be there before anything is
noted, and what is said to be gone was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from samespace.errors import MigrationBlocked

from ..access.database import Database, is_collection
from .journal import MigrationJournal
from .plan import Migration
from .progress import BEFORE_SWITCH, MigrationState
from .refusals.aliases import is_made_by, refuse_if_named

_AT_ITS_END: Final = (*BEFORE_SWITCH, MigrationState.DISCARDING)


def refuse_elsewhere_begun(database: Database, migration: Migration, state: MigrationState, *, force: bool) -> None:
    """The old collection or the alias is not there, to which a way back would lead that has nothing to move.

    Args:
        state: of the migration; in others the steps themselves look.
        force: whether a person ends it who knows that they are gone.

    Raises:
        MigrationBlocked: neither Weaviate nor the journal was changed.
    """
    if state not in _AT_ITS_END or force:
        return
    is_there, found = is_collection(database, migration.old), database.alias_target(migration.alias)
    not_made = migration.makes_alias and state is MigrationState.PLANNED and not found
    if is_there and (found == migration.old or not_made):
        return
    reason = (
        f"the alias points to {found or 'nothing'}, and by the journal of migration {migration.id} it leads to "
        f"{migration.old}"
        if is_there
        else f"the journal of migration {migration.id} is of a copy of {migration.old}, and there is no such collection"
    )
    raise MigrationBlocked(
        collection=migration.alias if is_there else migration.old,
        reason=f"{reason}; nothing was deleted or noted",
        remedy="is this the Weaviate that the migration was started on? If so, and they are meant to be gone, "
        f"--rollback --force deletes {migration.new} and ends the migration",
    )


def discard(database: Database, journal: MigrationJournal, migration: Migration, tell: Callable[[str], None]) -> None:
    """Delete the new collection, and say what is there."""
    there = is_made_by(database, migration)
    if there:
        refuse_if_named(database, migration.new)
    if journal.progress.state is not MigrationState.DISCARDING:
        journal.note("discarding")
    if there:
        database.delete_collection(migration.new)
    journal.note("rolled_back")
    found = database.alias_target(migration.alias)
    leads = f"{migration.alias} is {found}" if found else f"there is no alias {migration.alias}"
    tell(f"Rolled back: {leads}, {migration.new} {'is gone' if there else 'was not there'}.")


def discard_left_over(database: Database, migration: Migration, tell: Callable[[str], None]) -> None:
    """Delete the new collection of a migration that its journal calls rolled back, where it is there all the same.

    The way back may have ended on another Weaviate. What another migration made under this name is left alone.

    Raises:
        MigrationBlocked: an alias leads to it, or what it is a copy of is not there any more.
    """
    schema = database.schema(migration.new) if is_collection(database, migration.new) else None
    if schema is None or migration.mark not in str(schema.get("description")):
        return
    if not is_collection(database, migration.old):
        raise MigrationBlocked(
            collection=migration.new,
            reason=f"the journal of migration {migration.id} calls it rolled back; it is there, and {migration.old}, "
            "of which it is a copy, is not",
            remedy="it may be the only copy, and was left alone; delete it if nobody needs it",
        )
    refuse_if_named(database, migration.new)
    database.delete_collection(migration.new)
    tell(f"{migration.new} was still there, and is gone now.")
