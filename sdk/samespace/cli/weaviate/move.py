"""`samespace weaviate move`: the same space at another address of its encoder, without encoding anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from ...errors import RequestInvalid
from ..console import echo, say
from ..encoders import space_of
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .migrate import Person, ways_to_end

if TYPE_CHECKING:
    from samespace_weaviate.access.database import Database
    from samespace_weaviate.migration import Migration


@click.command()
@click.argument("name")
@click.option(
    "--server",
    envvar="SAMESPACE_SERVER",
    help="Encoder's new HTTP address as seen by Weaviate, http://HOST:PORT; use SAMESPACE_SERVER if it holds a token.",
)
@click.option("--alias", default="", help="Alias to create, if NAME is a collection without one.")
@click.option(
    "--encoder", metavar="ARTIFACT|SERVER|SPACE", help="Space whose address changes, if NAME is pinned to several."
)
@click.option(
    "--journal",
    "journal_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Journal file; keep it until --finish [default: NAME.move in this folder].",
)
@click.option(
    "--max-objects-per-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Speed limit, in objects per second; 0 for none.",
)
@click.option(
    "--settle-s",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Longest time that a request may be in flight at the switch, in seconds.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@ways_to_end
@connection
def move(
    name: str,
    server: str | None,
    alias: str,
    encoder: str | None,
    journal_path: Path | None,
    dry_run: bool,
    rollback: bool,
    finish: bool,
    keep_name: bool,
    yes: bool,
    weaviate: NamedWeaviate,
    **terms: Any,
) -> None:
    """Give a collection's encoder another address, without encoding.

    For a new host, a token that must go, or a backup that was restored elsewhere. Weaviate keeps the address with the
    vector, and not every version lets it be changed; so everything is copied to a second collection, vectors as they
    are, and the alias is moved to it. Every object and vector is compared, and Weaviate has to encode a text at the new
    address, before the switch. Stopped or killed at any time, the same command goes on where it was.

    \b
    Example:
      samespace weaviate move Articles --server http://new-encoder:8080 --dry-run
      samespace weaviate move Articles --server http://new-encoder:8080
      samespace weaviate move Articles --finish
    """
    require_weaviate()
    from samespace_weaviate.access.patience import Patience
    from samespace_weaviate.migration import CopyPace, Terms
    from samespace_weaviate.migration.moving import moved_schema
    from samespace_weaviate.migration.session import Order, agreed_wish, carry

    path = journal_path or Path(f"{name}.move")
    wish = agreed_wish(rollback, finish, keep_name, path)
    with weaviate() as store:
        require_rights(store, "move", name, f"{alias or name}_new")
        database = store.patient(Patience())

        def schema(migration: Migration) -> dict[str, Any] | None:
            return moved_schema(database.schema(migration.old) or {}, migration, server) if server else None

        order = Order(
            wish=wish,
            path=path,
            plan=lambda: _planned(database, name, alias, encoder, server),
            schema=schema,
            encoder=None,
            terms=Terms(
                pace=CopyPace(max_objects_per_s=terms["max_objects_per_s"]),
                sample=0,
                settle_s=terms["settle_s"],
                keep_name=keep_name,
                force=terms["force"],
                tell=say,
            ),
            dry_run=dry_run,
            yes=yes,
        )
        carry(database, order, Person())


def _planned(database: Database, name: str, alias: str, encoder: str | None, server: str | None) -> Migration:
    """The plan, printed."""
    from samespace_weaviate.migration import references_from_others, sentences
    from samespace_weaviate.migration.moving import moved_schema, plan_move
    from samespace_weaviate.migration.refusals import refuse_without_aliases
    from samespace_weaviate.replicas.alike import require_alike

    if not server:
        raise RequestInvalid(field="--server", reason="a new move needs the new address")
    refuse_without_aliases(database)
    schemas = {each: database.schema(each) or {} for each in database.names()}
    migration = plan_move(
        name,
        uuid4().hex[:12],
        schemas,
        database.aliases(),
        alias=alias,
        space_id=space_of(encoder)[0] if encoder else "",
    )
    require_alike(database, migration.old)
    moved_schema(schemas[migration.old], migration, server)  # so that a wrong --server is found now
    for sentence in sentences(migration, references_from_others(migration, schemas), schemas[migration.old]):
        echo(sentence)
    if not migration.tenants:
        say(f"{database.count(migration.old):,} objects.")
    return migration
