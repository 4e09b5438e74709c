"""Bulk import: some threads encode while others write, and every batch that is done is noted.

Vector and object are written together, so Weaviate calls no vectorizer. Ids come from the passages, so importing again
changes nothing; and what was killed goes on after its last finished batch (`journal`). Neither side is hurried: a
server that is too busy is waited for, and only a few batches are ever under way (`pipeline`).

What goes wrong with a passage is noted with its reason, and the others go on. An encoder or a Weaviate that stays away
ends the import; running it again goes on.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from samespace.encoder import Encoded, Encoder, RemoteEncoder
from samespace.errors import (
    Overloaded,
    RequestInvalid,
    ServerUnavailable,
    SpaceMismatch,
    WeaviateError,
    WeaviateUnavailable,
)

from .batches import Batch, batches
from .journal import Finished, Journal, write_failures
from .objects import Database, Failure, Passage, StoredObject, object_uuid
from .pipeline import Crew, run
from .report import ImportReport, Tally
from .spec import DOCUMENT_PROPERTY
from .windows import ASKED_FOR, Target, objects_of, parts_of, typed

BATCH: Final = 256
"""Passages of one batch, and objects of one write; a few megabytes, well below gRPC's limit."""
RETRIES: Final = 4
_CHECKED: Final = 16
_TRANSIENT: Final = re.compile(
    r"\b50[23]\b|timed? ?out|deadline|unavailable|connection (refused|reset)|context canceled|too many requests", re.I
)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import; the defaults are for one Weaviate and one encoder server on machines of their own or shared.

    Attributes:
        tenant_property: the property of a passage that names its tenant.
        state: beginning of the names of two files, STATE.journal and STATE.failures.jsonl; None for neither, so that an
            interrupted import begins anew.
        only: ids to import, None for all.
        crew: threads; with an artifact in this process only one encodes.
    """

    tenant_property: str = ""
    state: Path | None = None
    only: frozenset[str] | None = None
    crew: Crew = field(default_factory=Crew)

    @property
    def journal(self) -> Path | None:
        """Where finished batches are noted; nowhere where only some passages are imported."""
        return None if self.state is None or self.only is not None else Path(f"{self.state}.journal")

    @property
    def failures(self) -> Path | None:
        """Where ids and reasons of what was not written are."""
        return None if self.state is None else Path(f"{self.state}.failures.jsonl")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch ready to be written.

    Attributes:
        objects: by tenant and passage.
        long_texts: passages beyond the token limit.
    """

    batch: Batch
    objects: dict[str, dict[str, list[StoredObject]]]
    failed: tuple[Failure, ...]
    long_texts: int
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class _Written:
    prepared: _Prepared
    written: int
    removed: int
    failed: tuple[Failure, ...]
    finished: Finished


