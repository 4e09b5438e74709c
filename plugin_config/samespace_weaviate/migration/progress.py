"""The state machine of a migration: how far it is, and what is to be done next. Pure.

    planned ─ created ─ copying ─ catching_up ─ verified ─ switching ─ switched ─ settled ─ finished
                                                   ▲            │                    │
                                                   └────────────┘ (not moved)        │ --rollback
                                                                                     ▼
       rolled_back ◄─ discarding ◄─ unswitched ◄─ unswitching ◄─────────────── returning
            ▲              ▲
            └── --rollback of whatever comes before `switched`

`switching` and `unswitching` are intents: they are written before the alias is moved, and `confirm` looks where it
points. So a crash on either side of the one call that readers notice is told apart. Every other step can be done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

from samespace.errors import DataInvalid, MigrationBlocked

Wish = Literal["migrate", "rollback", "finish"]


class MigrationState(StrEnum):
    """How far a migration is."""

    NEW = "new"
    PLANNED = "planned"
    CREATED = "created"
    COPYING = "copying"
    CATCHING_UP = "catching_up"
    VERIFIED = "verified"
    SWITCHING = "switching"
    SWITCHED = "switched"
    SETTLED = "settled"
    FINISHED = "finished"
    RETURNING = "returning"
    UNSWITCHING = "unswitching"
    UNSWITCHED = "unswitched"
    DISCARDING = "discarding"
    ROLLED_BACK = "rolled_back"


class Step(StrEnum):
    """What is to be done next."""

    CREATE = "create"
    COPY = "copy"
    CATCH_UP = "catch up and verify"
    SWITCH = "switch"
    CONFIRM = "confirm"
    SETTLE = "settle"
    RETURN = "return"
    CONFIRM_BACK = "confirm the way back"
    SETTLE_BACK = "settle back"
    DISCARD = "discard"
    DROP = "drop the old collection"


@dataclass(frozen=True, slots=True)
class MigrationProgress:
    """What a journal tells.

    Attributes:
        state: how far.
        plan: of the migration, as it was written; empty before `planned`.
        cursors: for each tenant ("" without tenants) the last object id up to which everything is copied;
            gone once the tenant is done.
        done: tenants whose first copy is complete.
        woken: (collection, tenant) that were found cold and activated by us, and are not cold again yet.
        copied: objects written so far, all rounds together.
        since_ms: Weaviate's clock at the beginning of the last round before the alias moved; changes from then on may
            have been missed by it.
        moved_ms: Weaviate's clock right before the alias moved; later writes are clients' own.
        young: of each tenant, what that round carried of the objects that were written since `since_ms`.
        carried: of each tenant, what the target had when that round ended of the objects it got since `since_ms`.
        tenants: that there were when the alias moved.
        settings: of the new collection then: see `compare.settings_of`.
        returned: objects that the way back has carried to the old collection.
        settled_ms: what the old collection gets from then on, by Weaviate's clock, it gets by its own name.
        doubtful: objects that rounds wrote with vectors of a hosted encoder, which was not asked again since.
    """

    state: MigrationState = MigrationState.NEW
    plan: Mapping[str, Any] = field(default_factory=dict)
    cursors: Mapping[str, str] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    woken: frozenset[tuple[str, str]] = frozenset()
    copied: int = 0
    since_ms: int = 0
    moved_ms: int = 0
    young: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    carried: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    tenants: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    returned: frozenset[UUID] = frozenset()
    settled_ms: int = 0
    doubtful: frozenset[UUID] = frozenset()


BEFORE_SWITCH: Final = (
    MigrationState.PLANNED,
    MigrationState.CREATED,
    MigrationState.COPYING,
    MigrationState.CATCHING_UP,
    MigrationState.VERIFIED,
)
NEW_IS_THERE: Final = frozenset(MigrationState) - {
    MigrationState.NEW,
    MigrationState.PLANNED,
    MigrationState.FINISHED,
    MigrationState.DISCARDING,
    MigrationState.ROLLED_BACK,
}
"""States in which the new collection was seen to be there; a copy back to the old name may have followed the last."""
_ANY: Final = tuple(MigrationState)
# event -> (states in which it may come, the state afterwards; None for "the same")
_EVENTS: Final[dict[str, tuple[tuple[MigrationState, ...], MigrationState | None]]] = {
    "planned": ((MigrationState.NEW,), MigrationState.PLANNED),
    "created": ((MigrationState.PLANNED,), MigrationState.CREATED),
    "copied": ((MigrationState.CREATED, MigrationState.COPYING), MigrationState.COPYING),
    "tenant_done": ((MigrationState.CREATED, MigrationState.COPYING), MigrationState.COPYING),
    "copied_all": ((MigrationState.CREATED, MigrationState.COPYING), MigrationState.CATCHING_UP),
    "round": (_ANY, None),
    "doubtful": (_ANY, None),
    "confirmed": (_ANY, None),
    "woken": (_ANY, None),
    "asleep": (_ANY, None),
    "verified": ((MigrationState.CATCHING_UP,), MigrationState.VERIFIED),
    "switching": ((MigrationState.VERIFIED,), MigrationState.SWITCHING),
    "not_switched": ((MigrationState.SWITCHING,), MigrationState.VERIFIED),
    "switched": ((MigrationState.SWITCHING,), MigrationState.SWITCHED),
    "settled": ((MigrationState.SWITCHED,), MigrationState.SETTLED),
    "finished": ((MigrationState.SETTLED,), MigrationState.FINISHED),
    "returned": ((MigrationState.RETURNING,), None),
    "returning": ((MigrationState.SETTLED,), MigrationState.RETURNING),
    "unswitching": ((MigrationState.RETURNING,), MigrationState.UNSWITCHING),
    "not_unswitched": ((MigrationState.UNSWITCHING,), MigrationState.RETURNING),
    "unswitched": ((MigrationState.UNSWITCHING,), MigrationState.UNSWITCHED),
    "settled_back": ((MigrationState.UNSWITCHED,), MigrationState.DISCARDING),
    "discarding": (BEFORE_SWITCH, MigrationState.DISCARDING),
    "rolled_back": ((MigrationState.DISCARDING,), MigrationState.ROLLED_BACK),
}

_MIGRATE: Final[dict[MigrationState, Step]] = {
    MigrationState.PLANNED: Step.CREATE,
    MigrationState.CREATED: Step.COPY,
    MigrationState.COPYING: Step.COPY,
    MigrationState.CATCHING_UP: Step.CATCH_UP,
    MigrationState.VERIFIED: Step.SWITCH,
    MigrationState.SWITCHING: Step.CONFIRM,
    MigrationState.SWITCHED: Step.SETTLE,
}
_ROLL_BACK: Final[dict[MigrationState, Step]] = {
    **dict.fromkeys((*BEFORE_SWITCH, MigrationState.DISCARDING), Step.DISCARD),
    MigrationState.SWITCHING: Step.CONFIRM,
    MigrationState.SWITCHED: Step.SETTLE,
    MigrationState.SETTLED: Step.RETURN,
    MigrationState.RETURNING: Step.RETURN,
    MigrationState.UNSWITCHING: Step.CONFIRM_BACK,
    MigrationState.UNSWITCHED: Step.SETTLE_BACK,
}
_FINISH: Final[dict[MigrationState, Step]] = {
    MigrationState.SWITCHING: Step.CONFIRM,
    MigrationState.SWITCHED: Step.SETTLE,
    MigrationState.SETTLED: Step.DROP,
}
_GOING_BACK: Final = frozenset(
    {
        MigrationState.RETURNING,
        MigrationState.UNSWITCHING,
        MigrationState.UNSWITCHED,
        MigrationState.DISCARDING,
        MigrationState.ROLLED_BACK,
    }
)


def next_step(progress: MigrationProgress, wish: Wish) -> Step | None:
    """What is to be done next to fulfil *wish*; None when it is fulfilled.

    Raises:
        MigrationBlocked: it cannot be fulfilled from here.
    """
    state, name = progress.state, str(progress.plan.get("alias", "the collection"))
    if wish != "rollback" and state in _GOING_BACK:
        raise MigrationBlocked(
            collection=name,
            reason=f"this migration is {'' if state is MigrationState.ROLLED_BACK else 'being '}rolled back ({state})",
            remedy="to migrate again, take another --journal"
            if state is MigrationState.ROLLED_BACK
            else "complete it with --rollback",
        )
    if wish == "rollback":
        if state is MigrationState.FINISHED:
            raise MigrationBlocked(
                collection=name,
                reason="the migration is finished: the old index is gone",
                remedy="migrate to the old encoder's artifact, which encodes everything again",
            )
        return _ROLL_BACK.get(state)
    if wish == "finish":
        if state is not MigrationState.FINISHED and state not in _FINISH:
            raise MigrationBlocked(
                collection=name,
                reason=f"the migration is {state}: the alias does not point to the new collection yet",
                remedy="run the command without --finish first",
            )
        return _FINISH.get(state)
    return _MIGRATE.get(state)


def advance(progress: MigrationProgress, event: str, facts: Mapping[str, Any]) -> MigrationProgress:
    """The progress after *event*.

    Raises:
        DataInvalid: there is no such event, or it cannot come now.
    """
    before, after = _EVENTS.get(event, ((), None))
    if progress.state not in before:
        raise DataInvalid(path="journal", reason=f"event {event!r} cannot come in state {progress.state}")
    progress = replace(progress, state=after or progress.state)
    tenant = str(facts.get("tenant", ""))
    match event:
        case "planned":
            return replace(progress, plan=dict(facts["plan"]))
        case "copied":
            return replace(
                progress,
                cursors={**progress.cursors, tenant: str(facts["cursor"])},
                copied=progress.copied + int(facts["objects"]),
            )
        case "tenant_done":
            left = {name: cursor for name, cursor in progress.cursors.items() if name != tenant}
            return replace(progress, done=progress.done | {tenant}, cursors=left)
        case "round":
            return replace(progress, copied=progress.copied + int(facts["written"]))
        case "woken":
            return replace(progress, woken=progress.woken | {(str(facts["collection"]), tenant)})
        case "asleep":
            return replace(progress, woken=progress.woken - {(str(facts["collection"]), tenant)})
        case "switching" | "unswitching":
            return replace(
                progress,
                since_ms=int(facts["since_ms"]),
                moved_ms=int(facts["moved_ms"]),
                young=_by_tenant(facts, "young"),
                carried=_by_tenant(facts, "carried"),
                tenants=frozenset(facts.get("tenants", ())),
                settings=facts.get("settings", {}) if event == "switching" else progress.settings,
            )
        case "returned":
            return replace(progress, returned=progress.returned.union(map(UUID, facts["ids"])))
        case "doubtful":
            return replace(progress, doubtful=progress.doubtful.union(map(UUID, facts["ids"])))
        case "confirmed":
            return replace(progress, doubtful=frozenset())
        case "settled":
            return replace(progress, settled_ms=int(facts["at_ms"]))
    return progress


def _by_tenant(facts: Mapping[str, Any], key: str) -> dict[str, frozenset[UUID]]:
    return {tenant: frozenset(map(UUID, ids)) for tenant, ids in facts.get(key, {}).items()}
