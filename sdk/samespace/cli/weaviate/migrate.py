"""`samespace weaviate migrate`: carry a collection to another encoder, without downtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import click

from ...errors import DataInvalid, MigrationBlocked, RequestInvalid
from ..console import echo, progress, say
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate.access.database import Database
    from samespace_weaviate.audit import AuditReport
    from samespace_weaviate.migration import Migration, MigrationJournal

    from ...encoder import Encoder

_MOST_QUERIES = 200


@click.command()
@click.argument("name")
@click.option("--to", metavar="ARTIFACT|SERVER", help="New encoder: an artifact or a running server (gRPC).")
@click.option(
    "--server",
    envvar="SAMESPACE_SERVER",
    help="New encoder's HTTP address as seen by Weaviate, http://HOST:PORT; use SAMESPACE_SERVER if it holds a token.",
)
@click.option(
    "--strategy",
    type=click.Choice(["alias", "named-vector"]),
    default="alias",
    show_default=True,
    help="alias copies to a second collection; named-vector adds a vector to the same one, without a journal.",
)
@click.option("--alias", default="", help="Alias to create, if NAME is a collection without one.")
@click.option("--property", "text_property", default="", help="Property that is encoded [default: the old pin's].")
@click.option(
    "--journal",
    "journal_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Journal file; keep it until --finish [default: NAME.migration in this folder].",
)
@click.option(
    "--max-objects-per-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Speed limit, in objects per second; 0 for none.",
)
@click.option("--sample", default=256, show_default=True, help="Objects to encode again before the switch.")
@click.option(
    "--queries",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Queries to compare both collections on before the switch: one per line, or a BEIR queries.jsonl;"
    " at most 200 are used.",
)
@click.option(
    "--settle-s",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Longest time that a request may be in flight at the switch, in seconds; raise it for clients "
    "with large batches.",
)
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Make the new collection reject vectors and queries that name no vector.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and its cost, and stop.")
@click.option("--rollback", is_flag=True, help="Switch back to the old collection, with what was written since.")
@click.option("--finish", is_flag=True, help="Delete the old collection; this cannot be undone.")
@click.option("--keep-name", is_flag=True, help="With --finish: copy once more, back to the old collection's name.")
@click.option("--force", is_flag=True, help="Accept the losses that --finish or --rollback reports.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connection
def migrate(
    name: str,
    to: str | None,
    server: str | None,
    strategy: str,
    alias: str,
    text_property: str,
    journal_path: Path | None,
    guard: bool,
    dry_run: bool,
    rollback: bool,
    finish: bool,
    keep_name: bool,
    yes: bool,
    weaviate: NamedWeaviate,
    **terms: Any,
) -> None:
    """Carry a collection to another encoder, without downtime.

    NAME is the alias that clients use. A new collection is made and filled with every object and its new vector,
    writes that come meanwhile are carried over, a sample is encoded again, and the alias is moved in one step.
    Stopped or killed at any time, the same command goes on where it was. The old collection stays until --finish,
    and until then --rollback leads back.

    \b
    Example:
      samespace weaviate migrate Articles --to artifacts/new --server http://encoder:8080 --dry-run
      samespace weaviate migrate Articles --to localhost:8081 --server http://encoder:8080 --queries queries.txt
      samespace weaviate migrate Articles --finish
    """
    require_weaviate()
    from samespace_weaviate.access.patience import Patience

    from ..encoders import open_encoder

    path = journal_path or Path(f"{name}.migration")
    wish = agreed_wish(rollback, finish, keep_name, path, journalled=strategy == "alias")
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "migrate", name, f"{alias or name}_new")
        database = store.patient(Patience())
        encoder = stack.enter_context(open_encoder(to)) if to else None
        wanted = _Wanted(name, alias, text_property, guard, encoder, server)
        if strategy == "named-vector":
            _second_vector(database, wanted, wish, dry_run, yes, terms)
            return
        plan = partial(_planned, database, wanted, terms["max_objects_per_s"])
        begun = take_up(stack, path, plan, wish, dry_run, yes)
        if begun is None:
            return
        journal, migration = begun
        if encoder is not None:
            terms["audit"] = partial(_audit, database, encoder, terms["sample"])
        schema = _schema(database, migration, encoder, server)
        terms["keep_name"] = keep_name
        go_on(database, journal, migration, wish, encoder, schema, terms)
        if keep_name:
            finish_names(stack, database, path, migration, terms)


Wish = Literal["migrate", "rollback", "finish"]


def agreed_wish(rollback: bool, finish: bool, keep_name: bool, path: Path, *, journalled: bool = True) -> Wish:
    """What is asked for; raises `RequestInvalid` for two things at once, and for going on where nothing was begun."""
    if rollback and finish:
        raise RequestInvalid(field="--rollback and --finish", reason="give one of them")
    if keep_name and not (finish and journalled):
        raise RequestInvalid(field="--keep-name", reason="goes with --finish of strategy alias, and with nothing else")
    wish: Wish = "rollback" if rollback else "finish" if finish else "migrate"
    if wish != "migrate" and journalled and not path.exists():
        raise RequestInvalid(
            field="--journal",
            reason=f"{path} is not there, which tells how far the migration is; give the NAME that it was started "
            f"with (with --alias that is the collection's) in the same folder, or the file: --{wish} --journal FILE",
        )
    return wish


def take_up(
    stack: ExitStack, path: Path, plan: Callable[[], Migration], wish: Wish, dry_run: bool, yes: bool
) -> tuple[MigrationJournal, Migration] | None:
    """The journal and what it is of: of a migration under way, or of a new one that was agreed to; None for neither."""
    from samespace_weaviate.migration import Migration, MigrationJournal, MigrationState

    journal = stack.enter_context(MigrationJournal(path)) if path.exists() else None
    if journal is None or journal.progress.state is MigrationState.NEW:
        migration = plan()
        if dry_run:
            return None
        if not yes:
            click.confirm("Go on?", abort=True, err=True)
        journal = journal or stack.enter_context(MigrationJournal(path))
        journal.note("planned", plan=migration.to_json())
        return journal, migration
    migration = Migration(**journal.progress.plan)
    say(f"{path}: {migration.alias} to space {migration.to_space[:12]} is {journal.progress.state}.")
    if dry_run:
        return None
    if wish == "finish" and not yes and journal.progress.state is MigrationState.SETTLED:
        click.confirm(f"Delete {migration.old}? It cannot be undone.", abort=True, err=True)
    return journal, migration


def finish_names(stack: ExitStack, database: Database, path: Path, done: Migration, terms: dict[str, Any]) -> None:
    """The second copy of `--keep-name`, back to the old name; goes on where its own journal ends.

    The alias stays, and leads to the collection of the old name.
    """
    from samespace_weaviate.migration import Migration, MigrationJournal, MigrationState
    from samespace_weaviate.migration.moving import plan_return, renamed_schema

    journal = stack.enter_context(MigrationJournal(path.with_name(f"{path.name}.keep-name")))
    if journal.progress.state is MigrationState.NEW:
        if done.old in database.aliases():
            raise MigrationBlocked(
                collection=done.old,
                reason="it was finished without --keep-name: the name is an alias by now",
                remedy=f"delete that alias if nobody needs it, and run the same command again: {done.new} is copied",
            )
        journal.note("planned", plan=plan_return(done, uuid4().hex[:12]).to_json())
    migration = Migration(**journal.progress.plan)
    say(f"{migration.new} is made anew from {migration.old}; until that is done, only {migration.alias} is whole.")
    schema = None
    if journal.progress.state is MigrationState.PLANNED:
        schema = renamed_schema(database.schema(migration.old) or {}, migration)
    terms = {**terms, "audit": None, "queries": None, "keep_name": False}
    if journal.progress.state not in (MigrationState.SETTLED, MigrationState.FINISHED):
        go_on(database, journal, migration, "migrate", None, schema, terms)
    go_on(database, journal, migration, "finish", None, None, terms)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the options ask for."""

    name: str
    alias: str
    text_property: str
    guard: bool
    encoder: Encoder | None
    server: str | None