def import_passages(
    database: Database,
    target: Target,
    encoder: Encoder,
    passages: Iterable[Passage],
    *,
    batch: int = BATCH,
    options: ImportOptions | None = None,
    progress: Callable[[int], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> ImportReport:
    """Encode *passages* and write them into *target*.

    Args:
        passages: are read once, from other threads, one thread at a time.
        batch: passages of a batch; another number is another import to the journal.
        progress: gets each number of passages done.

    Raises:
        SpaceMismatch: the encoder is of another space; nothing was encoded or sent.
        WeaviateUnavailable, ServerUnavailable, Overloaded: one side stayed away; what was finished is noted.
        DataInvalid: what *passages* raises.
    """
    if encoder.space_id != target.space_id:
        raise SpaceMismatch(
            expected=target.space_id, found=encoder.space_id, where=f"import into collection {target.collection}"
        )
    options = options or ImportOptions()
    _check(target, options)
    start, tally = time.monotonic(), Tally()
    work = _Work(database, target, encoder, batch, options, pause)
    journal = _journal(database, target, options, batch)
    crew = options.crew if isinstance(encoder, RemoteEncoder) else replace(options.crew, encoders=1)
    wanted = passages if options.only is None else (each for each in passages if each.id in options.only)
    try:
        for done in run(batches(wanted, target.collection, batch, journal), work.prepare, work.write, crew):
            _count(tally, done)
            if journal is not None:
                journal.append(done.finished)
            if progress is not None:
                progress(
                    done.prepared.batch.skipped + len(done.prepared.batch.passages) + len(done.prepared.batch.refused)
                )
        if journal is not None and not tally.failed:
            journal.remove()
    finally:
        if options.failures is not None:
            write_failures(options.failures, tally.failed)
    return tally.report(token_limit=encoder.token_limit, form=target.long_texts, seconds=time.monotonic() - start)


def _check(target: Target, options: ImportOptions) -> None:
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


def _journal(database: Database, target: Target, options: ImportOptions, batch: int) -> Journal | None:
    """The journal to go on with; empty where the collection no longer has what it says."""
    if options.journal is None:
        return None
    key = {
        "collection": target.collection,
        "space": target.space_id,
        "longTexts": target.long_texts,
        "batch": batch,
        "tenant": target.tenant,
        "tenantProperty": options.tenant_property,
    }
    journal = Journal.open(options.journal, key)
    if not all(_is_there(database, target, done) for done in journal.some(_CHECKED)):
        journal.finished.clear()  # the collection was deleted or emptied since
    journal.begin()
    return journal


def _is_there(database: Database, target: Target, done: Finished) -> bool:
    assert done.uuid is not None
    try:
        return _door(database, target, done.tenant).has(target.collection, done.uuid)
    except WeaviateUnavailable:
        raise
    except WeaviateError:  # no such tenant any more
        return False


def _door(database: Database, target: Target, tenant: str) -> Database:
    """*database* for the objects of a tenant; it is so already where the import is of one tenant."""
    return database if tenant == target.tenant else database.of_tenant(tenant)


def _count(tally: Tally, done: _Written) -> None:
    batch = done.prepared.batch
    tally.written += done.written
    tally.removed += done.removed
    tally.long_texts += done.prepared.long_texts
    tally.left_out += done.prepared.left_out
    tally.failed += [*batch.refused, *done.prepared.failed, *done.failed]
    tally.passages += len(batch.passages) + len(batch.refused)
    tally.skipped += batch.skipped


class _Work:
    """The two stages, in whatever threads."""

    def __init__(
        self,
        database: Database,
        target: Target,
        encoder: Encoder,
        size: int,
        options: ImportOptions,
        pause: Callable[[float], None],
    ) -> None:
        self._database, self._target, self._encoder = database, target, encoder
        self._size, self._options, self._pause = size, options, pause
        # Nothing can be stale in what was empty.
        self._sweeps = target.long_texts == "windows" and (target.multi_tenant or database.count(target.collection) > 0)
        self._tenants = set(database.tenants(target.collection)) if target.multi_tenant else set[str]()
        self._making = threading.Lock()

    def prepare(self, batch: Batch) -> _Prepared:
        """Encode a batch, and put its objects together."""
        good: list[tuple[Passage, str, dict[str, Any]]] = []
        failed: list[Failure] = []
        left_out = Counter[str]()
        for passage in batch.passages:
            try:
                good.append((passage, self._tenant(passage), self._properties(passage, left_out)))
            except ValueError as error:
                failed.append(self._failure(passage, str(error)))
        objects: dict[str, dict[str, list[StoredObject]]] = {}
        long_texts = 0
        for some, encoded in self._encoded([passage for passage, _, _ in good], failed):
            encoded.vectors.require(self._target.space_id, where=f"import into collection {self._target.collection}")
            long_texts += sum(windows > 1 for windows in encoded.windows)
            taken = {passage.id for passage in some}
            rest = [entry for entry in good if entry[0].id in taken]
            parts = parts_of(some, encoded, self._target.long_texts)
            for (passage, tenant, properties), found in zip(rest, parts, strict=True):
                made = objects_of(self._target, passage, found, properties)
                objects.setdefault(tenant, {})[passage.id] = made
        return _Prepared(batch, objects, tuple(failed), long_texts, left_out)

    def write(self, prepared: _Prepared) -> _Written:
        """Write a prepared batch, and take away what its documents no longer have."""
        written = removed = 0
        failed: list[Failure] = []
        finished = Finished(prepared.batch.number, prepared.batch.digest)
        for tenant, documents in prepared.objects.items():
            self._make_tenant(tenant)
            owners = {entry.uuid: passage for passage, entries in documents.items() for entry in entries}
            entries = [entry for each in documents.values() for entry in each]
            refused = self._insert(entries, tenant)
            written += len(entries) - len(refused)
            first: dict[str, Failure] = {}
            for failure in refused:
                named = replace(failure, passage=owners[failure.uuid], tenant=tenant)
                first.setdefault(named.passage, named)
            failed += first.values()
            whole = {passage: len(entries) for passage, entries in documents.items() if passage not in first}
            removed += self._sweep(whole, tenant)
            if whole:
                finished = replace(finished, uuid=documents[next(iter(whole))][0].uuid, tenant=tenant)
        failures = (*prepared.batch.refused, *prepared.failed, *failed)
        finished = replace(finished, failed=tuple(dict.fromkeys(failure.passage for failure in failures)))
        return _Written(prepared, written, removed, tuple(failed), finished)

    # -- encoding

    def _encoded(self, passages: list[Passage], failed: list[Failure]) -> Iterator[tuple[list[Passage], Encoded]]:
        """Vectors of *passages*; what the encoder refuses is found by asking for each alone."""
        if not passages:
            return
        try:
            yield passages, self._encode([passage.text for passage in passages])
        except RequestInvalid as error:
            if len(passages) == 1:
                failed.append(self._failure(passages[0], f"the encoder refused it: {error}"))
                return
            for passage in passages:
                yield from self._encoded([passage], failed)

    def _encode(self, texts: list[str]) -> Encoded:
        def ask() -> Encoded:
            return self._encoder.encode_detailed(texts, "passage", long_texts=ASKED_FOR[self._target.long_texts])

        return self._patiently(ask, (Overloaded, ServerUnavailable))

    def _properties(self, passage: Passage, left_out: Counter[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in passage.properties.items():
            data_type = self._target.properties.get(name)
            if data_type is None:
                if name != self._options.tenant_property:
                    left_out[name] += 1
                continue
            try:
                found[name] = typed(value, data_type)
            except (ValueError, OverflowError) as error:
                raise ValueError(f"property {name} is not of type {data_type}: {error}") from error
        return found

    def _tenant(self, passage: Passage) -> str:
        if not self._options.tenant_property:
            return self._target.tenant
        tenant = passage.properties.get(self._options.tenant_property)
        if not isinstance(tenant, str | int) or isinstance(tenant, bool):
            raise ValueError(f"property {self._options.tenant_property} names no tenant")
        return str(tenant)

    def _failure(self, passage: Passage, reason: str) -> Failure:
        return Failure(object_uuid(self._target.collection, passage.id), reason, passage.id)

    # -- writing

    def _insert(self, objects: Sequence[StoredObject], tenant: str) -> list[Failure]:
        """Write in writes of bounded size, and write again what failed for a reason that may pass."""
        final: list[Failure] = []
        for start in range(0, len(objects), self._size):
            final += self._insert_some(objects[start : start + self._size], tenant)
        return final

    def _insert_some(self, objects: Sequence[StoredObject], tenant: str) -> list[Failure]:
        final: list[Failure] = []
        left = list(objects)
        for attempt in range(RETRIES + 1):
            if attempt:
                self._pause(2.0 ** (attempt - 1))
            refused = self._patiently(lambda: self._put(left, tenant), (WeaviateUnavailable,))  # noqa: B023 - called here
            final += [failure for failure in refused if not _TRANSIENT.search(failure.reason)]
            passing = {failure.uuid: failure for failure in refused if _TRANSIENT.search(failure.reason)}
            left = [entry for entry in left if entry.uuid in passing]
            if not left:
                return final
        if len(left) == len(objects) > 1:
            reason = next(iter(passing.values())).reason
            raise WeaviateUnavailable(address=f"collection {self._target.collection}", reason=reason)
        return final + list(passing.values())

    def _put(self, objects: Sequence[StoredObject], tenant: str) -> list[Failure]:
        door = _door(self._database, self._target, tenant)
        return door.insert(self._target.collection, self._target.vector, objects)

    def _sweep(self, documents: dict[str, int], tenant: str) -> int:
        """Take away the windows beyond those that documents have now."""
        if not self._sweeps:
            return 0
        alike: dict[int, list[str]] = {}
        for document, count in documents.items():
            alike.setdefault(count, []).append(document)
        door = _door(self._database, self._target, tenant)
        return sum(door.delete_windows(self._target.collection, alike[count], count) for count in sorted(alike))

    def _make_tenant(self, tenant: str) -> None:
        if tenant:
            with self._making:
                if tenant not in self._tenants:
                    self._database.add_tenant(self._target.collection, tenant)
                    self._tenants.add(tenant)

    def _patiently(self, ask: Callable[[], _Answer], passing: tuple[type[Exception], ...]) -> _Answer:
        """Ask again after what may pass, later every time, or as late as a busy server says."""
        for attempt in range(RETRIES):
            try:
                return ask()
            except passing as error:
                self._pause(error.retry_after_ms / 1000 if isinstance(error, Overloaded) else 2.0**attempt)
        return ask()
