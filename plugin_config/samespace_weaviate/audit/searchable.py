"""Whether searches can find an object: its own vector has to find it.

Stored is not searchable. A Weaviate that is killed loses the end of its index's log: objects and vectors are all there,
and some are in no index (docs/reference/weaviate-facts.md). No search ever gives them, and nothing says so.

The index is approximate, so an object counts as unsearchable only where even a large search misses it: `LIMITS` are
tried one after the other, and Weaviate explores at least as many candidates (ef) as the limit says. Where that many
other objects have the very same vector, nothing can be said.

Reads by id go by a filter, which was seen to miss objects after a kill: it is tried with the ids, too.

Each replica has an index of its own, and a search sees that of the node that is asked. So every node is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Final
from uuid import UUID

import numpy as np

from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import Consistency

LIMITS: Final = (10, 100, 1000)
"""Results asked for: the first is enough where the index is whole."""
SAME: Final = 1e-4
"""Results within this distance of the nearest have, for all that can be told, the same vector; room for quantizers."""
WORKERS: Final = 4

PAGE: Final = 128
HAIR: Final = np.float32(1 + 1e-6)
"""Weaviate does not index the same vector again. Scaled by this it counts as another one, being far above float32's
rounding, and no cosine shows it."""

Nearest = Callable[[Float32, int], Sequence[tuple[UUID, float]]]
"""(vector, limit) to the ids and distances of the nearest objects, nearest first."""


class SelfSearch(Enum):
    """What the searches said of one object."""

    YES = "yes"
    NO = "no"
    TIES = "ties"


def finds_itself(nearest: Nearest, uuid: UUID, vector: Float32) -> SelfSearch:
    """Search with an object's own vector.

    Args:
        nearest: asks the index.
        vector: (dim,), or (windows, dim) for a multi-vector.
    """
    tied = False
    for limit in LIMITS:
        results = nearest(vector, limit)
        if any(found == uuid for found, _ in results):
            return SelfSearch.YES
        tied = len(results) == limit and results[-1][1] - results[0][1] <= SAME
    return SelfSearch.TIES if tied else SelfSearch.NO


@dataclass(frozen=True, slots=True)
class IndexAnswers:
    """What every index said of some objects.

    Attributes:
        missing: of each object that an index does not find, the addresses of the nodes whose index that is; "" where
            there is one.
        tied: objects of which it cannot be told, because too many have the same vector.
    """

    missing: Mapping[UUID, tuple[str, ...]]
    tied: int


def search_each(doors: Mapping[str, Nearest], objects: Sequence[tuple[UUID, Float32]]) -> IndexAnswers:
    """`finds_itself` for each object in each index, a few at a time.

    Args:
        doors: from the address of a node to its own index: each replica has one, and a search sees only that of the
            node that is asked.
        objects: ids, and vectors as in `finds_itself`.
    """
    missing: dict[UUID, tuple[str, ...]] = {}
    tied: set[UUID] = set()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="samespace-search") as pool:
        for address, nearest in doors.items():
            answers = pool.map(lambda each, ask=nearest: finds_itself(ask, *each), objects)
            for (uuid, _), answer in zip(objects, answers, strict=True):
                if answer is SelfSearch.NO:
                    missing[uuid] = (*missing.get(uuid, ()), address)
                elif answer is SelfSearch.TIES:
                    tied.add(uuid)
    return IndexAnswers(missing, len(tied - missing.keys()))


def unfiltered(database: Database, name: str, ids: Sequence[UUID], consistency: Consistency | None = None) -> set[UUID]:
    """Which of some stored objects a filter on their ids does not find, on any node."""
    if not ids:
        return set()
    doors = database.each_index(name, consistency).values()
    return {uuid for door in doors for uuid in set(ids) - door.filtered(name, ids)}


def index_doors(
    database: Database, name: str, vector: str, consistency: Consistency | None = None
) -> dict[str, Nearest]:
    """From the address of each node that holds replicas to how its index of *vector* is asked."""

    def asked(node: Database) -> Nearest:
        return lambda query, limit: node.nearest(name, vector, query, limit)

    return {address: asked(node) for address, node in database.each_index(name, consistency).items()}


def wait_for_index(database: Database, name: str, wait_s: float) -> int:
    """Return when no vector waits to be indexed (asynchronous indexing), or after *wait_s*; how many wait still."""
    until = time.monotonic() + wait_s
    while queued := sum(each.queued for each in database.shards(name)):
        if time.monotonic() >= until:
            break
        time.sleep(min(0.5, wait_s))
    return queued


@dataclass(frozen=True, slots=True)
class SearchCheck:
    """What searching for stored objects with their own vectors found.

    Attributes:
        searched: objects with a vector.
        lost: those that no search finds, or no filter.
        tied: those of which it cannot be told, because too many have the same vector.
        unasked: nodes whose index was not searched, because they were away or are not known.
    """

    searched: int = 0
    lost: tuple[UUID, ...] = ()
    tied: int = 0
    unasked: tuple[str, ...] = ()

    def __add__(self, other: SearchCheck) -> SearchCheck:
        return SearchCheck(
            self.searched + other.searched,
            self.lost + other.lost,
            self.tied + other.tied,
            tuple(dict.fromkeys(self.unasked + other.unasked)),
        )


def check_searchable(
    database: Database, name: str, vector: str, uuids: Iterable[UUID], consistency: Consistency | None = None
) -> SearchCheck:
    """Search for each of some objects with its own vector; those that are gone, or have no vector, are passed over.

    Args:
        database: of the tenant.
        vector: the named vector whose index is asked.
        consistency: of reading the stored vectors, and of how many nodes' indexes have to answer.
    """
    source, rows = iter(uuids), _holds_rows(database, name, vector)
    doors = index_doors(database, name, vector, consistency)
    found = SearchCheck(unasked=database.unasked(name, doors))

    def checked(some: Sequence[UUID]) -> SearchCheck:
        stored = {
            each.uuid: each.vector if rows else each.vector[0]
            for each in database.read(name, vector, some, [], consistency)
            if each.vector is not None and each.vector.size and np.isfinite(each.vector).all() and each.vector.any()
        }
        answers = search_each(doors, list(stored.items()))
        lost = answers.missing.keys() | unfiltered(database, name, list(stored), consistency)
        return SearchCheck(len(stored), tuple(sorted(lost)), answers.tied)

    while page := list(islice(source, PAGE)):
        once = checked(page)
        # What was deleted or written again meanwhile is no finding: it is read again, and searched as it is now.
        again = checked(once.lost) if once.lost else SearchCheck()
        found += SearchCheck(once.searched, again.lost, once.tied + again.tied)
    return found


def _holds_rows(database: Database, name: str, vector: str) -> bool:
    """Whether the index holds multi-vectors; it takes no other queries then, also where an object has one row."""
    config = ((database.schema(name) or {}).get("vectorConfig") or {}).get(vector) or {}
    return bool(((config.get("vectorIndexConfig") or {}).get("multivector") or {}).get("enabled"))


def index_again(database: Database, name: str, vector: str, uuids: Sequence[UUID]) -> list[UUID]:
    """Bring vectors that are stored and in no index into it, without changing their direction.

    Each is read right before it is written: nobody may edit the texts meanwhile, for a write knows no condition.

    Returns:
        Objects that a client changed all the same: their vector may be that of the text before.
    """
    changed = list[UUID]()
    for uuid in uuids:
        before = database.get(name, uuid, vectors=True)
        stored = None if before is None else before.vectors.get(vector)
        if before is not None and stored is not None:
            database.patch_vector(name, uuid, vector, stored * HAIR)
            after = database.get(name, uuid)
            if after is not None and not after.same_content(before):
                changed.append(uuid)
    return changed
