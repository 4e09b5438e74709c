"""`samespace weaviate migrate`: carry a collection to another encoder, without downtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from ...errors import DataInvalid, RequestInvalid
from ...progress import Advance
from ..console import echo, progress, say, wrapped
from ..durations import Duration
from .audit import open_for_audit, tell_cost
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate.access.database import Database
    from samespace_weaviate.audit import AuditReport
    from samespace_weaviate.cutover.verdict import CutoverVerdict
    from samespace_weaviate.cutover.watch import Watched
    from samespace_weaviate.migration import Migration, Terms

    from ...encoder import Encoder

_MOST_QUERIES = 200


_WAYS_TO_END = (
    click.option("--rollback", is_flag=True, help="Switch back to the old collection, with what was written since."),
    click.option("--finish", is_flag=True, help="Delete the old collection; this cannot be undone."),
    click.option("--keep-name", is_flag=True, help="With --finish: copy once more, back to the old collection's name."),
    click.option(
        "--force",
        is_flag=True,
        help="Accept the losses that --finish or --rollback reports; switch to an encoder that does not answer.",
    ),
    click.option(
        "--clients-deleted",
        is_flag=True,
        help="With --finish, --rollback or --watch: objects that the new collection lacks were deleted by clients.",
    ),
    click.option("--yes", is_flag=True, help="Do not ask for confirmation."),
)


def ways_to_end(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `migrate` and `move` that lead back or come to an end."""
    for option in reversed(_WAYS_TO_END):
        command = option(command)
    return command


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
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Objects to encode again before the switch.",
)
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
    default=None,
    help="Make the new collection reject vectors and queries that name no vector [default: guard].",
)
@click.option(
    "--watch",
    "watch_s",
    type=Duration(),
    help="Look at the new collection for so long after the switch (90s, 15m), and roll back if a guard fails.",
)
@click.option(
    "--judged",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --watch: BEIR folder of judged queries on which the new collection must not be worse.",
)
@click.option("--split", default="test", show_default=True, help="Split of --judged.")
@click.option("--id-property", default="passageId", show_default=True, help="Property with an id of --judged.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its cost, and stop.")
@ways_to_end
@connection
def migrate(
    name: str,
    to: str | None,
    server: str | None,
    strategy: str,
    alias: str,
    text_property: str,
    journal_path: Path | None,
    guard: bool | None,
    weaviate: NamedWeaviate,
    **terms: Any,
) -> None:
    """Carry a collection to another encoder, without downtime.

    NAME is the alias that clients use. A new collection is made and filled with every object and its new vector,
    writes that come meanwhile are carried over, a sample is encoded again, and the alias is moved in one step.
    Stopped or killed at any time, the same command goes on where it was. The old collection stays until --finish,
    and until then --rollback leads back.

    With --watch, the new collection's pin, its answers and times beside the old one's (--queries, else texts of its
    own), and judged queries are looked at after the switch; where they fail, it is rolled back, with exit code 1.

    \b
    Example:
      samespace weaviate migrate Articles --to artifacts/new --server http://encoder:8080 --dry-run
      samespace weaviate migrate Articles --to localhost:8081 --server http://encoder:8080 --watch 15m
      samespace weaviate migrate Articles --finish
    """
    require_weaviate()
    from samespace_weaviate.access.patience import Patience
    from samespace_weaviate.migration.refusals.wishes import Asked
    from samespace_weaviate.migration.session import Order, agreed_wish, carry

    path = journal_path or Path(f"{name}.migration")
    wish = agreed_wish(terms["rollback"], terms["finish"], terms["keep_name"], path, journalled=strategy == "alias")
    _check_watch(wish, strategy, terms)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "migrate", name, f"{alias or name}_new")
        database = store.patient(Patience())
        # Only a second vector is encoded here; all else is held against the exact build.
        build = "auto" if strategy == "named-vector" and wish == "migrate" else "fp32"
        encoder = stack.enter_context(open_for_audit(to, build)) if to else None
        wanted = _Wanted(name, alias, text_property, guard is not False, encoder, server)
        if strategy == "named-vector":
            _second_vector(database, wanted, wish, terms)
            return
        order = Order(
            wish=wish,
            asked=Asked(name, False, alias, text_property, server or "", guard),
            path=path,
            plan=partial(_planned, database, wanted, terms["max_objects_per_s"]),
            schema=partial(_schema, database, wanted),
            encoder=encoder,
            terms=_terms(database, encoder, terms),
            dry_run=terms["dry_run"],
            yes=terms["yes"],
            watch=partial(_watched, database, terms, encoder) if terms["watch_s"] else None,
        )
        carry(database, order, Person())


