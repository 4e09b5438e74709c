"""Bulk import: some threads encode while others write, and every batch that is done is noted.

Vector and object are written together, so Weaviate calls no vectorizer. Ids come from the passages, so importing again
changes nothing; and what was killed goes on after its last finished batch (`journal`). A hosted encoder's batch is
finished when that was asked again (`samespace.providers.withheld`). Neither side is hurried: a server that is too busy
is waited for, and only a few batches are ever under way (`pipeline`).

What goes wrong with a passage is noted with its reason, and the others go on. An encoder or a Weaviate that stays away
ends the import; running it again goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from samespace.encoder import Encoder, RemoteEncoder
from samespace.errors import (
    RequestInvalid,
    SpaceMismatch,
    WeaviateError,
)
from samespace.providers.withheld import Withheld

from ..access.database import Database
from ..access.patience import Patience
from ..access.values import Passage
from ..audit.searchable import SearchCheck
from ..pinning.spec import DOCUMENT_PROPERTY
from .batches import batches
from .found import search
from .journal import FinishedBatch, ImportJournal, write_failures
from .pipeline import Crew, run
from .report import ImportReport, Tally
from .resumed import holds
from .stages import Stages, Written
from .windows import Target

BATCH: Final = 256
"""Passages of one batch, and objects of one write; a few megabytes, well below gRPC's limit."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import; the defaults are for one Weaviate and one encoder server on machines of their own or shared.

    Attributes:
        tenant_property: the property of a passage that names its tenant.
        state: beginning of the names of two files, STATE.journal and STATE.failures.jsonl; None for neither, so that an
            interrupted import begins anew.
        only: ids to import, None for all.
        crew: threads; with an artifact in this process only one encodes.
        search: whether objects are searched for by their own vector at the end: a sample of them, or all where
            Weaviate was away in between or the import goes on an earlier one, because a Weaviate that is killed may
            leave what it stored out of its index.
    """

    tenant_property: str = ""
    state: Path | None = None
    only: frozenset[str] | None = None
    crew: Crew = field(default_factory=Crew)
    search: bool = True

    @property
    def journal(self) -> Path | None:
        """Where finished batches are noted; nowhere where only some passages are imported."""
        return None if self.state is None or self.only is not None else Path(f"{self.state}.journal")

    @property
    def failures(self) -> Path | None:
        """Where ids and reasons of what was not written are."""
        return None if self.state is None else Path(f"{self.state}.failures.jsonl")


def import_passages(
    database: Database,
    target: Target,
    encoder: Encoder,
    passages: Iterable[Passage],
    *,
    batch: int = BATCH,
    options: ImportOptions | None = None,
    progress: Callable[[int], None] | None = None,
    patience: Patience | None = None,
) -> ImportReport:
    """Encode *passages* and write them into *target*.

    Args:
        passages: are read once, from other threads, one thread at a time.
        batch: passages of a batch; another number is another import to the journal.
        progress: gets each number of passages done.
        patience: with outages of either side; a minute and a half unless given.

    Raises:
        SpaceMismatch: the encoder is of another space; nothing was encoded or sent.
        VectorsDisagree: a hosted encoder is not what was pinned any more; what was written since is not to be trusted.
        WeaviateUnavailable, ServerUnavailable, Overloaded, DeadlineExceeded: one side stayed away; a later run goes on.
        DataInvalid: what *passages* raises.
    """
    if encoder.space_id != target.space_id:
        raise SpaceMismatch(
            expected=target.space_id, found=encoder.space_id, where=f"import into collection {target.collection}"
        )
    options, outages = options or ImportOptions(), _Outages(patience or Patience())
    _check(target, options, batch)
    start, tally, database = time.monotonic(), Tally(), database.patient(outages.counted)
    work = Stages(database, target, encoder, batch, options.tenant_property, outages.counted)
    journal = _journal(target, options, batch, encoder)
    finished = Withheld[FinishedBatch](encoder, journal.note if journal is not None else lambda done: None)
    crew = options.crew if isinstance(encoder, RemoteEncoder) else replace(options.crew, encoders=1)
    wanted, by = _wanted(passages, options.only), options.tenant_property
    there = partial(holds, database, target, tenant_property=by)
    source = batches(wanted, target.collection, batch, journal, tenant_property=by, holds=there)
    try:
        for done in run(source, work.prepare, work.write, crew):
            _count(tally, done)
            finished.add(done.finished)
            if progress is not None:
                progress(done.prepared.batch.size)
        finished.confirm()
    except BaseException:
        _stopped(tally, options)
        raise
    finally:
        if journal is not None:
            journal.close()
    if options.failures is not None:
        write_failures(options.failures, tally.failed)
    sought = None if outages.pauses or tally.skipped else work.written
    found = search(database, target, work.tenants, sought) if options.search else SearchCheck()
    if journal is not None and not tally.failed:
        journal.remove()  # not before: whoever is killed while it searches goes on, and searches for everything
    seconds = time.monotonic() - start
    return tally.report(found, token_limit=encoder.token_limit, form=target.long_texts, seconds=seconds)


def _stopped(tally: Tally, options: ImportOptions) -> None:
    """What a later run has to know."""
    # The journal knows what failed before; a list of ids that is being worked off is kept until it is done.
    if tally.failed and options.failures is not None and options.only is None:
        write_failures(options.failures, tally.failed)


def _wanted(passages: Iterable[Passage], only: frozenset[str] | None) -> Iterable[Passage]:
    return passages if only is None else (each for each in passages if each.id in only)


class _Outages:
    """Counts the pauses that an import made because something was away."""

    def __init__(self, patience: Patience) -> None:
        self.pauses, self._pause = 0, patience.pause
        self.counted = replace(patience, pause=self._count)

    def _count(self, seconds: float) -> None:
        self.pauses += 1
        self._pause(seconds)


def _check(target: Target, options: ImportOptions, batch: int) -> None:
    if batch < 1:
        raise RequestInvalid(field="batch", reason=f"{batch}; expected 1 or more")
    if target.tenant and options.tenant_property:
        raise RequestInvalid(field="tenant", reason="give a tenant or a property that names it, not both")
    if bool(target.tenant or options.tenant_property) != target.multi_tenant:
        has = (
            "keeps its objects by tenant: `of_tenant(NAME)` first, or name the property that says which"
            if target.multi_tenant
            else "has no tenants"
        )
        raise RequestInvalid(field="tenant", reason=f"collection {target.collection} {has}")
    if target.long_texts == "windows" and DOCUMENT_PROPERTY not in target.properties:
        raise WeaviateError(
            f"collection {target.collection} stores windows and lacks property {DOCUMENT_PROPERTY}; nothing was sent: "
            "`samespace weaviate create` adds it"
        )


def _journal(target: Target, options: ImportOptions, batch: int, encoder: Encoder) -> ImportJournal | None:
    """The journal to go on with; each batch of it is held against the collection when its passages are read.

    One that has batches of a hosted encoder which nobody asked again, as there were, has another key.
    """
    if options.journal is None:
        return None
    key: dict[str, Any] = {
        "collection": target.collection,
        "space": target.space_id,
        "longTexts": target.long_texts,
        "batch": batch,
        "tenant": target.tenant,
        "tenantProperty": options.tenant_property,
        **({} if encoder.confirmations is None else {"confirmed": True}),
    }
    journal = ImportJournal.open(options.journal, key)
    journal.begin()
    return journal


def _count(tally: Tally, done: Written) -> None:
    batch = done.prepared.batch
    tally.written += done.written
    tally.removed += done.removed
    tally.long_texts += done.prepared.long_texts
    tally.left_out += done.prepared.left_out
    tally.failed += [*batch.refused, *done.prepared.failed, *done.failed]
    tally.passages += len(batch.passages) + len(batch.refused)
    tally.skipped += len(batch.finished)
