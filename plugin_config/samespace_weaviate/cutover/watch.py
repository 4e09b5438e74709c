"""Look at a collection for a while after its readers were switched to it, and say which guard fails.

A guard that fails once may have met a restart. One that fails twice in a row fails. The guard of queries: `asking`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from samespace.errors import SamespaceError

from ..access.database import Database
from ..migration.plan import Migration
from ..pinning.pin import Severity, check_pin
from ..pinning.views import read_views, unknown_nodes
from .verdict import CutoverVerdict, Decision

FAILURES: Final = 2
"""Looks in a row that have to fail."""
EVERY_S: Final = 5.0
JUDGED_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class SwitchGuard:
    """Something that has to stay as it is.

    Attributes:
        name: for people.
        look: gives what is wrong, "" where nothing is.
        saw_nothing: why all its looks together say nothing, "" where they do.
        remedy: what would make it see something.
        look_last: what is wrong when the watch is over, of what took longer than looks may.
        left_out: what it does not look at, by what it is.
    """

    name: str
    look: Callable[[], str]
    saw_nothing: Callable[[], str] = lambda: ""
    look_last: Callable[[], str] = lambda: ""
    remedy: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """How a watch ended.

    Attributes:
        looks: how often every guard was looked at.
        seconds: how long that took.
        failed: which guard, and what it saw; "" where none did.
        unseen: guards that held because they had nothing to look at, and why.
        remedies: what would make those see something.
        left_out: what no guard looks at.
    """

    looks: int
    seconds: float
    failed: str = ""
    unseen: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def watch(
    guards: Sequence[SwitchGuard],
    seconds: float,
    *,
    every_s: float = EVERY_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Watched:
    """Look at every guard again and again, until one fails or *seconds* are over; at least `FAILURES` times."""
    began, looks = clock(), 0
    failures = [0] * len(guards)
    while looks < FAILURES or clock() - began < seconds or any(failures):
        for place, guard in enumerate(guards):
            try:
                wrong = guard.look()
            except SamespaceError as error:
                wrong = str(error)
            failures[place] = failures[place] + 1 if wrong else 0
            if failures[place] >= FAILURES:
                return Watched(looks + 1, clock() - began, f"{guard.name}: {wrong}")
        looks += 1
        pause(every_s)
    blind = [(guard, why) for guard in guards if (why := guard.saw_nothing())]
    unseen = tuple(f"{guard.name}: {why}" for guard, why in blind)
    remedies = tuple(dict.fromkeys(guard.remedy for guard, _ in blind if guard.remedy))
    for guard in guards:
        if late := guard.look_last():
            return Watched(looks, clock() - began, f"{guard.name}: {late}")
    left_out = tuple(guard.left_out for guard in guards if guard.left_out)
    return Watched(looks, clock() - began, unseen=unseen, remedies=remedies, left_out=left_out)


def pin_guard(database: Database, migration: Migration) -> SwitchGuard:
    """The alias leads to the new collection, and its pin holds on every node that is known.

    Nodes that are not known, or do not answer in the last look, have shown nothing.
    """
    silent: list[str] = []

    def look() -> str:
        target = database.alias_target(migration.alias)
        if target != migration.new:
            return f"{migration.alias} points to {target or 'nothing'}, not to {migration.new}"
        findings = check_pin(database.schema(migration.new) or {}, migration.to_space).findings
        views = read_views(database, migration.new, pause=lambda seconds: None)
        silent[:] = views.silent
        wrong = [each.message for each in findings if each.severity >= Severity.UNSAFE]
        return "; ".join([*wrong, *(f"node {node}: {what}" for node, what in views.differing.items())])

    def saw_nothing() -> str:
        if silent:
            return f"node {', '.join(silent)} did not answer in the last look"
        try:
            unknown = unknown_nodes(database)
        except SamespaceError as error:
            return str(error)
        return f"{unknown} more nodes were not asked" if unknown else ""

    return SwitchGuard("the pin", look, saw_nothing, remedy="give the address of each node (--node, or WEAVIATE_NODES)")


def judged_guard(compared: Callable[[], CutoverVerdict], *, wait_s: float = JUDGED_S) -> SwitchGuard:
    """The new collection is not worse on judged queries. They are asked once, beside the looks of other guards.

    Queries that cannot be asked say nothing about which collection is better.

    Args:
        wait_s: seconds that are waited for the last answer when the watch is over.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="samespace-judged")
    asked = pool.submit(compared)
    pool.shutdown(wait=False)

    def verdict(wait: float) -> CutoverVerdict:
        try:
            return asked.result(wait)
        except TimeoutError:
            return CutoverVerdict(Decision.CANNOT_TELL, "the queries were not all answered yet")
        except SamespaceError as error:
            return CutoverVerdict(Decision.CANNOT_TELL, str(error))

    def look() -> str:
        found = verdict(0.0 if not asked.done() else wait_s)
        return found.why if found.decision is Decision.NO_GO else ""

    def saw_nothing() -> str:
        found = verdict(wait_s)
        return found.why if found.decision is Decision.CANNOT_TELL else ""

    remedy = "`samespace weaviate compare` asks them again, and takes more of them, or another --margin"
    return SwitchGuard("judged queries", look, saw_nothing, look, remedy)