def _check_watch(wish: str, strategy: str, options: Mapping[str, Any]) -> None:
    if options["watch_s"] is not None and (wish != "migrate" or strategy != "alias"):
        raise RequestInvalid(field="--watch", reason="goes with a migration of strategy alias, up to its switch")
    if options["judged"] is not None and options["watch_s"] is None:
        raise RequestInvalid(field="--judged", reason="goes with --watch; by itself, see `samespace weaviate compare`")


def _watched(database: Database, options: Mapping[str, Any], encoder: Encoder | None, migration: Migration) -> Watched:
    """Look at every guard until the time is up, or one fails."""
    from samespace_weaviate.access.patience import NONE
    from samespace_weaviate.cutover.asking import MOST_TENANTS, query_guard
    from samespace_weaviate.cutover.watch import judged_guard, pin_guard, watch

    database = database.patient(NONE)  # an answer that has to be waited for is what a guard is there to see
    queries, own = query_guard(database, migration, queries_of(options["queries"]), encoder)
    guards = [pin_guard(database, migration), queries]
    if options["judged"] is not None:
        guards.append(judged_guard(partial(_compared, own, options, migration)))
    one = f"; queries are asked of up to {MOST_TENANTS} tenants with objects in turn" if migration.tenants else ""
    one += ", the judged ones of the first" if migration.tenants and options["judged"] is not None else ""
    names = ", ".join(guard.name for guard in guards)
    say(wrapped(f"Watching {migration.alias} for {options['watch_s']:.0f} s: {names}{one}."))
    return watch(guards, options["watch_s"])


def _compared(database: Database, options: Mapping[str, Any], migration: Migration) -> CutoverVerdict:
    from samespace_weaviate.cutover.compare import CutoverSide, compare_collections

    from ...evaluation import load_dataset

    dataset, key = load_dataset(options["judged"], options["split"]), options["id_property"]
    old, new = (CutoverSide(database, name, None, key) for name in (migration.old, migration.new))
    verdict = compare_collections(old, new, dataset.queries, dataset).verdict
    say(f"Judged queries: {verdict.decision.value}, {verdict.why}.")
    return verdict


def _terms(database: Database, encoder: Encoder | None, options: dict[str, Any]) -> Terms:
    from samespace_weaviate.migration import CopyPace, Terms

    return Terms(
        pace=CopyPace(max_objects_per_s=options["max_objects_per_s"]),
        sample=options["sample"],
        audit=None if encoder is None else partial(_audit, database, encoder, options["sample"]),
        queries=queries_of(options["queries"]),
        settle_s=options["settle_s"],
        keep_name=options["keep_name"],
        force=options["force"],
        clients_deleted=options["clients_deleted"],
        tell=say,
    )


