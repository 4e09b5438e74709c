"""Whose collections these are, and where the alias leads: another Weaviate, another journal, another person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from samespace.errors import MigrationBlocked

from ...access.database import Database, is_collection
from ..plan import MARK, Migration

_MARK: Final = re.compile(re.escape(MARK) + r"(\w+), from (\w+)\.")


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
            "--rollback --force ends a migration that has not switched",
        )


def refuse_moved_alias(database: Database, migration: Migration, *, named_again: bool = False) -> None:
    """The journal says that the alias leads to the new collection, and it does not.

    Args:
        named_again: whether a copy back to the old name may be over, to which it leads then.
    """
    found = database.alias_target(migration.alias)
    if found != migration.new and not (named_again and found == migration.old):
        raise MigrationBlocked(
            collection=migration.alias,
            reason=f"the migration to {migration.new} is done, and the alias points to {found or 'nothing'} now",
            remedy=f"is this the Weaviate that the migration was started on? If somebody moved the alias, point it to "
            f"{migration.new} again, or begin anew with another --journal",
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


def refuse_elsewhere(database: Database, migration: Migration, source: str) -> None:
    """The alias leads elsewhere than to where objects are carried from: what is carried would undo clients' writes."""
    found = database.alias_target(migration.alias)
    if found == source:
        return
    target = migration.new if source == migration.old else migration.old
    served = (
        "either somebody moved it, or this journal is older than what was done. Clients may have written to "
        f"{target} since, and carrying on from {source} would undo that. Go on with the newest journal; or copy what "
        f"was written to {target} since to {source}, point the alias to {source}, and run the same command again"
    )
    elsewhere = f"somebody else moved it; point it to {source} again, then run the same command"
    raise MigrationBlocked(
        collection=migration.alias,
        reason=f"the alias points to {found or 'nothing'}, not to {source}; nothing was changed",
        remedy=served if found == target else elsewhere,
    )


def refuse_gone(database: Database, migration: Migration) -> None:
    """There is nothing to go back to."""
    if not is_collection(database, migration.old):
        raise MigrationBlocked(
            collection=migration.old,
            reason="somebody deleted it, so there is no way back",
            remedy=f"end the migration with --finish, or migrate {migration.alias} to the old encoder anew",
        )


def make_alias(database: Database, alias: str, name: str) -> None:
    """Make *alias*, which the plan says is free; one that somebody made meanwhile is theirs."""
    found = database.alias_target(alias)
    if found == name:
        return
    if found:
        raise MigrationBlocked(
            collection=alias,
            reason=f"the alias would be made, and somebody made it meanwhile: it points to {found}",
            remedy=f"delete that alias if nobody needs it, and run the same command again; with another --alias and "
            f"another --journal, {name} gets another name",
        )
    database.make_alias(alias, name)


def refuse_other_copies(
    migration: Migration, schemas: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]
) -> None:
    """Another migration of the same collection is not over: the later of two switches would hide what the first served.

    A copy that another alias leads to is a collection of its own by now.

    Args:
        schemas: of all collections, by name.
        aliases: alias to collection.
    """
    elsewhere = {target for alias, target in aliases.items() if alias != migration.alias}
    for name, schema in schemas.items():
        for found in _MARK.finditer(str(schema.get("description") or "")):
            of_this = found[2] == migration.old and found[1] != migration.id
            if of_this and name != migration.new and name not in elsewhere:
                raise MigrationBlocked(
                    collection=migration.old,
                    reason=f"{name} is a copy of it, made by migration {found[1]}, which is not over",
                    remedy="end that one with its own journal, by --finish or --rollback. Where its journal is lost: "
                    f"delete {name} if nobody needs it, or take that sentence out of its description",
                )
