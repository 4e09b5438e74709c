"""samespace_weaviate.migration.verification.module_distances: each node encodes by a way of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from samespace.errors import MigrationBlocked, WeaviateUnavailable
from samespace_weaviate.access.values import Failure, StoredObject
from samespace_weaviate.migration import Migration
from samespace_weaviate.migration.verification import module_distances

PLAN = Migration("m", "A", False, "Old", "New", "e", "e", "1", "2", "text", False)
RIGHT, FOREIGN = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


@dataclass
class Cluster:
    """Stored objects with the right vector; nodes that give a vector, refuse with a reason, or are away (None)."""

    nodes: dict[str, Any]
    count: int = 20
    door: str = ""
    written: dict[UUID, StoredObject] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def schema(self, name: str) -> dict[str, Any]:
        return {"class": name, "vectorConfig": {"e": {"vectorizer": {"text2vec-transformers": {}}}}}

    def of_tenant(self, tenant: str) -> Cluster:
        return self

    def each_node(self) -> dict[str, Cluster]:
        return {name: replace(self, door=name) for name in self.nodes}

    def page(self, name: str, after: str, count: int, *, vectors: bool) -> list[StoredObject]:
        first = UUID(after).int if after else 0
        numbers = range(1, self.count + 1) if first < self.count else ()
        return [StoredObject(UUID(int=n), {"text": f"text {n}"}, vectors={"e": RIGHT}) for n in numbers][:count]

    def write(self, name: str, objects: Sequence[StoredObject]) -> list[Failure]:
        answer = self.nodes[self.door or next(iter(self.nodes))]
        self.asked.append(self.door)
        if answer is None:
            raise WeaviateUnavailable(address=self.door, reason="refused")
        if isinstance(answer, str):
            return [Failure(objects[0].uuid, answer)]
        self.written[objects[0].uuid] = replace(objects[0], vectors={"e": answer})
        return []

    def get(self, name: str, key: UUID, *, vectors: bool) -> StoredObject | None:
        return self.written.get(key)

    def delete(self, name: str, keys: Sequence[UUID]) -> None:
        for key in keys:
            self.written.pop(key, None)


def distances(cluster: Cluster) -> list[float]:
    return module_distances(SimpleNamespace(database=cluster, mark=UUID(int=99)), PLAN)  # type: ignore[arg-type]


@pytest.mark.parametrize("objects", [1, 2, 20])
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_the_server_is_asked_through_every_node(objects: int, place: int) -> None:
    """One node was asked for all, before the switch and before the old collection goes."""
    cluster = Cluster({f"n{n}": FOREIGN if n == place else RIGHT for n in range(5)}, objects)
    assert max(distances(cluster)) == 1.0 and set(cluster.asked) == set(cluster.nodes)
    assert not cluster.written
    assert max(distances(replace(cluster, nodes=dict.fromkeys(cluster.nodes, RIGHT)))) == 0.0


def test_a_node_that_is_away_encodes_for_nobody_and_one_that_cannot_is_named() -> None:
    """The way of one node to the encoder is broken: clients of that node would get nothing."""
    assert set(distances(Cluster({"n1": RIGHT, "n2": None, "n3": RIGHT}))) == {0.0}
    with pytest.raises(MigrationBlocked, match="does not encode a text that is stored, through node n2: no route"):
        distances(Cluster({"n1": RIGHT, "n2": "no route", "n3": RIGHT}))
    with pytest.raises(MigrationBlocked, match="does not encode a text that is stored: no route"):
        distances(Cluster({"n1": "no route"}))