def _planned(database: Database, wanted: _Wanted, max_objects_per_s: float) -> Migration:
    """The plan, printed with its cost."""
    from samespace_weaviate.migration import (
        Wanted,
        new_schema,
        plan_migration,
        references_from_others,
        sentences,
        survey,
    )
    from samespace_weaviate.migration.refusals import refuse_without_aliases
    from samespace_weaviate.replicas.alike import require_alike

    encoder, server = wanted.encoder, wanted.server
    if encoder is None or not server:
        raise RequestInvalid(field="--to and --server", reason="a new migration needs both")
    refuse_without_aliases(database)
    schemas = {name: database.schema(name) or {} for name in database.names()}
    migration = plan_migration(
        Wanted(wanted.name, encoder.space_id, wanted.alias, wanted.text_property, wanted.guard),
        uuid4().hex[:12],
        schemas,
        database.aliases(),
    )
    require_alike(database, migration.old)
    new_schema(schemas[migration.old], migration, server, encoder.name)  # so that a wrong --server is found now
    for sentence in sentences(migration, references_from_others(migration, schemas), schemas[migration.old]):
        echo(sentence)
    for sentence in survey(database, migration, encoder, max_objects_per_s=max_objects_per_s).sentences():
        echo(sentence)
    return migration


def _second_vector(
    database: Database, wanted: _Wanted, wish: str, dry_run: bool, yes: bool, terms: dict[str, Any]
) -> None:
    """The other strategy, from plan to end."""
    from samespace_weaviate.migration import CopyPace
    from samespace_weaviate.migration.named_vector import drop_old, fill, plan_encoder
    from samespace_weaviate.replicas.alike import require_alike

    encoder, server = wanted.encoder, wanted.server
    if encoder is None or not server:
        raise RequestInvalid(field="--to and --server", reason="the strategy named-vector always needs both")
    if wish == "rollback":
        raise RequestInvalid(
            field="--rollback", reason="nothing was moved: clients go back by naming the old vector again"
        )
    require_alike(database, wanted.name)
    plan = plan_encoder(database, wanted.name, encoder, server, wanted.text_property)
    for sentence in plan.sentences():
        echo(sentence)
    if dry_run:
        return
    if not yes:
        click.confirm(
            "Drop the old vectors? It cannot be undone." if wish == "finish" else "Go on?", abort=True, err=True
        )
    if wish == "finish":
        for sentence in drop_old(database, plan):
            say(sentence)
        return
    with progress("objects", 0) as advance:
        done = fill(database, plan, encoder, CopyPace(max_objects_per_s=terms["max_objects_per_s"], progress=advance))
    say(f"{done} objects got {plan.vector}. Run it again at any time: those that have it are passed over.")


