"""What the plugin needs of a Weaviate: one Protocol, in the four parts that its rooms use.

`client.Store` is the real one; tests put a fake in its place. Names of collections may be aliases where Weaviate
resolves them. Every call may be made twice with the same effect as once, and every one raises `WeaviateUnavailable`
where nothing answers, or an outage is the reason, and `WeaviateError` where Weaviate refuses.

*consistency* says of how many replicas an answer is; None takes the level of the connection (`values.Levels`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self
from uuid import UUID

from samespace.vectors import Float32

from ..pinning.index import HNSW, Index
from ..pinning.spec import MODULE
from .patience import Patience
from .values import PAGE, Blend, Consistency, Failure, Hit, Levels, Node, Shard, StoredObject


class TenantBound(Protocol):
    """Whose objects are meant, how long is waited, of how many replicas answers are, and of which node."""

    levels: Levels

    @property
    def patience(self) -> Patience:
        """With outages."""

    def of_tenant(self, tenant: str) -> Self:
        """The same database, where everything about objects is about those of one tenant; "" for no tenant."""

    def patient(self, patience: Patience) -> Self:
        """The same database, where each call waits out an outage."""

    def each_node(self) -> dict[str, Self]:
        """From the address of each node that is known to the same database as this one node has it.

        Good for `page`, `own_schema` and `node_names`, each of which is asked once, without patience.
        """


class SchemaDatabase(TenantBound, Protocol):
    """Collections, aliases, tenants and nodes."""

    def names(self) -> list[str]:
        """The collections, sorted, without aliases."""

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection, or of the one that an alias points to; None where there is none."""

    def own_schema(self, name: str) -> dict[str, Any] | None:
        """The same as the node has it that answers here, by which it encodes and searches."""

    def create(self, schema: Mapping[str, Any]) -> None:
        """Make a collection of exactly this schema."""

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add a property, given as REST takes it."""

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = MODULE, index: Index = HNSW
    ) -> None:
        """Add a named vector; the caller has made sure that there is none of that name."""

    def drop_vector(self, name: str, vector: str) -> str:
        """Drop a vector's index; "" if Weaviate did, else why it cannot."""

    def delete_collection(self, name: str) -> None:
        """Delete a collection and all its objects; no error where there is none."""

    def sees_all(self) -> bool:
        """Whether `names` and `aliases` are all that there are; else those that the key may see."""

    def has_aliases(self) -> bool:
        """Whether this Weaviate knows aliases at all; they came with version 1.32."""

    def alias_target(self, alias: str) -> str:
        """The collection that *alias* points to; "" where there is no such alias."""

    def aliases(self) -> dict[str, str]:
        """From each alias to its collection; none where this Weaviate knows no aliases."""

    def make_alias(self, alias: str, name: str) -> None:
        """Make an alias; refused where there is one of that name."""

    def point_alias(self, alias: str, name: str) -> None:
        """Make *alias* point to the collection *name*, in one atomic step; it is made if it is not there."""

    def tenants(self, name: str, some: Sequence[str] = ()) -> dict[str, bool]:
        """Tenant, of all or of *some*, to whether its objects can be read; empty for a collection without tenants."""

    def tenant_states(self, name: str) -> dict[str, str]:
        """Tenant to its state: HOT, COLD or anything else that cannot be read at once."""

    def tenant_state(self, name: str, tenant: str) -> str:
        """The state of one tenant; "" where there is none."""

    def set_tenant_state(self, name: str, tenant: str, state: str) -> None:
        """Give a tenant a state; it is made if it is not there."""

    def add_tenant(self, name: str, tenant: str) -> None:
        """Make a tenant."""

    def remove_tenant(self, name: str, tenant: str) -> None:
        """Delete a tenant with its objects."""

    def nodes(self) -> list[Node]:
        """The nodes, each with the replicas that it holds."""

    def node_names(self) -> frozenset[str]:
        """The names of all nodes, also of those that are away at the moment."""

    def shards(self, name: str) -> list[Shard]:
        """The replicas of a collection's shards; of one with tenants, those that are loaded."""

    def now_ms(self) -> int:
        """Weaviate's clock, cut to the whole second."""


