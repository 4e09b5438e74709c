"""Carries objects along a route: compares, encodes and writes, one tenant after the other.

While one batch is written the next one is encoded. Every batch is a fact that can be repeated: an object that is there
already, with the same content, is not encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from samespace.errors import MigrationBlocked
from samespace.providers.withheld import Withheld
from samespace.vectors import Float32

from ...access.database import Database, is_collection, stream
from ...access.values import PAGE, StoredObject
from ..compare import Change, Delete, Moved, Write, WriteWindow, changes, new_properties
from ..cost import pause_s
from ..journal import MigrationJournal
from ..refusals.overwriting import refuse_deleting, refuse_overwriting, refuse_undoing
from .by_name import WrittenByName
from .route import CopyPace, CopyRoute, PassLimits

MARGIN_MS: Final = 2000
"""How far the clocks of Weaviate's nodes may differ, and its second is cut off."""


@dataclass(slots=True)
class _Seen:
    """What one pass saw; see `Moved`.

    Attributes:
        since_ms, late_ms: stamps from which on an object is young, or late in the target; None and 0 for none.
        returned: objects that a way back has carried before it was stopped, which are not late.
    """

    since_ms: int | None
    late_ms: int
    returned: frozenset[UUID]
    by_name: WrittenByName | None = None
    latest_ms: int = 0
    newest: tuple[int, UUID] = (0, UUID(int=0))
    young: set[UUID] = field(default_factory=set)
    carried: set[UUID] = field(default_factory=set)
    late: set[UUID] = field(default_factory=set)

    def in_source(self, record: StoredObject) -> None:
        """Note an object of the source."""
        if self.by_name is not None:
            self.by_name.in_source(record)
        self.latest_ms = max(self.latest_ms, record.updated_ms)
        self.newest = max(self.newest, (record.updated_ms, record.uuid))
        if self.since_ms is not None and record.updated_ms >= self.since_ms:
            self.young.add(record.uuid)

    def in_target(self, record: StoredObject) -> None:
        """Note an object of the target."""
        if self.by_name is not None:
            self.by_name.in_target(record)
        self.newest = max(self.newest, (record.updated_ms, record.uuid))
        if self.since_ms is not None and record.updated_ms >= self.since_ms:
            self.carried.add(record.uuid)
        if 0 < self.late_ms <= record.updated_ms and record.uuid not in self.returned:
            self.late.add(record.uuid)


