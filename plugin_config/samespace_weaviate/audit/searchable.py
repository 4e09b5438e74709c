"""Whether searches can find an object: its own vector has to find it.

Stored is not searchable. A Weaviate that is killed loses the end of its index's log: objects and vectors are all there,
and some are in no index (docs/weaviate-facts.md). No search ever gives them, and nothing says so.

The index is approximate, so an object counts as unsearchable only where even a large search misses it: `LIMITS` are
tried one after the other, and Weaviate explores at least as many candidates (ef) as the limit says. Where that many
other objects have the very same vector, nothing can be said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Final
from uuid import UUID

from samespace.vectors import Float32

LIMITS: Final = (10, 100, 1000)
"""Results asked for: the first is enough where the index is whole."""
SAME: Final = 1e-4
"""Results within this distance of the nearest have, for all that can be told, the same vector; room for quantizers."""
WORKERS: Final = 4

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


def search_each(nearest: Nearest, objects: Sequence[tuple[UUID, Float32]]) -> list[SelfSearch]:
    """`finds_itself` for each, a few at a time."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="samespace-search") as pool:
        return list(pool.map(lambda each: finds_itself(nearest, *each), objects))
