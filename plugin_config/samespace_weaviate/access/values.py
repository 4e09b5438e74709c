"""The values that cross the door to Weaviate, and the door's shape.

`Database` is what `collection` and `importer` need of `store.Store`; tests put a fake in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from samespace.vectors import Float32

from ..pinning.index import HNSW, Index
from ..pinning.spec import MODULE


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to import, under the id that it has in its data set."""

    id: str
    text: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as it is written: properties and vector together, under an id that never changes.

    The vector's shape is (dim,), or (windows, dim) where the collection stores multi-vectors.
    """

    uuid: UUID
    properties: Mapping[str, Any]
    vector: Float32


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


class Database(Protocol):
    """What is needed of a Weaviate. Every vector is named, at write and at query."""

    def of_tenant(self, tenant: str) -> Database:
        """The same database, where everything about objects is about those of one tenant."""

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection; None where there is no such collection."""

    def create(self, schema: Mapping[str, Any]) -> None:
        """Make a collection."""

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add a property."""

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = MODULE, index: Index = HNSW
    ) -> None:
        """Add a named vector; the caller has made sure that there is none of that name."""

    def insert(self, name: str, vector: str, objects: Sequence[StoredObject]) -> list[Failure]:
        """Write objects under *vector*; what was refused comes back with its reason."""

    def has(self, name: str, uuid: UUID) -> bool:
        """Whether there is an object of that id."""

    def delete_windows(self, name: str, documents: Sequence[str], first: int) -> int:
        """Delete the windows from number *first* on of some documents; how many there were."""

    def tenants(self, name: str) -> dict[str, bool]:
        """The tenants of a collection that has them, and whether each can be read."""

    def add_tenant(self, name: str, tenant: str) -> None:
        """Make a tenant."""

    def near_text(self, name: str, vector: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search with a text that Weaviate's module encodes; *filters* is a `Filter` of weaviate-client, or None."""

    def near_vector(self, name: str, vector: str, query: Float32, limit: int, filters: Any = None) -> list[Hit]:
        """Search with one vector, shape (dim,), or a multi-vector, shape (vectors, dim)."""

    def bm25(self, name: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search by words."""

    def hybrid(self, name: str, vector: str, query: str, limit: int, blend: Blend, filters: Any = None) -> list[Hit]:
        """Search by words and by vector."""

    def count(self, name: str) -> int:
        """How many objects a collection has."""


def object_uuid(collection: str, passage: str) -> UUID:
    """The id of a passage's object: the same for the same passage, so that importing again changes nothing."""
    return uuid5(NAMESPACE_URL, f"samespace:{collection}/{passage}")
