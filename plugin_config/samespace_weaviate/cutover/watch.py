"""Look at a collection for a while after its readers were switched to it, and say which guard fails.

A guard that fails once may have met a restart. One that fails twice in a row fails.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np

from samespace.errors import SamespaceError

from ..access.database import Database, stream
from ..migration.plan import Migration
from ..pinning.pin import Severity, check_pin
from ..pinning.routes import vectorizer_of
from ..pinning.views import read_views, unknown_nodes
from ..replicas.alike import active_tenants
from .verdict import CutoverVerdict, Decision

FAILURES: Final = 2
"""Looks in a row that have to fail."""
EVERY_S: Final = 5.0
ASKED: Final = 5
"""Queries of each look."""
SLOWER: Final = 3.0
"""Times the old collection's 95th percentile, beyond which the new one is too slow."""
SLOWER_MS: Final = 100.0
"""And by so much at least: a query of a few milliseconds may well take three times as long."""
LIMIT_S: Final = 10.0
"""Seconds that a query may take."""
MOST_TENANTS: Final = 20
"""Tenants with objects that are asked, in turn."""
JUDGED_S: Final = 120.0
_ENOUGH: Final = 20
_OWN_QUERIES: Final = 50
_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class SwitchGuard:
    """Something that has to stay as it is.

    Attributes:
        name: for people.
        look: gives what is wrong, "" where nothing is.
        saw_nothing: why all its looks together say nothing, "" where they do.
        remedy: what would make it see something.
        look_last: what is wrong when the watch is over, of what took longer than looks may.
    """

    name: str
    look: Callable[[], str]
    saw_nothing: Callable[[], str] = lambda: ""
    look_last: Callable[[], str] = lambda: ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """How a watch ended.

    Attributes:
        looks: how often every guard was looked at.
        seconds: how long that took.
        failed: which guard, and what it saw; "" where none did.
        unseen: guards that held because they had nothing to look at, and why.
        remedies: what would make those see something.
    """

    looks: int
    seconds: float
    failed: str = ""
    unseen: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


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
    return Watched(looks, clock() - began, unseen=unseen, remedies=remedies)


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


@dataclass(frozen=True, slots=True)
class AskedPlace:
    """Where a query is asked.

    Attributes:
        database: of the tenant, where there are tenants.
        queries: texts, at least one.
        node: the known node that it goes through; "" for the connection as it is.
    """

    database: Database
    queries: Sequence[str]
    node: str = ""


