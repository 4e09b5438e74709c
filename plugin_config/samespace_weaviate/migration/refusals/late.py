"""What reached the old collection by its own name after the alias had moved: writes, deletions, tenants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol
from uuid import UUID

from samespace.errors import MigrationBlocked

from ...access.database import Database, stream
from ..compare import paired
from ..copying.transfer import MARGIN_MS, Transfer
from ..plan import Migration
from ..progress import MigrationProgress, MigrationState

LOST_SHARE: Final = 0.05
"""Of the old collection's objects that the new one may lack without a word from a person: clients delete objects."""


_LISTED: Final = 5


class LateTerms(Protocol):
    """See `runner.Terms`."""

    @property
    def clients_deleted(self) -> bool:
        """Whether clients deleted what the new collection lacks."""

    @property
    def keep_missing(self) -> bool:
        """Whether the old collection keeps what the new one lacks."""

    @property
    def tell(self) -> Callable[[str], None]:
        """Gets a sentence."""


@dataclass(slots=True)
class Apart:
    """What one collection has and the other one has not, since the alias moved.

    Attributes:
        written, deleted: objects, by the old collection's own name.
        missing: objects of the old collection that the new one lacks: deleted by the alias, or lost.
        objects: in the old collection.
    """

    written: list[UUID] = field(default_factory=list)
    deleted: list[UUID] = field(default_factory=list)
    missing: list[UUID] = field(default_factory=list)
    objects: int = 0


def refuse_late_writes(
    transfer: Transfer,
    migration: Migration,
    times: MigrationProgress,
    because: Sequence[str],
    terms: LateTerms,
) -> None:
    """Somebody wrote to the old collection, or deleted from it, by its own name, after the alias had moved; or the new
    one has lost what the old one still has.

    Args:
        times: when the alias moved, and when everything was settled.
        because: what would become of late writes, of late deletions, and of what the new collection lacks.
        terms: get what nobody can tell for sure, and say who answers for what is missing.
    """
    found, lifetime = _apart(transfer, migration, times), _lifetime(transfer.database, migration)
    if times.state is MigrationState.RETURNING:  # the rest was looked for when it began, and its times are gone
        found = Apart(written=found.written)
        times = replace(times, tenants=frozenset())
    _refuse_late_tenants(transfer, migration, times, because[1])
    if lifetime and found.deleted:
        terms.tell(_expired(len(found.deleted), migration, lifetime))
        found.deleted = []
    for ids, done, reason in ((found.written, "written", because[0]), (found.deleted, "deleted", because[1])):
        if ids:
            raise MigrationBlocked(
                collection=migration.old,
                reason=f"{len(ids)} of its objects were {done} after the switch, by its own name ({ids[0]}, ...); "
                f"{reason}",
                remedy=f"let all clients use {migration.alias}, do the same there, or give it up with --force",
            )
    if found.missing:
        lacks = f"{len(found.missing)} of {found.objects} objects of {migration.old} are not in {migration.new}"
        if terms.keep_missing:
            first = ", ".join(map(str, found.missing[:_LISTED]))
            terms.tell(f"{lacks}: clients deleted them, or it lost them. They stay in {migration.old}: {first}, ...")
            return
        if len(found.missing) > LOST_SHARE * found.objects and not terms.clients_deleted:
            raise MigrationBlocked(
                collection=migration.new,
                reason=f"{lacks} ({found.missing[0]}, ...); {because[2]}",
                remedy=f"if clients deleted them by {migration.alias}, say so with --clients-deleted; else "
                f"{migration.new} lost them, to a restored backup or a lost disk: write them to it again first",
            )
        terms.tell(f"{lacks}: clients deleted them since the switch, or it lost them; {because[2]}.")


def _apart(transfer: Transfer, migration: Migration, times: MigrationProgress) -> Apart:
    database, route, found = transfer.database, transfer.route, Apart()
    apart_ms = MARGIN_MS if len(database.node_names()) > 1 else 0  # of the nodes' clocks
    for tenant in transfer.tenants():
        with transfer.awake(tenant, make=False):
            own = database.of_tenant(tenant)
            has_new = not tenant or bool(database.tenant_state(migration.new, tenant))
            new = stream(own, migration.new, vectors=route.carries) if has_new else iter(())
            for left, right in paired(stream(own, migration.old, vectors=route.carries), new):
                if transfer.mark in (each.uuid for each in (left, right) if each is not None):
                    continue  # which a crash may have left
                found.objects += left is not None
                if left is not None and left.updated_ms >= times.settled_ms:
                    # What is the same in both, or what a way back has carried before it was stopped, is not late.
                    same = left.uuid in times.returned or (right is not None and route.same(left, right))
                    found.written += [] if same else [left.uuid]
                elif left is not None and right is None:
                    found.missing.append(left.uuid)
                elif left is None and right is not None and right.updated_ms < times.moved_ms - apart_ms:
                    found.deleted.append(right.uuid)  # carried over before the alias moved, and untouched since
    return found


def _refuse_late_tenants(transfer: Transfer, migration: Migration, times: MigrationProgress, because: str) -> None:
    """Tenants that were there when the alias moved, and that the old collection alone has lost since."""
    there = set(transfer.database.tenant_states(migration.new)) if migration.tenants else set[str]()
    gone = sorted((there & times.tenants) - set(transfer.tenants()))
    if gone:
        raise MigrationBlocked(
            collection=migration.old,
            reason=f"{len(gone)} of its tenants were deleted after the switch, by its own name ({gone[0]}, ...); "
            f"{because}",
            remedy=f"delete them from {migration.new} too, then run the same command again, or give it up with --force",
        )


def _lifetime(database: Database, migration: Migration) -> Mapping[str, Any]:
    """The time to live of the old collection's objects; {} where they do not expire."""
    found = (database.schema(migration.old) or {}).get("objectTtlConfig") or {}
    return found if found.get("enabled") else {}


def _expired(count: int, migration: Migration, lifetime: Mapping[str, Any]) -> str:
    return (
        f"{count} objects are in {migration.new} and not in {migration.old} any more. They expired there (time to "
        f"live: {lifetime.get('defaultTtl')} s after {lifetime.get('deleteOn')}), or were deleted by its own name: "
        f"nobody can tell which. {migration.new} keeps them until they expire there."
    )
