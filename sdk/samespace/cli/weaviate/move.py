"""`samespace weaviate move`: the same space at another address of its encoder, without encoding anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from ...errors import RequestInvalid
from ..console import echo, say, wrapped
from ..encoders import SPACE_ID, space_of
from .audit import open_for_audit
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .migrate import Person, ways_to_end

if TYPE_CHECKING:
    from samespace.encoder import Encoder
    from samespace_weaviate.access.database import Database
    from samespace_weaviate.audit import AuditReport
    from samespace_weaviate.migration import Migration, Terms
    from samespace_weaviate.pinning.adopted import Adoption


@click.command()
@click.argument("name")
@click.option(
    "--server",
    envvar="SAMESPACE_SERVER",
    help="Encoder's new HTTP address as seen by Weaviate, http://HOST:PORT; use SAMESPACE_SERVER if it holds a token.",
)
@click.option("--alias", default="", help="Alias to create, if NAME is a collection without one.")
@click.option(
    "--encoder",
    metavar="ARTIFACT|SERVER|SPACE",
    help="Space whose address changes, if NAME is pinned to several; the encoder that wrote it, if its vector is not "
    "named after a space.",
)
@click.option(
    "--guard/--no-guard",
    default=None,
    help="With --encoder: make the copy reject vectors and queries that name no vector [default: guard].",
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
    guard: bool | None,
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

    So a collection that nobody pinned gets a pin that Weaviate enforces, too: with --encoder, its vectors are compared
    with those of that encoder first (see `adopt`), and get the space's name in the copy.

    \b
    Example:
      samespace weaviate move Articles --server http://new-encoder:8080 --dry-run
      samespace weaviate move Articles --server http://new-encoder:8080
      samespace weaviate move Articles --finish
      samespace weaviate move Old --alias Articles --encoder artifacts/minilm --server http://encoder:8080
    """
    require_weaviate()
    from samespace_weaviate.access.patience import Patience
    from samespace_weaviate.migration.refusals.wishes import Asked
    from samespace_weaviate.migration.session import Order, agreed_wish, carry

    path = journal_path or Path(f"{name}.move")
    wish = agreed_wish(rollback, finish, keep_name, path)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "move", name, f"{alias or name}_new")
        database, writer = store.patient(Patience()), _Writer(stack, encoder)
        order = Order(
            wish=wish,
            asked=Asked(name, True, alias, server=server or "", guard=guard),
            path=path,
            plan=lambda: _planned(database, name, alias, writer, server, guard),
            schema=partial(_schema, database, server),
            encoder=None,
            terms=_terms(writer.audit(database), keep_name, **terms),
            dry_run=dry_run,
            yes=yes,
        )
        carry(database, order, Person())


def _schema(database: Database, server: str | None, migration: Migration) -> dict[str, Any] | None:
    """Of the new collection, where the address is known."""
    from samespace_weaviate.migration.moving import moved_schema

    old = database.schema(migration.old)
    return moved_schema(old, migration, server) if server and old is not None else None


def _terms(
    audit: Callable[[str], AuditReport] | None,
    keep_name: bool,
    *,
    max_objects_per_s: float,
    settle_s: float,
    force: bool,
    clients_deleted: bool,
) -> Terms:
    from samespace_weaviate.migration import CopyPace, Terms

    pace = CopyPace(max_objects_per_s=max_objects_per_s)
    return Terms(
        pace,
        sample=0,
        audit=audit,
        settle_s=settle_s,
        keep_name=keep_name,
        force=force,
        clients_deleted=clients_deleted,
        tell=say,
    )


class _Writer:
    """The encoder of --encoder: opened where a collection that nobody pinned has to be compared with it."""

    def __init__(self, stack: ExitStack, named: str | None) -> None:
        self._stack, self._named = stack, named
        self._opened: Encoder | None = None

    @property
    def space_id(self) -> str:
        """Its space; "" where none is named."""
        return space_of(self._named)[0] if self._named else ""

    def adoption(self, database: Database, name: str, schema: Mapping[str, Any]) -> Adoption | None:
        """What is found out about the only vector of a collection that has no pin; None for one that has.

        Raises:
            MigrationBlocked: it is not known who wrote it, or not all of it is of this encoder.
        """
        from samespace_weaviate.adoption.run import as_adoption, look
        from samespace_weaviate.pinning.pin import read_pins

        if read_pins(schema) or not self.can_encode:
            return None
        return as_adoption(look(database, name, [self._open()]))

    @property
    def can_encode(self) -> bool:
        """Whether an encoder is named, and not only its space."""
        return self._named is not None and not SPACE_ID.fullmatch(self._named)

    def audit(self, database: Database) -> Callable[[str], AuditReport] | None:
        """Audits the copy of what was adopted, where there is an encoder to do so."""
        from samespace_weaviate.adoption.search import WRITTEN_WITHIN
        from samespace_weaviate.audit import AuditOptions, audit

        if not self.can_encode:
            return None
        options = AuditOptions(written_within=WRITTEN_WITHIN)
        return lambda name: audit(database, name, self._open(), options)

    def _open(self) -> Encoder:
        if self._opened is None:
            self._opened = self._stack.enter_context(open_for_audit(str(self._named), "fp32"))
        return self._opened


def _planned(
    database: Database, name: str, alias: str, writer: _Writer, server: str | None, guard: bool | None
) -> Migration:
    """The plan, printed."""
    from samespace_weaviate.migration import references_from_others, sentences
    from samespace_weaviate.migration.moving import moved_schema, plan_move
    from samespace_weaviate.migration.refusals.aliases import refuse_other_copies, refuse_without_aliases
    from samespace_weaviate.migration.refusals.unread import refuse_unread_tenants
    from samespace_weaviate.pinning.spec import collection_name
    from samespace_weaviate.replicas.alike import require_alike

    if not server:
        raise RequestInvalid(field="--server", reason="a new move needs the new address")
    refuse_without_aliases(database)
    schemas = {each: database.schema(each) or {} for each in database.names()}
    aliases = database.aliases()
    old = aliases.get(collection_name(name), collection_name(name))
    found = writer.adoption(database, old, schemas[old]) if old in schemas else None
    migration = plan_move(
        name, uuid4().hex[:12], schemas, aliases, alias=alias, space_id=writer.space_id, found=found, guard=guard
    )
    refuse_other_copies(migration, schemas, aliases)
    if migration.renamed is not None and not writer.can_encode:
        raise RequestInvalid(
            field="--encoder",
            reason=f"is missing: vector {migration.old_vector} is adopted, and its copy is audited before it gets the "
            "name of its space; give the encoder that wrote it",
        )
    refuse_unread_tenants(database, migration)
    require_alike(database, migration.old)
    moved_schema(schemas[migration.old], migration, server)  # so that a wrong --server is found now
    for sentence in sentences(migration, references_from_others(migration, schemas), schemas[migration.old]):
        echo(wrapped(sentence))
    if not migration.tenants:
        say(f"{database.count(migration.old):,} objects.")
    return migration