@dataclass(slots=True)
class QueryGuard:
    """Both collections answer queries by text, as clients send them; the new one about as fast.

    Each look asks through every known node, because each encodes by itself; tenants come in turn. A query that the old
    collection cannot answer either says nothing against the new one, unless the old one has no module that could.

    Attributes:
        places: asked in turn; at least one.
        old_answers: whether the old collection has a module that encodes queries.
        limit_s: seconds for an answer.
        blind: node -> looks in a row, up to the last one, in which it gave no answer of both; of the new one, where the
            old one cannot answer.
        old_ms, new_ms: how long each took, where both answered.
    """

    migration: Migration
    places: Sequence[AskedPlace]
    old_answers: bool = True
    limit_s: float = LIMIT_S
    clock: Callable[[], float] = time.perf_counter
    blind: Counter[str] = field(default_factory=Counter)
    old_ms: list[float] = field(default_factory=list)
    new_ms: list[float] = field(default_factory=list)
    _next: int = 0

    def look(self) -> str:
        """What is wrong with the next few."""
        answered: set[str] = set()
        try:
            return self._look(answered)
        finally:
            self.blind.update(set(self._nodes) - answered)
            for node in answered:
                self.blind[node] = 0

    @property
    def _nodes(self) -> dict[str, None]:
        return dict.fromkeys(place.node for place in self.places)

    def _look(self, answered: set[str]) -> str:
        gone: set[str] = set()
        for _ in range(max(ASKED, len(self._nodes))):
            place = self.places[self._next % len(self.places)]
            query = place.queries[self._next // len(self.places) % len(place.queries)]
            if place.node not in gone:
                old, new = self._both(place, query)
                if isinstance(old, str) and self.old_answers:
                    gone.add(place.node)  # going back would not help; others of this look would wait as long
                elif wrong := self._wrong(place, old, new):
                    return wrong  # the next look begins with it
                else:
                    answered.add(place.node)
            self._next += 1
        if len(self.new_ms) >= _ENOUGH:
            old_ms, new_ms = self.slow()
            if new_ms > SLOWER * old_ms and new_ms > old_ms + SLOWER_MS:
                return f"queries take {new_ms:.0f} ms at the 95th percentile, {old_ms:.0f} ms in {self.migration.old}"
        return ""

    def _wrong(self, place: AskedPlace, old: tuple[int, float] | str, new: tuple[int, float] | str) -> str:
        """What of an answer is a failure of the new collection."""
        where = self.migration.new + (f" (node {place.node})" if place.node else "")
        if isinstance(new, str):
            other = f", {self.migration.old} does" if self.old_answers else ""
            return f"{where} does not answer a query by text{other}: {new}"
        if isinstance(old, str):
            return ""
        if old[0] and not new[0]:
            return f"{where} finds nothing where {self.migration.old} finds {old[0]} objects"
        self.old_ms.append(old[1])
        self.new_ms.append(new[1])
        return ""

    def saw_nothing(self) -> str:
        """Why the looks say nothing, "" where they do."""
        blind = {node: looks for node, looks in self.blind.items() if looks}
        if not blind:
            return ""
        both = f"neither {self.migration.old} nor {self.migration.new}" if self.old_answers else self.migration.new
        through = "" if len(blind) == len(self._nodes) else f" through node {', '.join(sorted(blind))}"
        return f"{both} answered any{through} in the last {min(blind.values())} looks"

    def slow(self) -> tuple[float, float]:
        """The 95th percentiles of old and new in milliseconds, of the last hundred queries."""
        return float(np.percentile(self.old_ms[-100:], 95)), float(np.percentile(self.new_ms[-100:], 95))

    def _both(self, place: AskedPlace, query: str) -> tuple[tuple[int, float] | str, tuple[int, float] | str]:
        """What old and new answer, within the limit."""
        migration = self.migration
        old: tuple[int, float] | str = "it has no module"
        if self.old_answers:
            old = self._in_time(place, migration.old, migration.old_vector, query)
        return old, self._in_time(place, migration.new, migration.new_vector, query)

    def _in_time(self, place: AskedPlace, name: str, vector: str, query: str) -> tuple[int, float] | str:
        pool = ThreadPoolExecutor(1, thread_name_prefix="samespace-watch")
        try:
            return pool.submit(self._ask, place, name, vector, query).result(self.limit_s)
        except TimeoutError:
            return f"no answer within {self.limit_s:g} s"
        finally:
            pool.shutdown(wait=False)

    def _ask(self, place: AskedPlace, name: str, vector: str, query: str) -> tuple[int, float] | str:
        """(results, milliseconds), or why there are none."""
        try:
            door = place.database.through(place.node)
            began = self.clock()
            found = door.near_text(name, vector, query, 10, bare=True)
        except SamespaceError as error:
            return str(error)
        return len(found), 1000 * (self.clock() - began)


def query_guard(database: Database, migration: Migration, queries: Sequence[str]) -> tuple[SwitchGuard, Database]:
    """(the guard of queries by text, the door of the first tenant that has objects, for judged queries).

    Args:
        queries: texts; beginnings of the texts of each tenant where there are none.
    """
    tenants = active_tenants(database, migration.new)
    doors = [database.of_tenant(tenant) if tenant else database for tenant in tenants]
    filled = list(islice((door for door in doors if door.page(migration.new, "", 1)), MOST_TENANTS))
    own = next(iter(filled or doors), database)
    texts = [(door, tuple(queries) or own_queries(door, migration)) for door in filled]
    nodes = list(database.each_node())
    nodes = nodes if len(nodes) > 1 else [""]
    places = [AskedPlace(door, asked, node) for door, asked in texts if asked for node in nodes]
    if not places:
        why = "no tenant is active" if not doors else "there is no text"
        remedy = "activate a tenant" if not doors else "give texts with --queries"
        return SwitchGuard("queries by text", lambda: "", lambda: why, remedy=remedy), own
    module, _ = vectorizer_of(database.schema(migration.old) or {}, migration.old_vector)
    guard = QueryGuard(migration, places, old_answers=module != "none")
    remedy = "let the encoder's server answer, through every node"
    return SwitchGuard("queries by text", guard.look, guard.saw_nothing, remedy=remedy), own


def own_queries(database: Database, migration: Migration) -> tuple[str, ...]:
    """The beginnings of texts in the collection, where nobody gave queries; () where there is no text."""
    texts = (
        str(each.properties.get(migration.text_property) or "")
        for each in islice(stream(database, migration.new), 4 * _OWN_QUERIES)
    )
    return tuple(islice((text[:_CHARS] for text in texts if text.strip()), _OWN_QUERIES))


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