def _audit(database: Database, encoder: Encoder, sample: int, name: str) -> AuditReport:
    from samespace_weaviate.audit import AuditOptions, audit

    return audit(database, name, encoder, AuditOptions(sample=sample))


def _schema(
    database: Database, migration: Migration, encoder: Encoder | None, server: str | None
) -> dict[str, Any] | None:
    """Of the new collection, where enough was said to make it."""
    from samespace_weaviate.migration import new_schema

    if encoder is None or not server or database.schema(migration.old) is None:
        return None
    return new_schema(database.schema(migration.old) or {}, migration, server, encoder.name)


def go_on(
    database: Database,
    journal: MigrationJournal,
    migration: Migration,
    wish: Wish,
    encoder: Encoder | None,
    schema: dict[str, Any] | None,
    terms: dict[str, Any],
) -> None:
    """Do what *wish* needs, with progress on stderr."""
    from samespace_weaviate.migration import CopyPace, MigrationState, Migrator, Terms

    copying = journal.progress.state in (MigrationState.PLANNED, MigrationState.CREATED, MigrationState.COPYING)
    total = database.count(migration.old) if copying and wish == "migrate" and not migration.tenants else 0
    with progress("objects", total) as advance:
        pace = CopyPace(max_objects_per_s=terms["max_objects_per_s"], progress=advance)
        state = Migrator(
            database,
            journal,
            schema=schema,
            encoder=encoder,
            terms=Terms(
                pace=pace,
                sample=terms["sample"],
                audit=terms.get("audit"),
                queries=queries_of(terms["queries"]),
                settle_s=terms["settle_s"],
                keep_name=terms["keep_name"],
                force=terms["force"],
                tell=say,
            ),
        ).run(wish)
    if state is MigrationState.SETTLED:
        say(
            f"{migration.alias} is served from {migration.new}. {migration.old} is still there: the same command with "
            "--rollback leads back to it, --finish deletes it."
        )


def queries_of(path: Path | None) -> tuple[str, ...]:
    """The texts of a file of queries: one a line, or the "text" of JSON lines."""
    if path is None:
        return ()
    found = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        text = line.strip()
        if text.startswith("{"):
            try:
                text = str(json.loads(text)["text"])
            except (ValueError, KeyError) as error:
                raise DataInvalid(path=str(path), reason=f'expected "text" in {text[:40]!r}') from error
        if text:
            found.append(text)
    return tuple(found[:_MOST_QUERIES])