class Transfer:
    """Passes along one route."""

    def __init__(
        self,
        database: Database,
        journal: MigrationJournal,
        route: CopyRoute,
        pace: CopyPace,
        limits: PassLimits | None = None,
    ) -> None:
        self.database, self.journal, self.route, self.pace = database, journal, route, pace
        self._limits = limits or PassLimits()
        self._started, self._done = pace.clock(), 0
        self._properties = frozenset[str]()  # of the target, as they were last seen

    def first_copy(self) -> None:
        """Copy everything, from where the journal says; every batch and every tenant is noted in it.

        What a hosted encoder gave beyond that is encoded again: nobody asked afterwards whether it still was the same.
        """
        self._limits.allowed()
        facts, hosted = Withheld[Mapping[str, Any]](self.route.hosted, self._note), self.route.hosted is not None
        for tenant in self.tenants():
            if tenant in self.journal.progress.done:
                continue
            with self.awake(tenant):

                def note(cursor: str, written: int, tenant: str = tenant) -> None:
                    facts.add({"event": "copied", "tenant": tenant, "cursor": cursor, "objects": written})

                self._pass(
                    tenant, after=self.journal.progress.cursors.get(tenant, ""), note=note, again=lambda uuid: hosted
                )
            facts.add({"event": "tenant_done", "tenant": tenant})
        facts.confirm()

    def round(self, window: Callable[[str], WriteWindow] | None = None) -> Moved:
        """One pass over everything; the journal gets its sum.

        Args:
            window: of a tenant, once the alias has moved.
        """
        since_ms = None
        if window is None:
            self._limits.allowed()
            since_ms = (self.stamp_ms(self.route.target) or self.database.now_ms()) - MARGIN_MS
        total, doubtful = Moved(since_ms or 0), self._doubtful()
        tenants = self.tenants()
        for tenant in tenants:
            if tenant and not self.database.tenant_state(self.route.source, tenant):
                continue  # deleted since they were listed
            with self.awake(tenant, make=window is None):
                one = self._pass(
                    tenant,
                    window=window(tenant) if window else None,
                    since_ms=since_ms,
                    again=doubtful.__contains__,
                )
            total += one
        if self.route.tenants and window is None and not self._limits.keep:
            extra = sorted(set(self.database.tenant_states(self.route.target)) - set(tenants))
            if self._limits.late_ms:
                refuse_deleting(self.route.target, sorted(set(extra) - self.journal.progress.tenants))
            if self._limits.by_name is not None:
                refuse_undoing(self.route.source, self.route.target, [*(set(extra) - set(self._limits.by_name.copied))])
            for tenant in extra:
                self._limits.allowed()
                self.database.remove_tenant(self.route.target, tenant)
                total = replace(total, deleted=total.deleted + 1)
        if self.route.hosted is not None:
            self.route.hosted.confirm()
        if self.route.encode is not None and self.journal.progress.doubtful:
            self.journal.note("confirmed")  # this round has encoded again what an earlier run left in doubt
        self.journal.note("round", since_ms=total.since_ms, written=total.written, deleted=total.deleted)
        return total

    def _note(self, fact: Mapping[str, Any]) -> None:
        self.journal.note(**fact)

    def differences(self, tenant: str) -> Iterator[Change]:
        """What a pass over the tenant would do now; nothing is written."""
        own, route = self.database.of_tenant(tenant), self.route
        source = map(self._translated, stream(own, route.source, vectors=route.carries))
        yield from changes(source, stream(own, route.target, vectors=route.carries), same=route.same)

    def tenants(self) -> list[str]:
        """Of the source, in order; [""] without tenants."""
        return sorted(self.database.tenant_states(self.route.source)) if self.route.tenants else [""]

    def stamp_ms(self, name: str, database: Database | None = None) -> int | None:
        """When an object is written that is written to *name* now, and deleted again, by Weaviate's own stamp.

        By these stamps objects are compared. The date of an answer may be that of a proxy in between. *name* is source
        or target, whichever readers do not see; *database* that of the node which is to write, else the connection's.
        None where the collection takes no such object: it is read-only, or empty and its encoder is gone.
        """
        states = self.database.tenant_states(name) if self.route.tenants else {"": "HOT"}
        active = [tenant for tenant, state in sorted(states.items()) if state == "HOT"]
        for tenant in active[:3]:  # one may be empty, and its encoder gone
            own = (database or self.database).of_tenant(tenant)
            like = self.database.of_tenant(tenant).page(name, "", 1, vectors=True)
            mark = StoredObject(self.mark, {}, vectors=dict(like[0].vectors) if like else {})
            if not own.write(name, [mark]):
                found = own.get(name, self.mark)
                own.delete(name, [self.mark])
                return None if found is None else found.updated_ms
        inactive = [tenant for tenant in self.tenants() if not active and states.get(tenant) == "COLD"]
        for tenant in inactive[:1]:
            with self.awake(tenant, make=False):
                return self.stamp_ms(name, database)
        return None

    @property
    def mark(self) -> UUID:
        """The id of the object that `stamp_ms` writes; one that a crash left is not carried."""
        return uuid5(NAMESPACE_OID, f"samespace {self.journal.progress.plan.get('id')}")

    @contextmanager
    def awake(self, tenant: str, *, make: bool = True) -> Iterator[None]:
        """The tenant is active in both collections; afterwards it is as it was found.

        What was activated is in the journal before it is, so that a crash leaves nobody awake for good.
        """
        if not tenant:
            yield
            return
        source, target = self.route.source, self.route.target
        found = self.database.tenant_state(source, tenant)
        if found not in ("HOT", "COLD"):
            raise MigrationBlocked(
                collection=source,
                reason=f"tenant {tenant!r} is {found or 'gone'}",
                remedy="bring it back to ACTIVE or INACTIVE, or delete it; then run the same command again"
                if found
                else "run the same command again, which goes on without it",
            )
        there = self.database.tenant_state(target, tenant)
        names = [source, target] if make or there else [source]
        # Before the alias moves the target follows the source; afterwards each keeps the state that people gave it.
        asleep = [name for name in names if (found if make or name == source else there) == "COLD"]
        for name in names:
            if name in asleep:
                self.journal.note("woken", collection=name, tenant=tenant)
            self.database.set_tenant_state(name, tenant, "HOT")
        yield
        for name in asleep:
            put_to_sleep(self.database, self.journal, name, tenant)

    def _pass(
        self,
        tenant: str,
        *,
        after: str = "",
        window: WriteWindow | None = None,
        since_ms: int | None = None,
        note: Callable[[str, int], None] | None = None,
        again: Callable[[UUID], bool] = lambda uuid: False,
    ) -> Moved:
        route, total, mark = self.route, Moved(), self.mark
        source = onto = self.database.of_tenant(tenant)
        has_target = not tenant or bool(self.database.tenant_state(route.target, tenant))
        seen = self._begin(tenant, window, since_ms)

        def translated() -> Iterator[StoredObject]:
            for record in stream(source, route.source, after, vectors=route.carries):
                if record.uuid != mark:
                    seen.in_source(record)
                    yield self._translated(record)

        def there() -> Iterator[StoredObject]:
            for record in stream(onto, route.target, after, vectors=route.carries) if has_target else ():
                seen.in_target(record)
                yield record

        found = changes(translated(), there(), window, route.same, again)
        if self._limits.keep:
            found = (change for change in found if isinstance(change, Write))
        for batch, vectors in self._encoded(found):
            self._check(batch, seen, window)
            writes = [change.record for change in batch if isinstance(change, Write)]
            deletes = [change.uuid for change in batch if isinstance(change, Delete)]
            if writes and not has_target:
                self.database.set_tenant_state(route.target, tenant, "HOT")
            writes = [
                replace(each, vectors={route.vector: vectors[each.uuid]}) if each.uuid in vectors else each
                for each in writes
            ]
            if self._limits.late_ms and window is None:
                self.journal.note("returned", ids=[str(each.uuid) for each in writes])
            if route.hosted is not None and vectors and note is None:
                self.journal.note("doubtful", ids=[str(each) for each in vectors])
            self._write(onto, writes)
            onto.delete(route.target, deletes)
            seen.carried = (seen.carried | {each.uuid for each in writes}) - set(deletes)
            if seen.by_name is not None:
                seen.by_name.wrote([each.uuid for each in writes], self.database.now_ms() + MARGIN_MS)
            if note is not None:
                note(str(batch[-1].uuid), len(writes))
            total = Moved(0, total.written + len(writes), total.deleted + len(deletes))
            self._keep_pace(len(writes))
        return replace(
            total,
            latest_ms=seen.latest_ms,
            newest=seen.newest,
            young={tenant: frozenset(seen.young)} if seen.young else {},
            carried={tenant: frozenset(seen.carried)} if seen.carried and window is None else {},
        )

    def _begin(self, tenant: str, window: WriteWindow | None, since_ms: int | None) -> _Seen:
        """What a pass has seen before its first object."""
        by_name = self._limits.by_name if window is None else None  # afterwards all write by that name
        if by_name is not None:
            by_name.begin(tenant)
        return _Seen(since_ms, self._limits.late_ms, self.journal.progress.returned, by_name)

    def _check(self, batch: Sequence[Change], seen: _Seen, window: WriteWindow | None) -> None:
        """Raise where a batch must not be written any more, or would undo what clients wrote to the target."""
        if window is None:
            self._limits.allowed()
            late = seen.late - {self.mark}
            refuse_overwriting(self.route.target, [change.uuid for change in batch if change.uuid in late])
        if seen.by_name is not None:
            theirs = [uuid for uuid in seen.by_name.among(batch) if uuid != self.mark]
            refuse_undoing(self.route.source, self.route.target, theirs)

    def _doubtful(self) -> frozenset[UUID]:
        """Objects of the target that are encoded again, although their content is what it has to be."""
        return self.journal.progress.doubtful if self.route.encode is not None else frozenset()

    def _encoded(self, found: Iterator[Change]) -> Iterator[tuple[list[Change], dict[UUID, Float32]]]:
        """Batches of changes, with the vector of each object that has a text; the next one is encoded meanwhile."""
        encode = self.route.encode

        def work(batch: list[Change]) -> dict[UUID, Float32]:
            written = {
                each.uuid: text_of(each.record, self.route.text_property) for each in batch if isinstance(each, Write)
            }
            texts = {key: text for key, text in written.items() if text}
            return dict(zip(texts, encode(list(texts.values())), strict=True)) if encode is not None and texts else {}

        with ThreadPoolExecutor(1, thread_name_prefix="encode") as pool:
            waiting: tuple[list[Change], Future[dict[UUID, Float32]]] | None = None
            for batch in _batches(found, PAGE):
                ahead = (batch, pool.submit(work, batch))
                if waiting is not None:
                    yield waiting[0], waiting[1].result()
                waiting = ahead
            if waiting is not None:
                yield waiting[0], waiting[1].result()

    def _write(self, onto: Database, objects: Sequence[StoredObject]) -> None:
        """Write, and write again what failed for a reason that may pass; what fails for good ends the migration."""
        self._follow_properties(objects)
        refused = self.pace.patience.write(objects, lambda left: onto.write(self.route.target, left))
        if refused:
            raise MigrationBlocked(
                collection=self.route.target,
                reason=f"{len(refused)} objects were refused, the first of them {refused[0].uuid}: {refused[0].reason}",
                remedy="nothing is lost; fix the cause in this collection, and run the same command again",
            )

    def _follow_properties(self, objects: Sequence[StoredObject]) -> None:
        """Properties that clients added to the source meanwhile are added to the target as they are defined there."""
        names = {name for each in objects for name in (*each.properties, *each.references)}
        if names <= self._properties:
            return
        source, target = (self.database.schema(name) or {} for name in (self.route.source, self.route.target))
        for entry in new_properties(source, target, modules=self.route.carries):
            self.database.add_property(self.route.target, entry)
        there = {str(entry["name"]) for schema in (source, target) for entry in schema.get("properties") or ()}
        self._properties = frozenset(names | there)

    def _translated(self, record: StoredObject) -> StoredObject:
        """A record of the source as it has to be in the target: references to itself go to the target, and a vector may
        have another name there."""
        if self.route.renamed is not None:
            before, after = self.route.renamed
            vectors = {after if name == before else name: rows for name, rows in record.vectors.items()}
            record = replace(record, vectors=vectors)
        old, new = f"/{self.route.source}/", f"/{self.route.target}/"
        references = {
            name: tuple(beacon.replace(old, new) for beacon in beacons) for name, beacons in record.references.items()
        }
        return replace(record, references=references) if references else record

    def _keep_pace(self, count: int) -> None:
        self._done += count
        self.pace.progress(count)
        wait = pause_s(self._done, self.pace.clock() - self._started, self.pace.max_objects_per_s)
        if wait:
            self.pace.pause(wait)


def put_to_sleep(database: Database, journal: MigrationJournal, name: str, tenant: str) -> None:
    """Deactivate what we activated, and note it."""
    if is_collection(database, name) and database.tenant_state(name, tenant):
        database.set_tenant_state(name, tenant, "COLD")
    journal.note("asleep", collection=name, tenant=tenant)


def text_of(record: StoredObject, text_property: str) -> str:
    """What is encoded of an object; "" where it has no text: Weaviate makes no vector of that, and neither do we."""
    return str(record.properties.get(text_property) or "")


def _batches(source: Iterable[Change], size: int) -> Iterator[list[Change]]:
    found = iter(source)
    while batch := list(islice(found, size)):
        yield batch
