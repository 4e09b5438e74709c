"""The values that cross the border to Weaviate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from samespace.errors import RequestInvalid
from samespace.evaluation.excerpts import clipped
from samespace.vectors import Float32

Consistency = Literal["ONE", "QUORUM", "ALL"]
"""Of how many replicas of a shard an answer is, or has to take a write."""
CONSISTENCIES: Final[tuple[Consistency, ...]] = ("ONE", "QUORUM", "ALL")
PAGE: Final = 256
"""Objects of one read or write; a few megabytes."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How many replicas take part where a call does not say so itself.

    Attributes:
        write: of writes and deletes.
        decide: of reads that a decision rests on: `page`, `stream`, `get`, `read`, `ids`, `has`.
        search: of searches; None for Weaviate's own default.
    """

    write: Consistency = "QUORUM"
    decide: Consistency = "ALL"
    search: Consistency | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to import, under the id that it has in its data set.

    Raises:
        RequestInvalid: the id is empty or no string, or the text is none. Ids of None would all be one object.
    """

    id: str
    text: str
    properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise RequestInvalid(field="id", reason=f"{clipped(self.id)}; expected a string that is not empty")
        if not isinstance(self.text, str):
            kind = type(self.text).__name__
            raise RequestInvalid(field="text", reason=f"of passage {clipped(self.id)} is {kind}, no string")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object, as it is read or written.

    Attributes:
        uuid: its id; their order is that of Weaviate's pages.
        properties: all but references, or those that were asked for. `page`, `get` and `write` have them as REST's
            JSON, which can be written back as it was read (dates with their offset, phone numbers, nested objects);
            `insert` and `read` as Python's types.
        vector: the one that the call names (`insert`, `read`), shape (dim,), or (windows, dim) for a multi-vector;
            `read` always gives rows, (1, dim) or (windows, dim). None where there is none, or the call names none.
        vectors: by name, where the call names none (`page`, `get`, `write`); "" is the vector without a name.
        references: for each reference property its beacons, in order.
        updated_ms: when it was last written, by Weaviate's clock; 0 for one that is to be written, or not asked for.
    """

    uuid: UUID
    properties: Mapping[str, Any]
    vector: Float32 | None = None
    vectors: Mapping[str, Float32] = field(default_factory=dict)
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    updated_ms: int = 0

    def same_content(self, other: StoredObject) -> bool:
        """Whether properties and references are equal."""
        return self.properties == other.properties and self.references == other.references

    def same_vectors(self, other: StoredObject, names: Iterable[str]) -> list[str]:
        """Those of *names* whose vector both have, number by number."""
        both = (name for name in names if name in self.vectors and name in other.vectors)
        return [name for name in both if np.array_equal(self.vectors[name], other.vectors[name])]


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that was not written, and why; of which passage, and of which tenant, where that is known."""

    uuid: UUID
    reason: str
    passage: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search.

    Attributes:
        uuid: of the object.
        properties: as stored.
        distance: cosine distance to the query; None where the search has none.
        score: of word or hybrid search, larger is better; None where the search has none.
    """

    uuid: UUID
    properties: Mapping[str, Any]
    distance: float | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Blend:
    """How a hybrid search mixes.

    Attributes:
        alpha: 0 is words alone, 1 vectors alone.
        query_vector: of the query, shape (dim,); None lets Weaviate's module encode it.
    """

    alpha: float = 0.7
    query_vector: Float32 | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A replica of a shard, as its node tells of it.

    Attributes:
        name: of the shard; with tenants, the tenant.
        node: that holds this replica.
        objects: lags behind what was written last.
        indexing: "READY", or what the vector index does meanwhile.
        collection: that it belongs to.
        queued: vectors that wait to be indexed (ASYNC_INDEXING).
    """

    name: str
    node: str
    objects: int
    indexing: str
    collection: str = ""
    queued: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A node of Weaviate.

    Attributes:
        name, version: its own.
        status: "HEALTHY", or what is wrong.
        shards: replicas that it holds; of collections with tenants, those that are loaded.
    """

    name: str
    status: str
    version: str
    shards: tuple[Shard, ...]


def object_uuid(collection: str, passage: str) -> UUID:
    """The id of a passage's object: the same for the same passage, so that importing again changes nothing."""
    return uuid5(NAMESPACE_URL, f"samespace:{collection}/{passage}")


def most_replicas(schema: Mapping[str, Any], shards: Iterable[Shard]) -> int:
    """How many replicas a shard has at most: as the schema says, or as they stand on nodes."""
    asked_for = int((schema.get("replicationConfig") or {}).get("factor") or 1)
    return max([asked_for, *Counter(shard.name for shard in shards).values()])
