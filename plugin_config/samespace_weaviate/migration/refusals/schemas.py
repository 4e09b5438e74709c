"""What the schemas of both collections have to agree on, and what would be lost of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from samespace.errors import MigrationBlocked

from ...access.database import Database
from ...pinning.routes import vectorizer_of
from ..compare import changed_settings, settings_of, unlike_properties
from ..copying.transfer import Transfer
from ..plan import Migration, filled_vectors, references_from_others


def refuse_unlike_properties(transfer: Transfer, migration: Migration) -> None:
    """A property is defined in another way than where it comes from: filters and keyword search would change."""
    route = transfer.route
    source, target = (transfer.database.schema(name) or {} for name in (route.source, route.target))
    if unlike := unlike_properties(source, target):
        back = route.source == migration.new
        remedy = (
            f"define them in {route.target} as they are in {route.source}, then run the same command again, or give "
            "it up with --force"
            if back
            else "somebody changed one of the two while it was copied, or Weaviate guessed (AUTOSCHEMA_ENABLED). Roll "
            "back with --rollback, and migrate again"
        )
        raise MigrationBlocked(
            collection=route.target,
            reason=f"its properties are defined otherwise than in {route.source}: {'; '.join(unlike)}",
            remedy=remedy,
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


def refuse_if_referred_to(database: Database, migration: Migration, *, going: str, staying: str) -> None:
    """Other collections refer to the one that is going; their references would lead nowhere."""
    schemas = {name: database.schema(name) or {} for name in database.names()}
    if referring := references_from_others(migration, schemas, going):
        raise MigrationBlocked(
            collection=going,
            reason=f"{', '.join(referring)} refer to it",
            remedy=f"let them refer to {staying}, or give them up with --force",
        )


def refuse_without_module(database: Database, migration: Migration) -> None:
    """Nothing encodes for the old collection, so what was written since the switch would have no vector there."""
    module, _ = vectorizer_of(database.schema(migration.old) or {}, migration.old_vector)
    if module == "none":
        raise MigrationBlocked(
            collection=migration.old,
            reason="it has no vectorizer: objects that were written or changed since the switch would get no vector",
            remedy="write them again after the way back, with their vectors, and say so with --force",
        )


def refuse_settings_of_new(database: Database, migration: Migration, switched: Mapping[str, Any]) -> None:
    """Settings of the new collection were changed since the switch, and the old one, which is gone back to, has others.

    Args:
        switched: as they were when the alias moved.
    """
    _refuse_changed(
        database,
        (migration.new, migration.new_vector),
        (migration.old, migration.old_vector),
        switched,
        "since the switch",
    )


def refuse_changed_settings(database: Database, migration: Migration) -> None:
    """Settings of the old collection were changed since the plan was made, and the new one has others."""
    _refuse_changed(
        database,
        (migration.old, migration.old_vector),
        (migration.new, migration.new_vector),
        migration.settings,
        "meanwhile",
    )


def _refuse_changed(
    database: Database, source: tuple[str, str], target: tuple[str, str], before: Mapping[str, Any], since: str
) -> None:
    """Raise where *source*, a collection and its vector, has other settings than *before*, and *target* lacks them."""
    now, there = (settings_of(database.schema(name) or {}, vector) for name, vector in (source, target))
    if changed := changed_settings(before, now, there):
        raise MigrationBlocked(
            collection=source[0],
            reason=f"its settings were changed {since}, and {target[0]} has others: {'; '.join(changed)}",
            remedy=f"change them in {target[0]} too, then run the same command again, or give them up with --force",
        )
