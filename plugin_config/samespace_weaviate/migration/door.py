"""What a migration needs of Weaviate, and the values that cross this door.

Objects cross it as REST tells them, because that way they can be written back as they were read: dates with their
offset, phone numbers, nested objects. weaviate-client turns them into Python's types, and not all find their way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from samespace.vectors import Float32

PAGE: Final = 256
"""Objects of one read or write; a few megabytes."""


@dataclass(frozen=True, slots=True)
class Record:
    """One object.

    Attributes:
        id: lower-case UUID; text order is Weaviate's order.
        properties: all but the references, as JSON.
        references: for each reference property its beacons, in order.
        updated_ms: when it was last written, by Weaviate's clock; 0 for one that is to be written.
        vectors: those that were asked for, or that are to be written.
    """

    id: str
    properties: Mapping[str, Any]
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    updated_ms: int = 0
    vectors: Mapping[str, Float32] = field(default_factory=dict)

    def same_content(self, other: Record) -> bool:
        """Whether properties and references are equal."""
        return self.properties == other.properties and self.references == other.references


@dataclass(frozen=True, slots=True)
class Refused:
    """An object that was not written, and why."""

    id: str
    reason: str


class Door(Protocol):
    """A Weaviate. Names of collections may be aliases where Weaviate resolves them. *tenant* "" means none.

    Every method may be called twice with the same effect as once. All raise `WeaviateUnavailable` when nothing
    answers, and `WeaviateError` when Weaviate refuses.
    """

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection, or of the one that an alias points to; None where there is none."""

    def names(self) -> list[str]:
        """The collections, without aliases."""

    def create(self, schema: Mapping[str, Any]) -> None:
        """Make a collection."""

    def drop(self, name: str) -> None:
        """Delete a collection with all its objects; no error where there is none."""

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""

    def point_alias(self, alias: str, name: str) -> None:
        """Make *alias* point to the collection *name*, in one atomic step; it is made if it is not there."""

    def tenants(self, name: str) -> dict[str, str]:
        """Tenant to its status: HOT, COLD or anything else that cannot be read at once."""

    def tenant(self, name: str, tenant: str) -> str:
        """The status of one tenant; "" where there is none."""

    def set_tenant(self, name: str, tenant: str, status: str) -> None:
        """Give a tenant a status; it is made if it is not there."""

    def remove_tenant(self, name: str, tenant: str) -> None:
        """Delete a tenant with its objects."""

    def page(self, name: str, tenant: str, after: str, limit: int, *, vectors: bool = False) -> list[Record]:
        """The next *limit* objects behind the id *after* ("" for the first), in order of their ids."""

    def write(self, name: str, tenant: str, records: Sequence[Record]) -> list[Refused]:
        """Write objects whole, replacing those of the same id. Without vectors, the collection's module makes them."""

    def remove(self, name: str, tenant: str, ids: Sequence[str]) -> None:
        """Delete objects; those that are not there are passed over."""

    def count(self, name: str, tenant: str) -> int:
        """How many objects there are."""

    def nearest(self, name: str, tenant: str, vector: str, query: str | Float32, limit: int) -> list[str]:
        """The ids of the nearest objects to a text (which the module encodes) or to a vector, best first."""

    def now_ms(self) -> int:
        """Weaviate's clock, cut to the whole second."""


def stream(door: Door, name: str, tenant: str, after: str = "", *, vectors: bool = False) -> Iterator[Record]:
    """All objects behind *after*, in order of their ids, a page at a time."""
    while page := door.page(name, tenant, after, PAGE, vectors=vectors):
        yield from page
        after = page[-1].id
