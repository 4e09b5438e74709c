"""What an audit needs of a Weaviate, and the values that cross this door. It reads and never writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from samespace.vectors import Float32


@dataclass(frozen=True, slots=True)
class ReadObject:
    """One object as it is stored.

    Attributes:
        uuid: its id.
        properties: those that were asked for and are there.
        vectors: (1, dim), or (windows, dim) for a multi-vector; None where the object has no such vector.
    """

    uuid: UUID
    properties: Mapping[str, Any]
    vectors: Float32 | None


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard's copy on one node, as Weaviate tells of it.

    Attributes:
        objects: lags behind what was written and deleted last.
        queued: vectors that are stored and not indexed yet, with asynchronous indexing.
    """

    name: str
    node: str
    objects: int
    indexing: str
    queued: int = 0


class AuditedDatabase(Protocol):
    """A Weaviate, as far as an audit is concerned."""

    def of_tenant(self, tenant: str) -> AuditedDatabase:
        """The same database, where everything about objects is about those of one tenant; "" for no tenant."""

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection; None where there is no such collection."""

    def tenants(self, name: str) -> dict[str, bool]:
        """Tenant to whether its objects can be read now; empty for a collection without tenants."""

    def shards(self, name: str) -> list[Shard]:
        """The shards of a collection; of one with tenants, those that are loaded."""

    def ids(self, name: str) -> Iterator[UUID]:
        """The ids of all objects, in order; without texts and vectors."""

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        """Ids and distances of the objects nearest to *query*, (dim,) or (windows, dim), by the vector's index."""

    def read(self, name: str, vector: str, ids: Sequence[UUID], properties: Sequence[str]) -> list[ReadObject]:
        """Some objects with a named vector; those that are gone are left out, the order is any."""
