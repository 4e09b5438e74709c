"""The two stages of an import: encode a batch and put its objects together, then write them.

Both run in several threads at a time (`pipeline`) and share nothing that changes but the tenants that are known. What
may pass is waited out here; what goes wrong with one passage is noted with its reason.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from samespace.encoder import Encoded, Encoder
from samespace.errors import DeadlineExceeded, Overloaded, RequestInvalid, ServerUnavailable, WeaviateUnavailable

from ..access.database import Database
from ..access.patience import Patience
from ..access.transient import reason_may_pass
from ..access.values import Failure, Passage, StoredObject, object_uuid
from .batches import PassageBatch
from .found import door_of
from .journal import FinishedBatch
from .windows import ASKED_FOR, Target, objects_of, parts_of, typed

SAMPLE: Final = 1000
"""Objects that are searched for when an import ends."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch ready to be written.

    Attributes:
        objects: by tenant and passage.
        long_texts: passages beyond the token limit.
    """

    batch: PassageBatch
    objects: dict[str, dict[str, list[StoredObject]]]
    failed: tuple[Failure, ...]
    long_texts: int
    left_out: Counter[str]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch.

    Attributes:
        written: objects that Weaviate took.
        removed: stale windows.
        failed: what Weaviate refused; what came before is in *prepared*.
        finished: for the journal.
    """

    prepared: Prepared
    written: int
    removed: int
    failed: tuple[Failure, ...]
    finished: FinishedBatch


class Stages:
    """The two stages, for whatever threads."""

    def __init__(
        self,
        database: Database,
        target: Target,
        encoder: Encoder,
        size: int,
        tenant_property: str,
        patience: Patience,
    ) -> None:
        self._database, self._target, self._encoder = database.patient(patience), target, encoder
        self._size, self._tenant_property, self._patience = size, tenant_property, patience
        # Nothing can be stale in what was empty.
        self._sweeps = target.long_texts == "windows" and (
            target.multi_tenant or self._database.count(target.collection) > 0
        )
        self._tenants = set[str]()
        self._making = threading.Lock()
        self.written: list[tuple[str, UUID]] = []
        """A uniform sample of what was written: (tenant, id)."""
        self.tenants: set[str] = set()
        """Of what was written, now or by the run before."""
        self._seen, self._chance = 0, random.Random(0)

    def prepare(self, batch: PassageBatch) -> Prepared:
        """Encode a batch, and put its objects together."""
        with self._making:
            self.tenants.update(map(self._tenant, batch.finished))
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
            taken = set(map(id, some))  # tenants may have passages of the same id
            rest = [entry for entry in good if id(entry[0]) in taken]
            parts = parts_of(some, encoded, self._target.long_texts)
            for (passage, tenant, properties), found in zip(rest, parts, strict=True):
                made = objects_of(self._target, passage, found, properties)
                objects.setdefault(tenant, {})[passage.id] = made
        return Prepared(batch, objects, tuple(failed), long_texts, left_out)

    def write(self, prepared: Prepared) -> Written:
        """Write a prepared batch, and take away what its documents no longer have."""
        written = removed = 0
        failed: list[Failure] = []
        finished = FinishedBatch(prepared.batch.number, prepared.batch.digest)
        for tenant, documents in prepared.objects.items():
            self._make_tenant(tenant)
            owners = {entry.uuid: passage for passage, entries in documents.items() for entry in entries}
            entries = [entry for each in documents.values() for entry in each]
            refused = self._insert(entries, tenant)
            written += len(entries) - len(refused)
            self._note(tenant, owners.keys() - {failure.uuid for failure in refused})
            first: dict[str, Failure] = {}
            for failure in refused:
                named = replace(failure, passage=owners[failure.uuid], tenant=tenant)
                first.setdefault(named.passage, named)
            failed += first.values()
            whole = {passage: len(entries) for passage, entries in documents.items() if passage not in first}
            removed += self._sweep(whole, tenant)
        failures = (*prepared.batch.refused, *prepared.failed, *failed)
        finished = replace(finished, failed=tuple(dict.fromkeys(failure.passage for failure in failures)))
        return Written(prepared, written, removed, tuple(failed), finished)

    def _note(self, tenant: str, uuids: Iterable[UUID]) -> None:
        """Keep a sample of what was written (algorithm R, as in `audit.sampling`)."""
        with self._making:
            self.tenants.add(tenant)
            for uuid in sorted(uuids):
                self._seen += 1
                if len(self.written) < SAMPLE:
                    self.written.append((tenant, uuid))
                elif (place := self._chance.randrange(self._seen)) < SAMPLE:
                    self.written[place] = (tenant, uuid)

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

        return self._patience.ask(ask, (Overloaded, ServerUnavailable, DeadlineExceeded))

    def _properties(self, passage: Passage, left_out: Counter[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in passage.properties.items():
            if value is None:
                continue
            data_type = self._target.properties.get(name)
            if data_type is None:
                if name != self._tenant_property:
                    left_out[name] += 1
                continue
            try:
                found[name] = typed(value, data_type)
            except (ValueError, OverflowError) as error:
                raise ValueError(f"property {name} is not of type {data_type}: {error}") from error
        return found

    def _tenant(self, passage: Passage) -> str:
        if not self._tenant_property:
            return self._target.tenant
        tenant = passage.properties.get(self._tenant_property)
        if not isinstance(tenant, str | int) or isinstance(tenant, bool):
            raise ValueError(f"property {self._tenant_property} names no tenant")
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
        door = door_of(self._database, self._target, tenant)
        refused = self._patience.write(
            objects, lambda left: door.insert(self._target.collection, self._target.vector, left)
        )
        if len(refused) == len(objects) > 1 and all(reason_may_pass(failure.reason) for failure in refused):
            raise WeaviateUnavailable(address=f"collection {self._target.collection}", reason=refused[0].reason)
        return refused

    def _sweep(self, documents: dict[str, int], tenant: str) -> int:
        """Take away the windows beyond those that documents have now."""
        if not self._sweeps:
            return 0
        alike: dict[int, list[str]] = {}
        for document, count in documents.items():
            alike.setdefault(count, []).append(document)
        door = door_of(self._database, self._target, tenant)
        return sum(door.delete_windows(self._target.collection, alike[count], count) for count in sorted(alike))

    def _make_tenant(self, tenant: str) -> None:
        if tenant:
            with self._making:
                if tenant not in self._tenants:
                    if not self._database.tenant_state(self._target.collection, tenant):
                        self._database.add_tenant(self._target.collection, tenant)
                    self._tenants.add(tenant)
