"""A migration or a move from its command to its end: what is wished, the journal taken up, the plan agreed to, done.

What it leaves to others: the plan (`plan`, `moving`), each step (`runner`), showing and asking (`Talk`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

from samespace.encoder import Encoder
from samespace.errors import GuardFailed, MigrationBlocked, RequestInvalid
from samespace.progress import Advance

from ..access.database import Database, is_collection
from .copying.by_name import WrittenByName
from .journal import MigrationJournal
from .moving import plan_return, renamed_schema
from .plan import Migration
from .progress import MigrationState
from .refusals.aliases import refuse_another, refuse_moved_alias
from .refusals.wishes import Asked, refuse_other_names, refuse_other_wishes
from .runner import Migrator, Terms

Wish = Literal["migrate", "rollback", "finish"]
_UNTIL_THE_SWITCH = (MigrationState.PLANNED, MigrationState.CREATED, MigrationState.COPYING)


class Talk(Protocol):
    """How a person is told and asked."""

    def tell(self, sentence: str) -> None:
        """News of what happens."""

    def agree(self, question: str) -> None:
        """Ask for a yes; does not return without one."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show how far something is: see `samespace.progress.Progress`."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a command asks for.

    Attributes:
        asked: what the command was given, held against a migration under way.
        path: of the journal.
        plan: makes and shows the plan of a new one.
        schema: of the new collection, where enough was said to make it; None otherwise.
        encoder: of the new space, where one was given.
        dry_run: stop after the plan.
        yes: agreed to everything beforehand.
        watch: looks at the new collection after the switch; None for nobody.
    """

    wish: Wish
    asked: Asked
    path: Path
    plan: Callable[[], Migration]
    schema: Callable[[Migration], dict[str, Any] | None]
    encoder: Encoder | None
    terms: Terms
    dry_run: bool = False
    yes: bool = False
    watch: Callable[[Migration], WatchOutcome] | None = None


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


def carry(database: Database, order: Order, talk: Talk) -> None:
    """Do what *order* asks for, from wherever its journal is.

    Raises:
        MigrationBlocked: only a person can decide, or has to wait.
        GuardFailed: what `watch` saw led back to the old collection.
        RequestInvalid: the plan cannot be made of what was given.
    """
    with ExitStack() as stack:
        begun = _take_up(stack, database, order, talk)
        if begun is None:
            return
        journal, migration = begun
        state = _go_on(database, journal, migration, order, order.schema(migration), talk)
        if order.watch is not None and order.wish == "migrate":
            if state is not MigrationState.SETTLED:
                raise RequestInvalid(field="--watch", reason=f"the migration is {state}: nothing was watched")
            _watch(database, journal, migration, order, talk)
        if order.terms.keep_name:
            _finish_names(stack, database, migration, order, talk)
        else:
            _refuse_half_named(order.path, migration)


def _refuse_half_named(path: Path, migration: Migration) -> None:
    """A copy back to the old name was broken off, and nobody keeps it up to date: that is not "finished" (`carry`)."""
    beside = _keep_name_journal(path)
    if not beside.exists():
        return
    with MigrationJournal(beside) as journal:
        state = journal.progress.state
    if state not in (MigrationState.NEW, MigrationState.FINISHED, MigrationState.ROLLED_BACK):
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"the copy back to this name is not finished, it is {state} ({beside})",
            remedy="go on with it: the same command with --finish --keep-name",
        )


def _take_up(
    stack: ExitStack, database: Database, order: Order, talk: Talk
) -> tuple[MigrationJournal, Migration] | None:
    """The journal and what it is of: of a migration under way, or of a new one that was agreed to; None for neither."""
    journal = stack.enter_context(MigrationJournal(order.path)) if order.path.exists() else None
    over = journal is not None and _is_over(journal, order)
    if over:
        talk.tell(f"{order.path} is of a migration that is finished; a new one begins.")
    if journal is None or over or journal.progress.state is MigrationState.NEW:
        migration = order.plan()
        if order.dry_run:
            return None
        if not order.yes:
            talk.agree("Go on?")
        if journal is not None and over:
            _set_aside(order.path, str(journal.progress.plan["id"]))
            journal = None
        journal = journal or stack.enter_context(MigrationJournal(order.path))
        journal.note("planned", plan=migration.to_json())
        return journal, migration
    migration = Migration(**journal.progress.plan)
    state = journal.progress.state
    asked = order.asked if order.wish == "migrate" else replace(order.asked, server="")
    refuse_other_wishes(database, migration, asked, order.path)
    talk.tell(f"{order.path}: {migration.alias} to space {migration.to_space[:12]} is {state}.")
    if order.dry_run:
        return None
    finishing = order.wish == "finish" and state is MigrationState.SETTLED
    if finishing and not database.sees_all():
        talk.tell(
            f"The key in use does not see all collections: an alias that it does not see may point to {migration.old}, "
            "and another collection may refer to it."
        )
    if finishing and not order.yes:
        talk.agree(f"Delete {migration.old}? It cannot be undone.")
    return journal, migration


def _is_over(journal: MigrationJournal, order: Order) -> bool:
    """Whether the journal's migration is finished, and something else is asked for."""
    if journal.progress.state is not MigrationState.FINISHED or order.wish != "migrate":
        return False
    done = Migration(**journal.progress.plan)
    refuse_other_names(done, order.asked, order.path)
    return done.carries or (order.encoder is not None and order.encoder.space_id != done.to_space)


