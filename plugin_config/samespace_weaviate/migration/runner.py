"""Drives a migration: asks the state machine what is next, does it, and notes it.

What is decided is in `progress`, `plan` and `compare`; what is carried is in `transfer`. Here is the order of effects
and notes, and the one moment that readers notice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from samespace.encoder import Encoder
from samespace.errors import MigrationBlocked, SpaceMismatch, WeaviateError

from ..access.database import Database, is_collection
from ..audit import AuditReport
from ..audit.words import verdict
from ..replicas.alike import factor, require_alike
from .compare import Moved
from .copying.by_name import WrittenByName
from .copying.route import CopyPace, CopyRoute, PassLimits, vectors_of
from .copying.transfer import Transfer, put_to_sleep
from .discarding import discard, discard_left_over, refuse_elsewhere_begun
from .journal import MigrationJournal
from .moving import require_encoding, verify_moved
from .plan import Migration
from .progress import BEFORE_SWITCH, NEW_IS_THERE, MigrationState, Step, Wish, next_step
from .refusals.aliases import (
    is_made_by,
    make_alias,
    refuse_another,
    refuse_elsewhere,
    refuse_gone,
    refuse_if_named,
    refuse_other_copies,
    refuse_without_aliases,
)
from .refusals.findings import refuse_another_encoder, refuse_unsearchable, refuse_what_was_found
from .refusals.late import refuse_late_writes
from .refusals.schemas import (
    refuse_changed_settings,
    refuse_if_referred_to,
    refuse_lost_vectors,
    refuse_settings_of_new,
    refuse_unlike_properties,
    refuse_without_module,
)
from .switch import ROUNDS, move_alias, settle, settled_ms
from .verification import Verification, counted, verify

QUIET: Final = 64
"""A round that changes no more than this is followed by the switch; what comes later is carried over after it."""
_RECOUNTS: Final = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """How a migration is done.

    Attributes:
        pace: of copying.
        sample: objects that are encoded again before the switch; more takes longer and finds rarer faults.
        audit: audits the new collection before the switch, and is held against; it reads no cold tenants, and what is
            above does. None for none.
        queries: that are asked of both collections before the switch, to tell how answers change.
        settle_s: seconds, how long requests that were under way when the alias moved may take to reach the old
            collection. 2 unless given; more where clients send batches that take longer.
        keep_name: leave the old name free at the end, for a copy that goes back to it.
        force: carry on where objects would be given up: see `finish` and `rollback`.
        clients_deleted: what the new collection lacks of the old one was deleted by clients, whoever asks.
        by_name: sees what clients write to a new collection whose name they know; None where they do not.
        keep_missing: a way back deletes nothing: nobody is there to say who made the new collection lack it.
        tell: gets a sentence for each thing that happens.
    """

    pace: CopyPace = field(default_factory=CopyPace)
    sample: int = 256
    audit: Callable[[str], AuditReport] | None = None
    queries: tuple[str, ...] = ()
    settle_s: float = 2.0
    keep_name: bool = False
    force: bool = False
    clients_deleted: bool = False
    keep_missing: bool = False
    by_name: WrittenByName | None = None
    tell: Callable[[str], None] = lambda sentence: None


class Migrator:
    """One migration, from wherever its journal says to wherever it is wanted.

    Args:
        database: the Weaviate.
        journal: of this migration; `planned` is its first fact.
        schema: of the new collection; needed until that is made.
        encoder: of the new space; needed until the collection has switched.
        terms: how.
    """

    def __init__(
        self,
        database: Database,
        journal: MigrationJournal,
        *,
        schema: dict[str, Any] | None = None,
        encoder: Encoder | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.database, self.journal, self.terms = database, journal, terms or Terms()
        self.migration = Migration(**journal.progress.plan)
        self._schema, self._encoder = schema, encoder
        if encoder is not None and encoder.space_id != self.migration.to_space:
            raise SpaceMismatch(
                expected=self.migration.to_space, found=encoder.space_id, where=f"migration of {self.migration.alias}"
            )

    def run(self, wish: Wish) -> MigrationState:
        """Do what *wish* needs, step by step; call it again after whatever stopped it.

        Raises:
            MigrationBlocked: somebody has to decide or mend something; nothing is lost.
            WeaviateUnavailable, ServerUnavailable: run it again when they are back.
        """
        if self.journal.progress.state in NEW_IS_THERE and not self._gives_up(wish):
            refuse_another(self.database, self.migration)
        if wish == "rollback":
            refuse_elsewhere_begun(self.database, self.migration, self.journal.progress.state, force=self.terms.force)
        next_step(self.journal.progress, wish)  # what cannot be fulfilled changes nothing, not even a tenant
        for collection, tenant in sorted(self.journal.progress.woken):
            put_to_sleep(self.database, self.journal, collection, tenant)
        while (step := next_step(self.journal.progress, wish)) is not None:
            self._do(step)
        if self.journal.progress.state is MigrationState.ROLLED_BACK:
            discard_left_over(self.database, self.migration, self.terms.tell)
        return self.journal.progress.state

    def _gives_up(self, wish: Wish) -> bool:
        """Whether a person ends it who knows that the new collection is not there any more."""
        return wish == "rollback" and self.terms.force and self.journal.progress.state in BEFORE_SWITCH

    def _do(self, step: Step) -> None:
        match step:
            case Step.CREATE:
                self._create()
            case Step.COPY:
                self._forth().first_copy()
                self.journal.note("copied_all")
            case Step.CATCH_UP:
                self._catch_up(self._forth())
                self._verify()
            case Step.SWITCH:
                self._switch(self._forth(), "switching")
            case Step.CONFIRM:
                self._confirm("switched", "not_switched", self.migration.new)
            case Step.SETTLE:
                transfer = self._forth()
                self.journal.note("settled", at_ms=settled_ms(transfer, settle(transfer, self.terms.settle_s)))
            case Step.RETURN:
                self._return()
            case Step.CONFIRM_BACK:
                self._confirm("unswitched", "not_unswitched", self.migration.old)
            case Step.SETTLE_BACK:
                settle(self._back(), self.terms.settle_s)
                self.journal.note("settled_back")
            case Step.DISCARD:
                discard(self.database, self.journal, self.migration, self.terms.tell)
            case Step.DROP:
                self._drop()

    def _create(self) -> None:
        migration, schema = self.migration, self._schema
        if schema is None:
            raise MigrationBlocked(
                collection=migration.new,
                reason="its schema is not known",
                remedy="give --server again, and --to where there is a new encoder",
            )
        refuse_without_aliases(self.database)
        require_alike(self.database, migration.old, pause=self.terms.pace.pause)
        if not is_made_by(self.database, migration):
            try:
                self.database.create(schema)
            except WeaviateError:
                if not is_made_by(self.database, migration):  # else the answer to an earlier try got lost
                    raise
        schemas = {name: self.database.schema(name) or {} for name in self.database.names()}
        refuse_other_copies(migration, schemas, self.database.aliases())  # of somebody who planned at the same time
        self._require_encoding()
        if migration.makes_alias:
            make_alias(self.database, migration.alias, migration.old)
            self.terms.tell(f"{migration.alias} is an alias of {migration.old} now: let clients use it.")
        self.journal.note("created")

    def _require_encoding(self) -> None:
        """Queries by text have to work at the new address before readers are sent there."""
        if not self.terms.force:
            require_encoding(self.database, self.migration)

    def _catch_up(self, transfer: Transfer) -> Moved:
        """Rounds until one changes next to nothing; the last one."""
        for _ in range(ROUNDS):
            moved = transfer.round()
            self.terms.tell(f"Caught up: {moved.written} objects written, {moved.deleted} deleted.")
            if moved.changed <= QUIET:
                forth = transfer.route.source == self.migration.old
                if forth or not self.terms.force:
                    refuse_unlike_properties(transfer, self.migration)
                if not self.terms.force:
                    refuse_lost_vectors(transfer, self.migration)
                    if forth:
                        refuse_changed_settings(self.database, self.migration)
                return moved
        raise MigrationBlocked(
            collection=self.migration.old,
            reason=f"it changes faster than it can be copied: {moved.changed} objects in the last round",
            remedy="run the same command at a quieter time, or with a faster encoder",
        )

    def _require_alike(self, transfer: Transfer) -> None:
        """Raise unless the replicas of both collections hold the same: counts and audits see one of them."""
        if self.database.levels.decide == "ONE" or factor(self.database, self.migration.old) <= 1:
            return
        for tenant in transfer.tenants():
            with transfer.awake(tenant):
                for name in (transfer.route.source, transfer.route.target):
                    require_alike(self.database, name, [tenant], pause=self.terms.pace.pause)

    def _verify(self) -> None:
        terms, migration = self.terms, self.migration
        self._require_alike(self._forth())
        self._require_encoding()
        found = self._verified()
        for sentence in found.sentences():
            terms.tell(sentence)
        if found.old != found.new and not self._counts_meet():
            raise MigrationBlocked(
                collection=migration.new,
                reason=f"it has {found.new} objects, {migration.old} has {found.old}, and copying again does not "
                "change that",
                remedy="nothing was switched. If nobody writes or deletes meanwhile, look at both with `samespace "
                "weaviate audit`, and at their replicas; then run the same command again",
            )
        refuse_what_was_found(found, migration)
        if not terms.force:  # which blames the server, so the stored vectors have to be right
            refuse_another_encoder(self._forth(), migration, terms.tell)
        self._audit()
        self.journal.note(
            "verified", old=found.old, new=found.new, sampled=found.sampled, worst=found.worst, overlap=found.overlap
        )

    def _verified(self) -> Verification:
        terms, migration = self.terms, self.migration
        if migration.carries:
            return verify_moved(self._forth(), migration)
        return verify(
            self._forth(), migration, self._needed(), sample=terms.sample, queries=terms.queries, seed=migration.id
        )

    def _counts_meet(self) -> bool:
        """Whether both come to as many objects after further rounds, or clients' writes explain the rest."""
        transfer = self._forth()
        for _ in range(_RECOUNTS):
            moved = transfer.round()
            old, new = counted(transfer)
            if old == new or abs(old - new) <= moved.changed <= QUIET:
                return True
        return False

    def _audit(self) -> None:
        if self.terms.audit is None:
            return
        report = self.terms.audit(self.migration.new)
        self.terms.tell(f"Audit: {verdict(report)}")
        if report.wrong:
            first = report.offenders[0]
            raise MigrationBlocked(
                collection=self.migration.new,
                reason=f"the audit found {report.wrong} wrong objects, the first {first.uuid}: {first.reason}",
                remedy=f"see `samespace weaviate audit {self.migration.new} --encoder ENCODER`; then roll back, and "
                "migrate again",
            )

    def _switch(self, transfer: Transfer, intent: str) -> None:
        tell, force = self.terms.tell, self.terms.force
        move_alias(transfer, self.migration, intent, lambda: self._catch_up(transfer), tell, force=force)

    def _confirm(self, moved: str, not_moved: str, target: str) -> None:
        """Note where the alias really points: a crash may have come on either side of moving it."""
        found, migration = self.database.alias_target(self.migration.alias), self.migration
        if found not in (migration.old, migration.new):
            raise MigrationBlocked(
                collection=migration.alias,
                reason=f"the alias points to {found or 'nothing'}",
                remedy=f"point it to {migration.old} or {migration.new}, then run the same command",
            )
        self.journal.note(moved if found == target else not_moved)

    def _return(self) -> None:
        refuse_gone(self.database, self.migration)
        if not self.terms.force:  # before it is noted: --finish is as open as this until then
            refuse_unlike_properties(self._back(), self.migration)
            refuse_lost_vectors(self._back(), self.migration)
            refuse_settings_of_new(self.database, self.migration, self.journal.progress.settings)
            refuse_if_referred_to(self.database, self.migration, going=self.migration.new, staying=self.migration.old)
        if not self.terms.force and not self.migration.carries:
            refuse_without_module(self.database, self.migration)
        self._require_alike(self._back())
        self._refuse_late_writes(
            "they would be overwritten by the way back", "they would come back", "the way back deletes them"
        )
        if self.journal.progress.state is MigrationState.SETTLED:
            self.journal.note("returning")
        self._switch(self._back(), "unswitching")

    def _drop(self) -> None:
        migration = self.migration
        found = self.database.alias_target(migration.alias)
        if found != migration.new:
            raise MigrationBlocked(
                collection=migration.alias,
                reason=f"the alias points to {found or 'nothing'}, not to {migration.new}",
                remedy="point it there, then run the command again",
            )
        if is_collection(self.database, migration.old):
            # It takes longest, so the others come after it.
            refuse_unsearchable(self._forth(), migration, self.terms.tell)
            refuse_if_named(self.database, migration.old)
            if not self.terms.force:
                refuse_another_encoder(self._forth(), migration, self.terms.tell)
                refuse_if_referred_to(self.database, migration, going=migration.old, staying=migration.new)
                refuse_lost_vectors(self._forth(), migration)
                refuse_changed_settings(self.database, migration)
                self._require_alike(self._forth())
            self._refuse_late_writes(
                f"they are not in {migration.new}", f"they still are in {migration.new}", "they will be gone for good"
            )
            self.database.delete_collection(migration.old)
        if migration.makes_alias and not self.terms.keep_name:
            make_alias(self.database, migration.old, migration.new)
        self.journal.note("finished")
        self.terms.tell(f"Finished: {migration.old} is gone, {migration.alias} is {migration.new}.")

    def _refuse_late_writes(self, *because: str) -> None:
        """See `refusals.late.refuse_late_writes`."""
        progress = self.journal.progress
        if not self.terms.force and progress.state in (MigrationState.SETTLED, MigrationState.RETURNING):
            refuse_late_writes(self._forth(), self.migration, progress, because, self.terms)

    def _forth(self) -> Transfer:
        migration = self.migration
        encode = None if self._encoder is None else vectors_of(self._needed(), "passage")
        hosted = self._encoder if self._encoder is not None and self._encoder.confirmations is not None else None
        done = self.journal.progress.state in (MigrationState.SETTLED, MigrationState.RETURNING)
        if encode is None and not migration.carries and not done:
            self._needed()
        route = CopyRoute(
            migration.old,
            migration.new,
            migration.text_property,
            migration.tenants,
            migration.new_vector,
            encode,
            migration.carries,
            migration.renamed,
            hosted,
        )
        return self._transfer(route)

    def _back(self) -> Transfer:
        """The way back: the old collection's own module encodes what was written since the switch."""
        migration = self.migration
        route = CopyRoute(
            migration.new,
            migration.old,
            migration.text_property,
            migration.tenants,
            carries=migration.carries,
            renamed=(migration.renamed[1], migration.renamed[0]) if migration.renamed else None,
        )
        settled_ms = 0 if self.terms.force else self.journal.progress.settled_ms
        return self._transfer(route, settled_ms, keep=self.terms.keep_missing)

    def _transfer(self, route: CopyRoute, late_ms: int = 0, *, keep: bool = False) -> Transfer:
        def allowed() -> None:
            refuse_elsewhere(self.database, self.migration, route.source)

        return Transfer(
            self.database, self.journal, route, self.terms.pace, PassLimits(allowed, late_ms, keep, self.terms.by_name)
        )

    def _needed(self) -> Encoder:
        if self._encoder is None:
            raise MigrationBlocked(
                collection=self.migration.alias,
                reason=f"the migration is {self.journal.progress.state}, and needs the new encoder",
                remedy="give it with --to",
            )
        return self._encoder
