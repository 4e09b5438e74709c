"""A Weaviate in memory as a migration sees it, with a clock of its own, clients that write meanwhile, and crashes."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np

from samespace.errors import WeaviateError
from samespace.vectors import Float32
from samespace_weaviate import Failure, Hit, StoredObject
from samespace_weaviate.access.values import Levels, Shard

OF_OBJECTS = (
    "page", "write", "delete", "count", "near_text", "near_vector", "ids", "read", "nearest", "patch_vector",
    "filtered", "get",
)  # fmt: skip


class Killed(BaseException):
    """The process is gone: nothing of it runs any more. No Exception, as no handler may catch it."""


class FakeWeaviate:
    """What a migration asks of a `Database`.

    Args:
        modules: for each collection what its vectorizer makes of a text: (vector's name, encode).
        on_call: called with a name right before and right after every effect; may raise `Killed`.
    """

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, dict[UUID, StoredObject]]] = defaultdict(lambda: defaultdict(dict))
        self.status: dict[str, dict[str, str]] = defaultdict(dict)
        self.pointers: dict[str, str] = {}
        self.modules: dict[str, tuple[str, Callable[[str], Float32]]] = {}
        self.refuse: Callable[[StoredObject], str] = lambda record: ""
        self.on_call = on_call
        self.clock_ms = 1_000_000
        self.module_calls = 0
        self.unindexed: set[UUID] = set()
        """Objects that are stored and in no index."""

    def of_tenant(self, tenant: str) -> OfTenant:
        """The same Weaviate; what is about objects is about the tenant's."""
        return OfTenant(self, tenant)

    def __getattr__(self, name: str) -> Any:
        if name in OF_OBJECTS:
            return getattr(OfTenant(self, ""), name)
        raise AttributeError(name)

    def pause(self, seconds: float) -> None:
        """Time passes."""
        self.clock_ms += round(seconds * 1000)

    def real(self, name: str) -> str:
        """The collection that a name means."""
        return self.pointers.get(name, name)

    def put(self, name: str, tenant: str, record: StoredObject) -> None:
        """Write as a client does: the module makes the vector unless it is brought."""
        name = self.real(name)
        vectors = record.vectors
        text = str(record.properties.get("text") or "")
        vector, encode = self.modules.get(name, ("", None))
        if text and encode is not None and vector not in vectors:
            vectors = {**vectors, vector: encode(text)}
            self.module_calls += 1
        self.clock_ms += 1
        self.objects[name][tenant][record.uuid] = replace(record, vectors=vectors, updated_ms=self.clock_ms)

    def schema(self, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.schemas.get(self.real(name)))

    def names(self) -> list[str]:
        return sorted(self.schemas)

    def create(self, schema: Mapping[str, Any]) -> None:
        self._effect("create", lambda: self._create(schema))

    def _create(self, schema: Mapping[str, Any]) -> None:
        if schema["class"] in self.schemas or schema["class"] in self.pointers:
            raise WeaviateError(f"class {schema['class']} already exists")
        self.schemas[schema["class"]] = copy.deepcopy(dict(schema))

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        self._effect("add_property", lambda: self.schemas[name]["properties"].append(dict(entry)))

    def delete_collection(self, name: str) -> None:
        def effect() -> None:
            self.schemas.pop(name, None)
            self.objects.pop(name, None)
            self.status.pop(name, None)

        self._effect("drop", effect)

    def aliases(self) -> dict[str, str]:
        return dict(self.pointers)

    def alias_target(self, alias: str) -> str:
        return self.pointers.get(alias, "")

    def make_alias(self, alias: str, name: str) -> None:
        def effect() -> None:
            if alias in self.pointers or alias in self.schemas or name not in self.schemas:
                raise WeaviateError(f"alias {alias} to {name}")
            self.pointers[alias] = name

        self._effect("make_alias", effect)

    def point_alias(self, alias: str, name: str) -> None:
        def effect() -> None:
            if alias in self.schemas or name not in self.schemas:
                raise WeaviateError(f"alias {alias} to {name}")
            self.pointers[alias] = name

        self._effect("point_alias", effect)

    levels = Levels()

    def own_schema(self, name: str) -> dict[str, Any] | None:
        return self.schema(name)

    def each_node(self) -> dict[str, FakeWeaviate]:
        """One node."""
        return {"http://fake:8080": self}

    def each_index(self, name: str, consistency: Any = None) -> dict[str, Any]:
        """One replica."""
        return {"": self}

    def through(self, address: str) -> Any:
        """One node."""
        return self

    def unasked(self, name: str, asked: Any) -> tuple[str, ...]:
        """None."""
        return ()

    def node_names(self) -> frozenset[str]:
        return frozenset({"node1"})

    def sees_all(self) -> bool:
        return True

    def has_aliases(self) -> bool:
        return True

    def tenants(self, name: str, some: Sequence[str] = ()) -> dict[str, bool]:
        states = self.tenant_states(name)
        return {tenant: states[tenant] == "HOT" for tenant in some or states}

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = "none", index: Any = None
    ) -> None:
        made = {"vectorizer": {module: dict(settings)}, "vectorIndexType": "flat"}
        self._effect("add_vector", lambda: self.schemas[name]["vectorConfig"].update({vector: made}))

    def tenant_states(self, name: str) -> dict[str, str]:
        return dict(self.status[self.real(name)])

    def tenant_state(self, name: str, tenant: str) -> str:
        return self.status[self.real(name)].get(tenant, "")

    def set_tenant_state(self, name: str, tenant: str, status: str) -> None:
        def effect() -> None:
            self.status[name][tenant] = status

        if self.status[name].get(tenant) != status:
            self._effect(f"set_tenant {status}", effect)

    def remove_tenant(self, name: str, tenant: str) -> None:
        def effect() -> None:
            self.status[name].pop(tenant, None)
            self.objects[name].pop(tenant, None)

        self._effect("remove_tenant", effect)

    def _page(
        self, tenant: str, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Any = None
    ) -> list[StoredObject]:
        self.on_call("page")
        found = sorted(self._awake(name, tenant).values(), key=lambda record: record.uuid)
        page = [record for record in found if str(record.uuid) > after][:limit]
        return page if vectors else [replace(record, vectors={}) for record in page]

    def _get(self, tenant: str, name: str, uuid: UUID, *, vectors: bool = False) -> StoredObject | None:
        return self._awake(name, tenant).get(uuid)

    def _write(self, tenant: str, name: str, objects: Sequence[StoredObject]) -> list[Failure]:
        refused: list[Failure] = []

        def effect() -> None:
            self._awake(name, tenant)
            for record in objects:
                if reason := self.refuse(record):
                    refused.append(Failure(record.uuid, reason))
                else:
                    self.put(name, tenant, record)

        if objects:
            self._effect("write", effect)
        return refused

    def _delete(self, tenant: str, name: str, uuids: Sequence[UUID]) -> None:
        def effect() -> None:
            for uuid in uuids:
                self._awake(name, tenant).pop(uuid, None)

        if uuids:
            self._effect("delete", effect)

    def _count(self, tenant: str, name: str) -> int:
        return len(self._awake(name, tenant))

    def _near_text(
        self, tenant: str, name: str, vector: str, query: str, limit: int, *, bare: bool = False
    ) -> list[Hit]:
        return self._near_vector(tenant, name, vector, self.modules[self.real(name)][1](query), limit)

    def _near_vector(self, tenant: str, name: str, vector: str, query: Float32, limit: int) -> list[Hit]:
        found = [each for each in self._awake(name, tenant).values() if vector in each.vectors]
        ranked = sorted(found, key=lambda record: -float(np.dot(record.vectors[vector], query)))
        return [Hit(record.uuid, record.properties) for record in ranked[:limit]]

    def _ids(self, tenant: str, name: str, consistency: Any = None) -> list[UUID]:
        return sorted(self._awake(name, tenant))

    def _read(
        self, tenant: str, name: str, vector: str, ids: Sequence[UUID], properties: Any, consistency: Any = None
    ) -> list[StoredObject]:
        there = self._awake(name, tenant)
        found = [there[uuid] for uuid in ids if uuid in there]
        return [replace(each, vector=np.atleast_2d(each.vectors[vector])) for each in found if vector in each.vectors]

    def _filtered(self, tenant: str, name: str, ids: Sequence[UUID]) -> set[UUID]:
        return set(ids) & set(self._awake(name, tenant))

    def _nearest(self, tenant: str, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        found = [
            each
            for each in self._awake(name, tenant).values()
            if vector in each.vectors and each.uuid not in self.unindexed
        ]
        if not found:
            return []
        distances = 1 - np.stack([each.vectors[vector] for each in found]) @ query
        return [(found[at].uuid, float(distances[at])) for at in np.argsort(distances, kind="stable")[:limit]]

    def _patch_vector(self, tenant: str, name: str, uuid: UUID, vector: str, row: Float32) -> None:
        def effect() -> None:
            there = self._awake(name, tenant)
            if uuid in there:
                if not np.array_equal(there[uuid].vectors.get(vector), row):
                    self.unindexed.discard(uuid)
                there[uuid] = replace(there[uuid], vectors={**there[uuid].vectors, vector: row})

        self._effect("patch_vector", effect)

    def replicas(self, name: str) -> int:
        return 1 if self.real(name) in self.schemas else 0

    def shards(self, name: str) -> list[Shard]:
        return []

    def now_ms(self) -> int:
        self.clock_ms += 1
        return self.clock_ms // 1000 * 1000

    def _awake(self, name: str, tenant: str) -> dict[UUID, StoredObject]:
        name = self.real(name)
        if name not in self.schemas:
            raise WeaviateError(f"no collection {name}")
        if tenant and self.status[name].get(tenant) != "HOT":
            raise WeaviateError(f"tenant not active: {tenant!r} of {name}")
        return self.objects[name][tenant]

    def _effect(self, name: str, effect: Callable[[], None]) -> None:
        self.on_call(f"before {name}")
        effect()
        self.on_call(f"after {name}")


class OfTenant:
    """What `of_tenant` gives: calls about objects are about the tenant's, everything else is the Weaviate's."""

    def __init__(self, whole: FakeWeaviate, tenant: str) -> None:
        self._whole, self._tenant = whole, tenant

    def each_index(self, name: str, consistency: Any = None) -> dict[str, Any]:
        """One replica."""
        return {"": self}

    def through(self, address: str) -> Any:
        """One node."""
        return self

    def unasked(self, name: str, asked: Any) -> tuple[str, ...]:
        """None."""
        return ()

    def __getattr__(self, name: str) -> Any:
        if name in OF_OBJECTS:
            return partial(getattr(self._whole, f"_{name}"), self._tenant)
        return getattr(self._whole, name)