def _set_aside(path: Path, migration_id: str) -> None:
    """The journals of a finished migration make room for the next one, and are kept."""
    for each in (path, _keep_name_journal(path)):
        if each.exists():
            each.rename(each.with_name(f"{each.name}.finished-{migration_id}"))


def _keep_name_journal(path: Path) -> Path:
    return path.with_name(f"{path.name}.keep-name")


def _finish_names(stack: ExitStack, database: Database, done: Migration, order: Order, talk: Talk) -> None:
    """The second copy of `keep_name`, back to the old name; goes on where its own journal ends.

    The alias stays, and leads to the collection of the old name.
    """
    path = _keep_name_journal(order.path)
    journal = stack.enter_context(MigrationJournal(path))
    if journal.progress.state is MigrationState.FINISHED and is_collection(database, done.new):
        _set_aside(path, str(journal.progress.plan["id"]))  # of an earlier migration: this one's copy would be gone
        journal = stack.enter_context(MigrationJournal(path))
    if journal.progress.state in (MigrationState.NEW, MigrationState.PLANNED):
        refuse_another(database, done)
    if journal.progress.state is MigrationState.NEW:
        if database.alias_target(done.old):
            raise MigrationBlocked(
                collection=done.old,
                reason="it was finished without --keep-name: the name is an alias by now",
                remedy=f"delete that alias if nobody needs it, and run the same command again: {done.new} is copied",
            )
        journal.note("planned", plan=plan_return(done, uuid4().hex[:12], database.schema(done.new) or {}).to_json())
    migration = Migration(**journal.progress.plan)
    talk.tell(f"{migration.new} is made again from {migration.old}; until then only {migration.alias} is whole.")
    schema = None
    if journal.progress.state is MigrationState.PLANNED:
        schema = renamed_schema(database.schema(migration.old) or {}, migration)
    by_name = None if order.terms.force else WrittenByName()
    terms = replace(order.terms, audit=None, queries=(), keep_name=False, by_name=by_name)
    back = replace(order, wish="migrate", encoder=None, terms=terms)
    if journal.progress.state not in (MigrationState.SETTLED, MigrationState.FINISHED):
        _go_on(database, journal, migration, back, schema, talk)
    _go_on(database, journal, migration, replace(back, wish="finish"), None, talk)


def _go_on(
    database: Database,
    journal: MigrationJournal,
    migration: Migration,
    order: Order,
    schema: dict[str, Any] | None,
    talk: Talk,
) -> MigrationState:
    copying = journal.progress.state in _UNTIL_THE_SWITCH and order.wish == "migrate"
    total = database.count(migration.old) if copying and not migration.tenants else 0
    with talk.progress("objects", total) as advance:
        terms = _with_progress(order.terms, advance)
        state = Migrator(database, journal, schema=schema, encoder=order.encoder, terms=terms).run(order.wish)
    named_again = order.terms.keep_name or (_keep_name_journal(order.path).exists() and order.path == journal.path)
    if state in (MigrationState.SETTLED, MigrationState.FINISHED):
        refuse_moved_alias(database, migration, named_again=named_again)
    if state is MigrationState.SETTLED:
        talk.tell(
            f"{migration.alias} is served from {migration.new}. {migration.old} is still there: the same command with "
            "--rollback leads back to it, --finish deletes it."
        )
    return state


class WatchOutcome(Protocol):
    """How a watch ended: see `cutover.watch.Watched`."""

    @property
    def looks(self) -> int:
        """How often every guard was looked at."""

    @property
    def seconds(self) -> float:
        """How long that took."""

    @property
    def failed(self) -> str:
        """Which guard, and what it saw; "" where none did."""

    @property
    def unseen(self) -> tuple[str, ...]:
        """Guards that had nothing to look at, and why."""

    @property
    def remedies(self) -> tuple[str, ...]:
        """What would make those see something."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What no guard looks at."""


def _watch(database: Database, journal: MigrationJournal, migration: Migration, order: Order, talk: Talk) -> None:
    """Back to the old collection where a guard fails."""
    assert order.watch is not None
    watched = order.watch(migration)
    if not watched.failed and watched.unseen:
        raise MigrationBlocked(
            collection=migration.alias,
            reason=f"the switch was watched for {watched.seconds:.0f} s, and some guards saw nothing that decides: "
            f"{'; '.join(watched.unseen)}",
            remedy=f"{migration.alias} is served from {migration.new}. "
            f"{'; '.join((*watched.remedies, 'the same command with --rollback leads back'))}",
        )
    if not watched.failed:
        held = "; ".join(("every guard held", *watched.left_out))
        talk.tell(f"Watched for {watched.seconds:.0f} s, {watched.looks} times: {held}.")
        return
    talk.tell(f"A guard failed, {watched.failed}. Rolling back.")
    # Nobody is there to say whether clients deleted what the new collection lacks, or the fault that leads back did.
    terms = replace(order.terms, keep_missing=not order.terms.clients_deleted)
    back = replace(order, wish="rollback", encoder=None, terms=terms)
    try:
        _go_on(database, journal, migration, back, None, talk)
    except MigrationBlocked as error:
        talk.tell(f"The way back stopped: {migration.alias} leads to {database.alias_target(migration.alias)}.")
        raise error
    raise GuardFailed(alias=migration.alias, collection=migration.old, reason=watched.failed)


def _with_progress(terms: Terms, advance: Advance) -> Terms:
    return replace(terms, pace=replace(terms.pace, progress=advance))
