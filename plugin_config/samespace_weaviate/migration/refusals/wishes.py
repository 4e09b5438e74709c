"""A command that goes on with a journal has to ask for what the journal is of: another name or address is no detail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samespace.errors import MigrationBlocked, RequestInvalid

from ...access.database import Database
from ...pinning.routes import USES, address_of, vectorizer_of
from ...pinning.spec import collection_name, shown
from ..plan import Migration


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command was given.

    Attributes:
        name: of the collection or alias.
        moves: whether vectors are carried as they are (`move`), and not encoded (`migrate`).
        alias, text_property, server: as given; "" where they were not.
        guard: as given; None where it was not.
    """

    name: str
    moves: bool = False
    alias: str = ""
    text_property: str = ""
    server: str = ""
    guard: bool | None = None


def refuse_other_names(migration: Migration, asked: Asked, path: Path) -> None:
    """The journal is of another collection, or of the other command."""
    name = collection_name(asked.name)
    if name not in (migration.alias, migration.old, migration.new):
        raise RequestInvalid(
            field="--journal",
            reason=f"{path} is of {migration.alias}, which leads from {migration.old} to {migration.new}; "
            f"NAME is {asked.name}",
        )
    if asked.moves != migration.carries:
        commands = ("move", "migrate") if migration.carries else ("migrate", "move")
        raise RequestInvalid(
            field="--journal", reason=f"{path} is of `samespace weaviate {commands[0]}`, not of {commands[1]}"
        )


def refuse_other_wishes(database: Database, migration: Migration, asked: Asked, path: Path) -> None:
    """Something was given that the migration under way does not do."""
    refuse_other_names(migration, asked, path)
    pairs = (
        ("--alias", collection_name(asked.alias), migration.alias),
        ("--property", asked.text_property, migration.text_property),
        ("--guard", "" if asked.guard is None else _said(asked.guard), _said(migration.guard)),
    )
    for option, given, planned in pairs:
        if given and given != planned:
            raise _another(migration, path, f"{option} is {given}, and was {planned} when it began")
    if asked.server:
        _refuse_other_address(database, migration, asked.server, path)


def _refuse_other_address(database: Database, migration: Migration, server: str, path: Path) -> None:
    schema = database.schema(migration.new)
    if schema is None:
        return
    module, settings = vectorizer_of(schema, migration.new_vector)
    wanted = f"{server.rstrip('/')}/e/{migration.to_space}"
    there = {address_of(module, settings, use).rstrip("/") for use in USES} if module != "none" else set()
    if others := sorted(there - {wanted}):
        raise _another(
            migration, path, f"--server is {shown(server)}, and {migration.new} was made with {shown(others[0])}"
        )


def _another(migration: Migration, path: Path, reason: str) -> MigrationBlocked:
    return MigrationBlocked(
        collection=migration.alias,
        reason=f"{path} tells of another migration: {reason}",
        remedy="leave the option out to go on; --rollback first to begin anew; a finished collection gets another "
        "address by `samespace weaviate move`",
    )


def _said(guard: bool) -> str:
    return "on" if guard else "off"
