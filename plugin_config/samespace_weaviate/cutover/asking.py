"""The guard of queries by text: whether both collections answer as clients ask them, and how fast.

Each node encodes by itself and each tenant has an index of its own, so all nodes that are known and several tenants are
asked in turn. What a query gives is also held against the encoder of the new space, where it is open: a server that
says the right space and gives other vectors finds something too.

What it leaves to others: when to look, and what follows (`watch`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import SamespaceError

from ..access.database import Database, stream, ways_to
from ..access.values import Hit
from ..migration.copying.route import Encode, vectors_of
from ..migration.plan import Migration
from ..pinning.routes import vectorizer_of
from ..replicas.alike import active_tenants
from .watch import FAILURES, SwitchGuard

ASKED: Final = 5
"""Queries of each look, at least."""
SLOWER: Final = 3.0
"""Times what the old collection takes, beyond which the new one is too slow."""
SLOWER_MS: Final = 100.0
"""And by so much at least: a query of a few milliseconds may well take three times as long."""
LIMIT_S: Final = 10.0
"""Seconds that a query may take."""
MOST_TENANTS: Final = 20
"""Tenants with objects that are asked, in turn; of more, some are drawn."""
FAR: Final = 0.05
"""Mean difference of distances, in 1 - cos, between what the server and the encoder find for one text; of two builds of
one space it is a tenth of that."""
_DEPTH: Final = 10
_ENOUGH: Final = 20
_OWN_QUERIES: Final = 50
_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class AskedPlace:
    """Where queries are asked.

    Attributes:
        database: of the tenant, where there are tenants.
        queries: texts, at least one.
        tenant: its name; "" without tenants.
        old_answers: whether the old collection could answer there, as its schema and the tenant say.
    """

    database: Database
    queries: Sequence[str]
    tenant: str = ""
    old_answers: bool = True


@dataclass(frozen=True, slots=True)
class _Answered:
    """Hits, best first, and the milliseconds that they took."""

    hits: Sequence[Hit]
    ms: float


@dataclass(slots=True)
class QueryGuard:
    """Both collections answer queries by text, as clients send them; the new one about as fast, and with the right
    vectors.

    A query that the old collection cannot answer either says nothing against the new one, unless the old one has no
    module that could. Nor does a tenant that clients put to sleep, delete or empty.

    Attributes:
        places: asked in turn; at least one.
        nodes: addresses that queries go through, in turn; "" for the connection as it is.
        encode: vectors of queries by the encoder of the new space; None where it is not open.
        new_answers: whether the new collection has a module that encodes queries; else `encode` does.
        limit_s: seconds for an answer.
        blind: node -> looks in a row, up to the last one, in which it was asked and gave no answer of both; of the new
            one, where the old one cannot answer.
        heard: nodes that gave such an answer.
        held: nodes whose vectors were held against the encoder's.
        seen: tenants that gave such an answer.
        fallen: tenant -> why it is not asked any more.
        old_ms, new_ms: how long each took, where both answered.
    """

    migration: Migration
    places: Sequence[AskedPlace]
    nodes: Sequence[str] = ("",)
    encode: Encode | None = None
    new_answers: bool = True
    limit_s: float = LIMIT_S
    clock: Callable[[], float] = time.perf_counter
    blind: Counter[str] = field(default_factory=Counter)
    heard: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    fallen: dict[str, str] = field(default_factory=dict)
    old_ms: list[float] = field(default_factory=list)
    new_ms: list[float] = field(default_factory=list)
    _next: int = 0

    def look(self) -> str:
        """What is wrong with the next few."""
        asked, answered, hung = set[str](), set[str](), set[str]()
        wrong = ""
        for _ in range(max(ASKED, len(self.nodes), -(-len(self.places) // FAILURES))):
            turn, at = divmod(self._next, len(self.places))
            place, node = self.places[at], self.nodes[(at + turn) % len(self.nodes)]
            if node not in hung and place.tenant not in self.fallen:
                query = place.queries[turn % len(place.queries)]
                asked.add(node)
                old, new = self._both(place, node, query)
                if place.old_answers and isinstance(old, str):  # going back would not help
                    hung |= {node} if old.startswith("no answer within") else set()
                elif wrong := self._wrong(place, node, old, new) or (
                    "" if node in answered else self._other(place, node, query)
                ):
                    break  # the next look begins with it
                elif place.tenant not in self.fallen:
                    answered.add(node)
                    self.seen.add(place.tenant)
            self._next += 1
        self.heard |= answered
        self.blind.update(asked - answered)
        for node in answered:
            self.blind[node] = 0
        return wrong or self._slow()

    def _wrong(self, place: AskedPlace, node: str, old: _Answered | str, new: _Answered | str) -> str:
        """What of an answer is a failure of the new collection."""
        where, name = self._where(node), self.migration.old
        if isinstance(new, str):
            other = f", {name} does" if place.old_answers else ""
            return self._unless_fallen(place, f"{where} does not answer a query by text{other}: {new}")
        if isinstance(old, str):
            return ""
        if old.hits and not new.hits:
            return self._unless_fallen(place, f"{where} finds nothing where {name} finds {len(old.hits)} objects")
        self.old_ms.append(old.ms)
        self.new_ms.append(new.ms)
        return ""

    def _unless_fallen(self, place: AskedPlace, wrong: str) -> str:
        """*wrong*, unless clients may have made it so: they put the tenant to sleep, deleted or emptied it."""
        if place.tenant and (why := lacking(place.database, self.migration.new, place.tenant)):
            self.fallen[place.tenant] = why
            return ""
        return wrong

    def _other(self, place: AskedPlace, node: str, query: str) -> str:
        """Whether the node's vector of a query is another one than the encoder's, by what each finds."""
        if self.encode is None or not self.new_answers:
            return ""
        new, vector = self.migration.new, self.migration.new_vector
        try:
            row = self.encode([query])[0]
            served = place.database.through(node).near_text(new, vector, query, _DEPTH, bare=True)
            own = place.database.through(node).near_vector(new, vector, row, _DEPTH)
        except SamespaceError:
            return ""  # what was never held against the encoder is told in the end
        pairs = list(zip(_distances(served), _distances(own), strict=False))
        if not pairs:
            return ""
        self.held.add(node)
        far = float(np.mean([abs(one - other) for one, other in pairs]))
        if far <= FAR:
            return ""
        return (
            f"{self._where(node)} gives a query another vector than the encoder of space "
            f"{self.migration.to_space[:12]}: the distances of what it finds differ by {far:.2g} (1 - cos; {FAR:g} is "
            "allowed)"
        )

    def _slow(self) -> str:
        if len(self.new_ms) < FAILURES * ASKED:
            return ""
        old_ms, new_ms, what = self.speeds()
        if new_ms <= SLOWER * old_ms or new_ms <= old_ms + SLOWER_MS:
            return ""
        return f"queries take {new_ms:.0f} ms at the {what}, {old_ms:.0f} ms in {self.migration.old}"

    def speeds(self) -> tuple[float, float, str]:
        """Milliseconds of old and new, and of what: the 95th percentile of the last hundred, the median of few."""
        share, what = (95, "95th percentile") if len(self.new_ms) >= _ENOUGH else (50, "median")
        return float(np.percentile(self.old_ms[-100:], share)), float(np.percentile(self.new_ms[-100:], share)), what

    def saw_nothing(self) -> str:
        """Why the looks say nothing, "" where they do."""
        told = []
        if blind := {node: looks for node, looks in self.blind.items() if looks}:
            comparing = any(place.old_answers for place in self.places)
            both = f"neither {self.migration.old} nor {self.migration.new}" if comparing else self.migration.new
            through = "" if len(blind) == len(self.nodes) else f" through node {', '.join(sorted(blind))}"
            told.append(f"{both} answered any{through} in the last {min(blind.values())} looks")
        if missed := sorted(set(self.nodes) - self.heard - set(blind)):
            told.append(f"nothing was asked through node {', '.join(missed)}")
        if not told and self.encode is not None and self.new_answers and (rest := sorted(self.heard - self.held)):
            through = f" through node {', '.join(rest)}" if any(rest) else ""
            told.append(f"the vectors of queries{through} were not held against the encoder's")
        told += [f"tenant {tenant} {why}" for tenant, why in self.fallen.items()]
        unseen = {each.tenant for each in self.places if each.tenant} - self.seen - set(self.fallen)
        if unseen and not told:
            told.append(f"tenant {', '.join(sorted(unseen))} gave no answer of both")
        if not told and all(each.old_answers for each in self.places) and len(self.new_ms) < FAILURES * ASKED:
            told.append(f"{len(self.new_ms)} queries are too few to judge the speed")
        return "; ".join(told)

    def _where(self, node: str) -> str:
        return self.migration.new + (f" (node {node})" if node else "")

    def _both(self, place: AskedPlace, node: str, query: str) -> tuple[_Answered | str, _Answered | str]:
        """What old and new answer, within the limit."""
        old: _Answered | str = "it cannot"
        if place.old_answers:
            old = self._in_time(place, node, self.migration.old, query)
        return old, self._in_time(place, node, self.migration.new, query)

    def _in_time(self, place: AskedPlace, node: str, name: str, query: str) -> _Answered | str:
        pool = ThreadPoolExecutor(1, thread_name_prefix="samespace-watch")
        try:
            return pool.submit(self._ask, place, node, name, query).result(self.limit_s)
        except TimeoutError:
            return f"no answer within {self.limit_s:g} s"
        finally:
            pool.shutdown(wait=False)

    def _ask(self, place: AskedPlace, node: str, name: str, query: str) -> _Answered | str:
        """What is found, or why nothing is answered."""
        is_new = name == self.migration.new
        vector = self.migration.new_vector if is_new else self.migration.old_vector
        try:
            door = place.database.through(node)
            began = self.clock()
            if is_new and not self.new_answers and self.encode is not None:
                hits = door.near_vector(name, vector, self.encode([query])[0], _DEPTH)
            else:
                hits = door.near_text(name, vector, query, _DEPTH, bare=True)
        except SamespaceError as error:
            return str(error)
        return _Answered(hits, 1000 * (self.clock() - began))


def _distances(hits: Sequence[Hit]) -> list[float]:
    return sorted(hit.distance for hit in hits if hit.distance is not None)


def lacking(database: Database, name: str, tenant: str) -> str:
    """Why a tenant of a collection has nothing to ask, "" where it has."""
    state = database.tenant_state(name, tenant)
    if state != "HOT":
        return f"is {'gone from' if not state else 'not active in'} {name}"
    return "" if database.of_tenant(tenant).page(name, "", 1) else f"has no object in {name}"


def query_guard(
    database: Database, migration: Migration, queries: Sequence[str], encoder: Encoder | None = None
) -> tuple[SwitchGuard, Database]:
    """(the guard of queries by text, the door of the first tenant that has objects, for judged queries).

    Args:
        queries: texts; beginnings of the texts of each tenant where there are none.
        encoder: of the new space, where it is open.
    """
    schemas = [database.schema(name) or {} for name in (migration.old, migration.new)]
    old_module, new_module = (
        vectorizer_of(schema, vector)[0] != "none"
        for schema, vector in zip(schemas, (migration.old_vector, migration.new_vector), strict=True)
    )
    active = {name: active_tenants(database, name) for name in (migration.old, migration.new)}
    tenants = sorted({*active[migration.old], *active[migration.new]})
    random.Random(migration.id).shuffle(tenants)  # tenants of one kind may have names that begin alike
    places, fallen, looked_at = list[AskedPlace](), dict[str, str](), 0
    for tenant in tenants:
        door = database.of_tenant(tenant) if tenant else database
        old_has = tenant in active[migration.old] and bool(door.page(migration.old, "", 1))
        if tenant and old_has and (why := lacking(database, migration.new, tenant)):
            fallen[tenant] = why
        elif old_has or (tenant in active[migration.new] and door.page(migration.new, "", 1)):
            asked = tuple(queries) or own_queries(door, migration)
            if asked:
                places.append(AskedPlace(door, asked, tenant, old_module and tenant in active[migration.old]))
        looked_at += 1
        if len(places) >= MOST_TENANTS:
            break
    own = min(places, key=lambda each: each.tenant).database if places else database
    why_not = (
        "" if new_module or encoder is not None else f"{migration.new} has no module, and no encoder is given (--to)"
    )
    if not places or why_not:
        why = why_not or "; ".join(f"tenant {tenant} {why}" for tenant, why in fallen.items())
        why = why or ("there is no text" if looked_at else "no tenant is active")
        remedy = "give texts with --queries" if looked_at else "activate a tenant"
        return SwitchGuard("queries by text", lambda: "", lambda: why, remedy=remedy), own
    guard = QueryGuard(
        migration,
        places,
        list(ways_to(database)),
        encode=None if encoder is None else vectors_of(encoder, "query"),
        new_answers=new_module,
        fallen=fallen,
    )
    remedy = "let the encoder's server answer through every node, and look after tenants that are named"
    rest = len(tenants) - looked_at
    left_out = f"{rest} of {len(tenants)} active tenants were not asked" if rest else ""
    return SwitchGuard("queries by text", guard.look, guard.saw_nothing, remedy=remedy, left_out=left_out), own


def own_queries(database: Database, migration: Migration) -> tuple[str, ...]:
    """The beginnings of texts in the collection, where nobody gave queries; () where there is no text."""
    texts = (
        str(each.properties.get(migration.text_property) or "")
        for each in islice(stream(database, migration.new), 4 * _OWN_QUERIES)
    )
    return tuple(islice((text[:_CHARS] for text in texts if text.strip()), _OWN_QUERIES))