class ReadDatabase(TenantBound, Protocol):
    """Objects, read."""

    def ids(self, name: str, consistency: Consistency | None = None) -> Iterator[UUID]:
        """The ids of all objects, in order; without texts and vectors."""

    def read(
        self,
        name: str,
        vector: str,
        ids: Sequence[UUID],
        properties: Sequence[str],
        consistency: Consistency | None = None,
    ) -> list[StoredObject]:
        """Some objects with a named vector, as rows; those that are gone are left out, the order is any."""

    def page(
        self, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Consistency | None = None
    ) -> list[StoredObject]:
        """The next *limit* objects behind the id *after* ("" for the first), in order of their ids."""

    def get(
        self, name: str, uuid: UUID, *, vectors: bool = False, node: str = "", consistency: Consistency | None = None
    ) -> StoredObject | None:
        """One object, of so many replicas, or as the replica on one *node* has it; None where it is not there."""

    def has(self, name: str, uuid: UUID, consistency: Consistency | None = None) -> bool:
        """Whether there is an object of that id."""

    def count(self, name: str) -> int:
        """How many objects there are, as one replica of each shard counts them."""

    def replicas(self, name: str) -> int:
        """How many replicas a shard has at most, wherever they stand; 0 where there is no such collection."""


class WriteDatabase(TenantBound, Protocol):
    """Objects, written."""

    def insert(
        self, name: str, vector: str, objects: Sequence[StoredObject], consistency: Consistency | None = None
    ) -> list[Failure]:
        """Write objects under *vector*, replacing those of the same id; what was refused, with its reason."""

    def write(
        self, name: str, objects: Sequence[StoredObject], consistency: Consistency | None = None
    ) -> list[Failure]:
        """Write objects whole, replacing those of the same id; what was refused, with its reason.

        Without vectors, the collection's module makes them. References may lead to what is not there.
        """

    def patch_vector(
        self, name: str, uuid: UUID, vector: str, row: Float32, consistency: Consistency | None = None
    ) -> None:
        """Set one vector of one object, which may be gone."""

    def delete(self, name: str, uuids: Sequence[UUID], consistency: Consistency | None = None) -> None:
        """Delete objects by id; those that are not there are passed over."""

    def delete_windows(
        self, name: str, documents: Sequence[str], first: int, consistency: Consistency | None = None
    ) -> int:
        """Delete the windows from number *first* on of some documents; how many there were."""


class SearchDatabase(TenantBound, Protocol):
    """Searches. Every vector is named; *filters* is a `Filter` of weaviate-client, or None."""

    def near_text(
        self, name: str, vector: str, query: str, limit: int, filters: Any = None, *, bare: bool = False
    ) -> list[Hit]:
        """Search with a text that Weaviate's module encodes; *bare* hits come without properties."""

    def near_vector(self, name: str, vector: str, query: Float32, limit: int, filters: Any = None) -> list[Hit]:
        """Search with one vector, shape (dim,), or a multi-vector, shape (vectors, dim)."""

    def each_index(self, name: str, consistency: Consistency | None = None) -> dict[str, Self]:
        """From address to the same database as each node searches it by its own index; {"": itself} for one replica.

        Nodes that may be away at this level are left out when they do not answer.
        """

    def through(self, address: str) -> Self:
        """The same database, whose searches go to the known node *address*, a key of `each_node`; "" is itself.

        Raises:
            WeaviateUnavailable: the node does not answer.
        """

    def unasked(self, name: str, asked: Collection[str]) -> tuple[str, ...]:
        """Nodes that hold replicas and are not among *asked*, the keys of `each_index`; for people."""

    def filtered(self, name: str, ids: Sequence[UUID]) -> set[UUID]:
        """Which of some objects a filter on their ids finds, by the inverted index of the node that is asked."""

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        """Ids and distances of the objects nearest to *query*, (dim,) or (windows, dim), by the vector's index."""

    def bm25(self, name: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search by words."""

    def hybrid(self, name: str, vector: str, query: str, limit: int, blend: Blend, filters: Any = None) -> list[Hit]:
        """Search by words and by vector."""


class Database(SchemaDatabase, ReadDatabase, WriteDatabase, SearchDatabase, Protocol):
    """All that is needed of a Weaviate."""


class Paged(Protocol):
    """What lists objects by the page."""

    def page(
        self, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Consistency | None = None
    ) -> list[StoredObject]:
        """The next *limit* objects behind the id *after* ("" for the first), in order of their ids."""


def ways_to(database: Database) -> dict[str, Database]:
    """From address to each known node, which encodes and searches by itself; of one node alone, "" to *database*."""
    known = database.each_node()
    return known if len(known) > 1 else {"": database}


def stream(
    database: Paged, name: str, after: str = "", *, vectors: bool = False, consistency: Consistency | None = None
) -> Iterator[StoredObject]:
    """All objects behind the id *after*, in order of their ids, a page at a time."""
    while page := database.page(name, after, PAGE, vectors=vectors, consistency=consistency):
        yield from page
        after = str(page[-1].uuid)


def is_collection(database: SchemaDatabase, name: str) -> bool:
    """Whether there is a collection of that name; an alias is none.

    Asked for by its name: lists leave out, without a word, what a key may not see.

    Raises:
        WeaviateError: the key in use may not see it.
    """
    return (database.schema(name) or {}).get("class") == name
