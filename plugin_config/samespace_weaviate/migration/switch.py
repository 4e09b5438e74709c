"""The one moment that readers notice: the alias moves, and what reached the other collection around it is carried over.

All times are stamps that Weaviate puts on objects, because objects are compared by them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from samespace.errors import MigrationBlocked, WeaviateUnavailable

from .compare import Moved, WriteWindow, settings_of
from .copying.transfer import MARGIN_MS, Transfer
from .plan import Migration
from .refusals.aliases import refuse_elsewhere

ROUNDS: Final = 20


def move_alias(
    transfer: Transfer,
    migration: Migration,
    intent: str,
    catch_up: Callable[[], Moved],
    tell: Callable[[str], None],
    *,
    force: bool = False,
) -> None:
    """Move the alias to the route's target, right after a round that changed next to nothing.

    Args:
        intent: what the journal calls it.
        catch_up: does that round.
        force: whether objects with stamps of the future are no reason to stop.
    """
    database, source, target = transfer.database, transfer.route.source, transfer.route.target
    refuse_elsewhere(database, migration, source)
    _require_one_time(transfer)
    moved = catch_up()
    if transfer.route.tenants and set(database.tenant_states(target)) - set(transfer.tenants()):
        moved = catch_up()  # a tenant was deleted while the round was made
    moved_ms = (transfer.stamp_ms(target) or database.now_ms()) + 1  # ours is older, what clients write next is not
    if not force:
        _refuse_future(transfer, moved, moved_ms)
    transfer.journal.note(
        intent,
        since_ms=moved.since_ms,
        moved_ms=moved_ms,
        young={tenant: sorted(map(str, ids)) for tenant, ids in moved.young.items()},
        carried={tenant: sorted(map(str, ids)) for tenant, ids in moved.carried.items()},
        settings=settings_of(database.schema(target) or {}, migration.new_vector),
        tenants=sorted(database.tenant_states(target)) if transfer.route.tenants else [],
    )
    refuse_elsewhere(database, migration, source)  # somebody may have moved it while the last round was made
    database.point_alias(migration.alias, target)
    tell(f"{migration.alias} points to {target}.")


def _require_one_time(transfer: Transfer) -> None:
    """Raise where a node's clock is so far from the connection's that writes around the switch get mixed up.

    What a question takes is no difference: only what lies outside of the time that it may have taken counts.
    """
    clock, target = transfer.pace.clock, transfer.route.target
    for address, node in transfer.database.each_node().items():
        began = clock()
        try:
            first, second = transfer.stamp_ms(target), transfer.stamp_ms(target, node)
        except WeaviateUnavailable:
            continue  # a node that is away takes no writes
        took_ms = 1000 * (clock() - began)
        if first is None or second is None:
            return
        apart_ms = second - first if second < first else max(0.0, second - first - took_ms)
        if abs(apart_ms) > MARGIN_MS:
            raise MigrationBlocked(
                collection=transfer.route.source,
                reason=f"the clock of {address} is {abs(apart_ms) / 1000:.1f} s {'ahead' if apart_ms > 0 else 'behind'}"
                f" of the other nodes'; {MARGIN_MS / 1000:.0f} s are allowed",
                remedy="nothing was switched; set the clocks (NTP), then run the same command again",
            )


def _refuse_future(transfer: Transfer, moved: Moved, moved_ms: int) -> None:
    """Raise where an object bears a stamp of the future: a node's clock was ahead once.

    Whatever clients do to it next would look older.
    """
    newest_ms, uuid = moved.newest
    if newest_ms > moved_ms + MARGIN_MS:
        moment = datetime.fromtimestamp(newest_ms / 1000, UTC).isoformat(timespec="seconds")
        raise MigrationBlocked(
            collection=transfer.route.source,
            reason=f"object {uuid}, the newest, was last written at {moment} by its stamp, "
            f"{(newest_ms - moved_ms) / 1000:.0f} s from now: a node's clock was ahead then, and what clients change "
            "next would look older",
            remedy="nothing was switched; set the clocks (NTP), then write such objects again (any change will do) or "
            "wait until that time, and run the same command again; or give up what clients change in them while the "
            "alias moves, with --force",
        )


def settled_ms(transfer: Transfer, settled: Moved) -> int:
    """What the source gets from then on, by its stamp, it got after everything was settled.

    The newest object's stamp may be of a node that is ahead of the others, so it is held against the clock of now.
    """
    now_ms = transfer.stamp_ms(transfer.route.source)
    if now_ms is None:
        return settled.latest_ms + 1
    apart_ms = MARGIN_MS if len(transfer.database.node_names()) > 1 else 0
    return min(settled.latest_ms, now_ms - apart_ms) + 1


def settle(transfer: Transfer, settle_s: float) -> Moved:
    """Carry over what reached the source around the move, until nothing does any more; the last round."""
    progress = transfer.journal.progress

    def window(tenant: str) -> WriteWindow:
        nothing = frozenset[UUID]()
        young, carried = progress.young.get(tenant, nothing), progress.carried.get(tenant, nothing)
        return WriteWindow(progress.since_ms, progress.moved_ms, young, carried)

    for _ in range(ROUNDS):
        transfer.pace.pause(settle_s)
        _require_later(transfer, progress.moved_ms)
        moved = transfer.round(window)
        if not moved.changed:
            return moved
    raise MigrationBlocked(
        collection=transfer.route.source,
        reason="clients still write to it although the alias has moved",
        remedy="let them use the alias, then run the same command again",
    )


def _require_later(transfer: Transfer, moved_ms: int) -> None:
    """Raise where Weaviate's clock went back: what clients write now would look older than what was carried over."""
    now_ms = transfer.stamp_ms(transfer.route.source)
    if now_ms is not None and now_ms < moved_ms:  # what takes no object from us takes none from clients either
        moment = datetime.fromtimestamp(moved_ms / 1000, UTC).isoformat(timespec="seconds")
        raise MigrationBlocked(
            collection=transfer.route.target,
            reason=f"Weaviate's clock went back: the alias moved at {moment} by it, and it is "
            f"{(moved_ms - now_ms) / 1000:.1f} s before that now",
            remedy="set its clock (NTP). Nothing was deleted. What clients wrote since the switch looks older than what"
            " was carried over: let them write it again, then run the same command again",
        )
