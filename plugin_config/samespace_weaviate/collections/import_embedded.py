"""Import of the parts that `samespace embed` made: here one after the other, or by Ray's actors at the same time.

A part is finished when Weaviate has answered for all of its objects. Finished parts are noted in a journal, and ids
come from the passages, so what is killed is run again and doubles nothing. The pin is read before each part.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from samespace.bulk.cluster import Cluster, map_numbers
from samespace.errors import RequestInvalid

from ..access.database import Database
from ..access.values import Failure
from ..importing.embedded import EmbeddedFolder, KnownVectors, read_documents
from ..importing.found import search
from ..importing.importer import ImportOptions
from ..importing.journal import FinishedBatch, ImportJournal, write_failures
from ..importing.pipeline import Crew
from ..importing.report import ImportReport
from ..importing.resumed import holds
from ..importing.windows import ASKED_FOR
from .collection import PinnedCollection

OpenDatabase = Callable[[], AbstractContextManager[Database]]
"""Opens a Weaviate, in this process or in one of Ray's actors, which get a copy of it."""


@dataclass(frozen=True, slots=True)
class PartImport:
    """What is imported where.

    Attributes:
        folder: of parts.
        collection: its name.
        tenant, tenant_property: as in `ImportOptions`.
        batch: objects of one write.
        writers: writes at a time, of each actor.
    """

    folder: EmbeddedFolder
    collection: str
    tenant: str = ""
    tenant_property: str = ""
    batch: int = 256
    writers: int = 2

    def __post_init__(self) -> None:
        for field in ("batch", "writers"):
            if getattr(self, field) < 1:
                raise RequestInvalid(field=field, reason=f"{getattr(self, field)}; expected 1 or more")


def import_parts(
    job: PartImport,
    open_database: OpenDatabase,
    *,
    state: Path,
    cluster: Cluster | None = None,
    progress: Callable[[int], None] = lambda texts: None,
) -> ImportReport:
    """Write every part that is not finished.

    Args:
        state: beginning of the names of STATE.journal and STATE.failures.jsonl.
        cluster: by Ray's actors; None for this process.
        progress: gets each number of texts done.

    Raises:
        SpaceMismatch: the collection is pinned to another space than the folder's; nothing was sent.
        PinBroken: there is no such collection, or its pin does not hold.
        RequestInvalid: the collection stores long texts in another form.
    """
    began = time.monotonic()
    with open_database() as database:
        form = _check(job, database)
        journal = _journal(job, state)
        todo, skipped, tenants = [], 0, set[str]()
        for number in range(len(job.folder.digests)):
            if (finished := _tenants_of_finished(job, database, journal, number)) is not None:
                skipped, tenants = skipped + job.folder.texts[number], tenants | finished
                progress(job.folder.texts[number])
            else:
                todo.append(number)
    reports: list[ImportReport] = []
    try:
        for number, report in _each(job, open_database, todo, cluster):
            reports.append(report)
            failed = tuple(dict.fromkeys(failure.passage for failure in report.failed))
            journal.note(FinishedBatch(number, job.folder.digests[number], failed))
            progress(job.folder.texts[number])
    finally:
        journal.close()
    whole = _added(reports, form=form, skipped=skipped)
    write_failures(Path(f"{state}.failures.jsonl"), whole.failed)
    # Each part that was written now was searched for; what interrupted the run before may have harmed the others.
    with open_database() as database:
        earlier = search(database, _collection(job, database).target, tenants)
    if not whole.failed:
        journal.remove()
    return replace(
        whole,
        searched=whole.searched + earlier.searched,
        lost=tuple(dict.fromkeys((*whole.lost, *earlier.lost))),
        unasked=tuple(dict.fromkeys((*whole.unasked, *earlier.unasked))),
        tied=whole.tied + earlier.tied,
        behind=whole.behind + earlier.behind,
        seconds=time.monotonic() - began,
    )