class Person:
    """Whoever sits at the terminal: see `samespace_weaviate.migration.session.Talk`."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return progress(label, total)

    def tell(self, sentence: str) -> None:
        say(sentence)

    def agree(self, question: str) -> None:
        click.confirm(question, abort=True, err=True)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the options ask for."""

    name: str
    alias: str
    text_property: str
    guard: bool
    encoder: Encoder | None
    server: str | None

    @property
    def hosted(self) -> bool:
        """Whether the encoder is a provider's, which no module of Weaviate can be pinned to."""
        from ...providers.encoder import ProviderEncoder

        return isinstance(self.encoder, ProviderEncoder)


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
    from samespace_weaviate.migration.refusals.aliases import refuse_other_copies, refuse_without_aliases
    from samespace_weaviate.replicas.alike import require_alike

    encoder, server = wanted.encoder, wanted.server
    if encoder is None or not (server or wanted.hosted):
        raise RequestInvalid(field="--to and --server", reason="a new migration needs both")
    if server and wanted.hosted:
        raise RequestInvalid(
            field="--server", reason=f"leave it out: no samespace server gives {encoder.name}'s vectors"
        )
    refuse_without_aliases(database)
    schemas, aliases = {name: database.schema(name) or {} for name in database.names()}, database.aliases()
    migration = plan_migration(
        Wanted(wanted.name, encoder.space_id, wanted.alias, wanted.text_property, wanted.guard),
        uuid4().hex[:12],
        schemas,
        aliases,
    )
    refuse_other_copies(migration, schemas, aliases)
    require_alike(database, migration.old)
    new_schema(schemas[migration.old], migration, server or "", encoder.name)  # so that a wrong --server is found now
    for sentence in sentences(migration, references_from_others(migration, schemas), schemas[migration.old]):
        echo(wrapped(sentence))
    if wanted.hosted:
        tell_cost(encoder, migration.old)
        echo(
            f"Weaviate encodes nothing for {migration.new}: clients bring vectors of {encoder.name} with each object "
            "and query, as samespace's do. Queries by text fail, and objects without a vector stay without."
        )
    for sentence in survey(database, migration, encoder, max_objects_per_s=max_objects_per_s).sentences():
        echo(wrapped(sentence))
    return migration


def _second_vector(database: Database, wanted: _Wanted, wish: str, terms: dict[str, Any]) -> None:
    """The other strategy, from plan to end."""
    from samespace_weaviate.migration import CopyPace
    from samespace_weaviate.migration.named_vector import drop_old, fill, plan_encoder
    from samespace_weaviate.replicas.alike import require_alike

    encoder, server = wanted.encoder, wanted.server
    if encoder is None or not server or wanted.hosted:
        reason = "the strategy named-vector always needs both, and an encoder that samespace serves"
        raise RequestInvalid(field="--to and --server", reason=reason)
    if wish == "rollback":
        raise RequestInvalid(
            field="--rollback", reason="nothing was moved: clients go back by naming the old vector again"
        )
    require_alike(database, wanted.name)
    plan = plan_encoder(database, wanted.name, encoder, server, wanted.text_property)
    for sentence in plan.sentences():
        echo(wrapped(sentence))
    if terms["dry_run"]:
        return
    if not terms["yes"]:
        click.confirm(
            "Drop the old vectors? It cannot be undone." if wish == "finish" else "Go on?", abort=True, err=True
        )
    if wish == "finish":
        say("Every object is searched for by its new vector first.")
        for sentence in drop_old(database, plan, encoder):
            say(sentence)
        return
    with progress("objects", 0) as advance:
        done = fill(database, plan, encoder, CopyPace(max_objects_per_s=terms["max_objects_per_s"], progress=advance))
    say(f"{done} objects got {plan.vector}. Run it again at any time: those that have it are passed over.")


def _audit(database: Database, encoder: Encoder, sample: int, name: str) -> AuditReport:
    from samespace_weaviate.audit import AuditOptions, audit

    return audit(database, name, encoder, AuditOptions(sample=sample))  # confirms the encoder before the switch


def _schema(database: Database, wanted: _Wanted, migration: Migration) -> dict[str, Any] | None:
    """Of the new collection, where enough was said to make it."""
    from samespace_weaviate.migration import new_schema

    old = database.schema(migration.old)
    if wanted.encoder is None or not (wanted.server or wanted.hosted) or old is None:
        return None
    return new_schema(old, migration, wanted.server or "", wanted.encoder.name)


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
