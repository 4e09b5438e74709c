"""A collection as several nodes have it, each with its own objects and schema; reads at ALL bring them together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from samespace.errors import ReplicasDiffer, WeaviateUnavailable
from samespace_weaviate import StoredObject
from samespace_weaviate.access.patience import NONE
from samespace_weaviate.access.values import Consistency, Levels, Shard, most_replicas


class FakeNode:
    """One node; what it does not say is asked of the whole."""

    def __init__(self, schema: Mapping[str, Any], objects: Sequence[StoredObject] = ()) -> None:
        self.objects: dict[str, dict[UUID, StoredObject]] = {"": {each.uuid: each for each in objects}}
        self.own = copy.deepcopy(dict(schema))
        self.silent, self.tenant = False, ""
        self.deleted: set[UUID] = set()

    def of_tenant(self, tenant: str) -> FakeNode:
        made = copy.copy(self)
        made.tenant = tenant
        return made

    def page(
        self, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Consistency | None = None
    ) -> list[StoredObject]:
        if self.silent:
            raise WeaviateUnavailable(address="node", reason="does not answer")
        found = sorted(self.objects.get(self.tenant, {}).values(), key=lambda each: each.uuid)
        return [each for each in found if str(each.uuid) > after][:limit]

    def own_schema(self, name: str) -> dict[str, Any] | None:
        if self.silent:
            raise WeaviateUnavailable(address="node", reason="does not answer")
        return copy.deepcopy(self.own)


class FakeCluster:
    """A Weaviate of nodes called "a", "b", ...; their addresses are the same.

    Args:
        schema: as the leader has it.
        nodes: in their order.
        known: how many of their addresses are known; all unless given.
        decide: the level of decisions.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        nodes: Sequence[FakeNode],
        *,
        known: int | None = None,
        decide: Consistency = "ALL",
    ) -> None:
        self._schema, self._nodes = dict(schema), dict(zip("abcdefg", nodes, strict=False))
        self._known = len(nodes) if known is None else known
        self.patience = NONE
        self.levels, self.tenant, self.read = Levels(decide=decide), "", list[UUID]()
        self.stand: list[Shard] = []

    def schema(self, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self._schema) if name == self._schema["class"] else None

    def replicas(self, name: str) -> int:
        return most_replicas(self.schema(name) or {}, self.shards(name))

    def shards(self, name: str) -> list[Shard]:
        """Those that a test puts into `stand`."""
        return list(self.stand)

    def node_names(self) -> frozenset[str]:
        return frozenset(self._nodes)

    def each_node(self) -> dict[str, FakeNode]:
        return dict(list(self._nodes.items())[: self._known])

    def tenants(self, name: str, some: object = ()) -> dict[str, bool]:
        return {tenant: True for node in self._nodes.values() for tenant in node.objects if tenant}

    def of_tenant(self, tenant: str) -> FakeCluster:
        made = copy.copy(self)
        made.tenant = tenant
        return made

    def get(
        self, name: str, uuid: UUID, *, vectors: bool = False, node: str = "", consistency: Consistency | None = None
    ) -> StoredObject | None:
        """Gives the newest copy to all, as Weaviate does; where a node knows of a deletion, 1.34.2's refusal."""
        assert consistency == "ALL"
        self.read.append(uuid)
        if any(uuid in each.deleted for each in self._nodes.values()):
            raise ReplicasDiffer(collection=name, found="deleted on one", ids=(str(uuid),))
        copies = [each for each in self._copies(uuid) if each is not None]
        newest = max(copies, key=lambda each: each.updated_ms, default=None)
        if newest is not None:
            for each in self._nodes.values():
                each.objects[self.tenant][uuid] = newest
        return newest

    def delete(self, name: str, uuids: Sequence[UUID], consistency: Consistency | None = None) -> None:
        assert consistency == "ALL"
        for uuid in uuids:
            for each in self._nodes.values():
                each.objects[self.tenant].pop(uuid, None)
                each.deleted.discard(uuid)

    def _copies(self, uuid: UUID) -> Iterator[StoredObject | None]:
        for each in self._nodes.values():
            yield each.objects[self.tenant].get(uuid)


def stored(number: int, *, at_ms: int = 1, **properties: Any) -> StoredObject:
    """An object whose place in the order is *number*."""
    return replace(StoredObject(UUID(int=number), {"text": f"text {number}", **properties}), updated_ms=at_ms)