class PartWriter:
    """Writes parts into one collection; what each of Ray's actors holds."""

    def __init__(self, job: PartImport, open_database: OpenDatabase, todo: Sequence[int]) -> None:
        self.job, self.todo = job, todo
        self._stack = ExitStack()
        self._database = self._stack.enter_context(open_database())

    def work(self, number: int) -> ImportReport:
        """Write the *number*-th of the parts that are to be done."""
        return self.write(self.todo[number])

    def write(self, part: int) -> ImportReport:
        """Write part *part* of the folder."""
        documents = read_documents(self.job.folder, part)
        known = KnownVectors(self.job.folder, documents)
        collection = PinnedCollection.open(self._database, self.job.collection, known)
        if self.job.tenant:
            collection = collection.of_tenant(self.job.tenant)
        options = ImportOptions(tenant_property=self.job.tenant_property, crew=Crew(writers=self.job.writers))
        passages = [document.passage for document in documents]
        return collection.import_passages(passages, batch=self.job.batch, options=options)

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()


def _each(
    job: PartImport, open_database: OpenDatabase, todo: Sequence[int], cluster: Cluster | None
) -> Iterator[tuple[int, ImportReport]]:
    if not todo:
        return
    if cluster is not None:
        for number, found in map_numbers(len(todo), PartWriter, (job, open_database, tuple(todo)), cluster):
            yield todo[number], found
        return
    writer = PartWriter(job, open_database, todo)
    try:
        for part in todo:
            yield part, writer.write(part)
    finally:
        writer.close()


def _check(job: PartImport, database: Database) -> Any:
    """The collection's form of long texts, where it takes the folder's vectors."""
    collection = PinnedCollection.open(database, job.collection, job.folder.space_id)
    wanted = ASKED_FOR[collection.pin.long_texts]
    have = "pool" if job.folder.long_texts == "reject" else job.folder.long_texts
    if wanted != have:
        raise RequestInvalid(
            field="DATA",
            reason=f"{job.folder.uri} was made with --long-texts {have}, and collection {job.collection} stores "
            f"{collection.pin.long_texts}: run samespace embed with --long-texts {wanted} into another folder",
        )
    return collection.pin.long_texts


def _tenants_of_finished(job: PartImport, database: Database, journal: ImportJournal, number: int) -> set[str] | None:
    """The tenants of a part that the journal calls finished and the collection has; None of any other part."""
    done = journal.has(number, job.folder.digests[number])
    if done is None or done.failed:
        return None
    passages = [document.passage for document in read_documents(job.folder, number)]
    if not holds(database, _collection(job, database).target, passages, job.tenant_property):
        return None
    by_name = job.tenant_property
    return {str(each.properties[by_name]) for each in passages} if by_name else {job.tenant}


def _collection(job: PartImport, database: Database) -> PinnedCollection:
    collection = PinnedCollection.open(database, job.collection, job.folder.space_id)
    return collection.of_tenant(job.tenant) if job.tenant else collection


def _journal(job: PartImport, state: Path) -> ImportJournal:
    key = {
        "collection": job.collection,
        "space": job.folder.space_id,
        "parts": hashlib.sha256("".join(job.folder.digests).encode()).hexdigest(),
        "tenant": job.tenant,
        "tenantProperty": job.tenant_property,
    }
    journal = ImportJournal.open(Path(f"{state}.journal"), key)
    journal.begin()
    return journal


def _added(reports: Sequence[ImportReport], *, form: Any, skipped: int) -> ImportReport:
    left_out: Counter[str] = Counter()
    for report in reports:
        left_out.update(dict(report.left_out))
    failed: tuple[Failure, ...] = tuple(failure for report in reports for failure in report.failed)
    return ImportReport(
        written=sum(report.written for report in reports),
        failed=failed,
        long_texts=sum(report.long_texts for report in reports),
        token_limit=max((report.token_limit for report in reports), default=0),
        left_out=tuple(sorted(left_out.items())),
        seconds=0.0,
        searched=sum(report.searched for report in reports),
        lost=tuple(uuid for report in reports for uuid in report.lost),
        unasked=tuple(dict.fromkeys(node for report in reports for node in report.unasked)),
        tied=sum(report.tied for report in reports),
        behind=sum(report.behind for report in reports),
        passages=sum(report.passages for report in reports),
        skipped=skipped,
        removed=sum(report.removed for report in reports),
        form=form,
    )
