"""Whether searches can find an object: its own vector has to find it.

Stored is not searchable. A Weaviate that is killed loses the end of its index's log: objects and vectors are all there,
and some are in no index (docs/reference/weaviate-facts.md). No search ever gives them, and nothing says so.

The index is approximate, so an object counts as unsearchable only where even a large search misses it: `LIMITS` are
tried one after the other, and Weaviate explores at least as many candidates (ef) as the limit says. Where that many
other objects have the very same vector, or the index is compressed and ranks by its codes, the largest query that
Weaviate takes is asked before an object is called missing.

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
from typing import Any, Final
from uuid import UUID

import numpy as np

from samespace.errors import WeaviateError, WeaviateUnavailable
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import Consistency

LIMITS: Final = (10, 100, 1000)
"""Results asked for: the first is enough where the index is whole."""
WIDEST: Final = 10_000
"""Weaviate takes no larger query unless its QUERY_MAXIMUM_RESULTS says so."""
SAME: Final = 1e-4
"""Results within this distance of the nearest have, for all that can be told, the same vector; room for quantizers."""
WORKERS: Final = 4

_CODES: Final = frozenset({"pq", "bq", "sq", "rq"})
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
    BEHIND = "behind"
    """It is in the index, and its own vector ranks more than a thousand others before it."""


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
        behind: objects that only the largest query finds.
    """

    missing: Mapping[UUID, tuple[str, ...]]
    tied: int
    behind: int = 0


def search_each(
    doors: Mapping[str, Nearest], objects: Sequence[tuple[UUID, Float32]], *, compressed: bool = False
) -> IndexAnswers:
    """`finds_itself` for each object in each index, a few at a time.

    Args:
        doors: from the address of a node to its own index: each replica has one, and a search sees only that of the
            node that is asked.
        objects: ids, and vectors as in `finds_itself`.
        compressed: whether the index ranks by codes instead of vectors.
    """
    missing: dict[UUID, tuple[str, ...]] = {}
    tied, behind = set[UUID](), set[UUID]()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="samespace-search") as pool:
        for address, nearest in doors.items():
            answers = dict(
                zip(
                    (uuid for uuid, _ in objects),
                    pool.map(lambda each, ask=nearest: finds_itself(ask, *each), objects),
                    strict=True,
                )
            )
            doubtful = _by_vector(objects, answers, compressed=compressed)
            for again in pool.map(lambda each, ask=nearest: _widely(ask, *each), doubtful):
                answers |= again
            for uuid, answer in answers.items():
                if answer is SelfSearch.NO:
                    missing[uuid] = (*missing.get(uuid, ()), address)
                elif answer is SelfSearch.TIES:
                    tied.add(uuid)
                elif answer is SelfSearch.BEHIND:
                    behind.add(uuid)
    return IndexAnswers(missing, len(tied - missing.keys()), len(behind - missing.keys()))


def _by_vector(
    objects: Sequence[tuple[UUID, Float32]], answers: Mapping[UUID, SelfSearch], *, compressed: bool
) -> list[tuple[Float32, dict[UUID, SelfSearch]]]:
    """Objects of which the largest query tells more: those of one vector share it."""
    found: dict[bytes, tuple[Float32, dict[UUID, SelfSearch]]] = {}
    for uuid, vector in objects:
        if answers[uuid] is SelfSearch.TIES or (compressed and answers[uuid] is SelfSearch.NO):
            found.setdefault(vector.tobytes(), (vector, {}))[1][uuid] = answers[uuid]
    return list(found.values())


def _widely(nearest: Nearest, vector: Float32, before: Mapping[UUID, SelfSearch]) -> dict[UUID, SelfSearch]:
    """What is known after the largest query; *before* where Weaviate takes no such query."""
    try:
        results = nearest(vector, WIDEST)
    except WeaviateUnavailable:
        raise
    except WeaviateError as error:
        if "maximum" not in str(error).lower():
            raise
        return dict(before)
    there = {uuid for uuid, _ in results}
    tied = len(results) == WIDEST and results[-1][1] - results[0][1] <= SAME
    found = {}
    for uuid, answer in before.items():
        if uuid in there:
            found[uuid] = SelfSearch.YES if answer is SelfSearch.TIES else SelfSearch.BEHIND
        else:
            found[uuid] = answer if tied or not results else SelfSearch.NO
    return found


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
        behind: those that only the largest query finds, because the index is compressed.
        unasked: nodes whose index was not searched, because they were away or are not known.
    """

    searched: int = 0
    lost: tuple[UUID, ...] = ()
    tied: int = 0
    behind: int = 0
    unasked: tuple[str, ...] = ()

    def __add__(self, other: SearchCheck) -> SearchCheck:
        return SearchCheck(
            self.searched + other.searched,
            self.lost + other.lost,
            self.tied + other.tied,
            self.behind + other.behind,
            tuple(dict.fromkeys(self.unasked + other.unasked)),
        )


def remarks(tied: int, behind: int) -> list[str]:
    """What has to be said of objects that are neither found nor missing."""
    lines = []
    if tied:
        lines.append(f"{tied} have the very vector of thousands of others: whether searches find them cannot be told.")
    if behind:
        lines.append(
            f"{behind} are in the index, and their own vector finds a thousand others before them: it is compressed "
            "too coarsely, and neither repair nor waiting changes that. Use more segments, or another compression."
        )
    return lines


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
    compressed = is_compressed(database, name, vector)
    doors = index_doors(database, name, vector, consistency)
    found = SearchCheck(unasked=database.unasked(name, doors))

    def checked(some: Sequence[UUID]) -> SearchCheck:
        stored = {
            each.uuid: each.vector if rows else each.vector[0]
            for each in database.read(name, vector, some, [], consistency)
            if each.vector is not None and each.vector.size and np.isfinite(each.vector).all() and each.vector.any()
        }
        answers = search_each(doors, list(stored.items()), compressed=compressed)
        lost = answers.missing.keys() | unfiltered(database, name, list(stored), consistency)
        return SearchCheck(len(stored), tuple(sorted(lost)), answers.tied, answers.behind)

    while page := list(islice(source, PAGE)):
        once = checked(page)
        # What was deleted or written again meanwhile is no finding: it is read again, and searched as it is now.
        again = checked(once.lost) if once.lost else SearchCheck()
        found += SearchCheck(once.searched, again.lost, once.tied + again.tied, once.behind + again.behind)
    return found


def _index_config(database: Database, name: str, vector: str) -> Mapping[str, Any]:
    config = ((database.schema(name) or {}).get("vectorConfig") or {}).get(vector) or {}
    return config.get("vectorIndexConfig") or {}


def _holds_rows(database: Database, name: str, vector: str) -> bool:
    """Whether the index holds multi-vectors; it takes no other queries then, also where an object has one row."""
    return bool((_index_config(database, name, vector).get("multivector") or {}).get("enabled"))


def is_compressed(database: Database, name: str, vector: str) -> bool:
    """Whether the index ranks candidates by codes, which are not exact."""

    def coded(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return False
        return any((key in _CODES and inner.get("enabled")) or coded(inner) for key, inner in value.items()
                   if isinstance(inner, Mapping))  # fmt: skip

    return coded(_index_config(database, name, vector))


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
