"""A Weaviate in memory as a migration sees it, with a clock of its own, clients that write meanwhile, and crashes."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samespace.errors import WeaviateError
from samespace.vectors import Float32
from samespace_weaviate.migration.door import Record, Refused


class Killed(BaseException):
    """The process is gone: nothing of it runs any more. No Exception, as no handler may catch it."""


class FakeDoor:
    """The `Door` of `samespace_weaviate.migration`.

    Args:
        modules: for each collection what its vectorizer makes of a text: (vector's name, encode).
        on_call: called with a name right before and right after every effect; may raise `Killed`.
    """

    def __init__(self, on_call: Callable[[str], None] = lambda name: None) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
        self.status: dict[str, dict[str, str]] = defaultdict(dict)
        self.pointers: dict[str, str] = {}
        self.modules: dict[str, tuple[str, Callable[[str], Float32]]] = {}
        self.refuse: Callable[[Record], str] = lambda record: ""
        self.on_call = on_call
        self.clock_ms = 1_000_000
        self.module_calls = 0

    def pause(self, seconds: float) -> None:
        """Time passes."""
        self.clock_ms += round(seconds * 1000)

    def real(self, name: str) -> str:
        """The collection that a name means."""
        return self.pointers.get(name, name)

    def put(self, name: str, tenant: str, record: Record) -> None:
        """Write as a client does: the module makes the vector unless it is brought."""
        name = self.real(name)
        vectors = record.vectors
        text = str(record.properties.get("text") or "")
        if not vectors and text and name in self.modules:
            vector, encode = self.modules[name]
            vectors = {vector: encode(text)}
            self.module_calls += 1
        self.clock_ms += 1
        self.objects[name][tenant][record.id] = replace(record, vectors=vectors, updated_ms=self.clock_ms)

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

    def drop(self, name: str) -> None:
        def effect() -> None:
            self.schemas.pop(name, None)
            self.objects.pop(name, None)
            self.status.pop(name, None)

        self._effect("drop", effect)

    def aliases(self) -> dict[str, str]:
        return dict(self.pointers)

    def point_alias(self, alias: str, name: str) -> None:
        def effect() -> None:
            if alias in self.schemas or name not in self.schemas:
                raise WeaviateError(f"alias {alias} to {name}")
            self.pointers[alias] = name

        self._effect("point_alias", effect)

    def tenants(self, name: str) -> dict[str, str]:
        return dict(self.status[self.real(name)])

    def tenant(self, name: str, tenant: str) -> str:
        return self.status[self.real(name)].get(tenant, "")

    def set_tenant(self, name: str, tenant: str, status: str) -> None:
        def effect() -> None:
            self.status[name][tenant] = status

        if self.status[name].get(tenant) != status:
            self._effect(f"set_tenant {status}", effect)

    def remove_tenant(self, name: str, tenant: str) -> None:
        def effect() -> None:
            self.status[name].pop(tenant, None)
            self.objects[name].pop(tenant, None)

        self._effect("remove_tenant", effect)

    def page(self, name: str, tenant: str, after: str, limit: int, *, vectors: bool = False) -> list[Record]:
        self.on_call("page")
        found = sorted(self._awake(name, tenant).values(), key=lambda record: record.id)
        page = [record for record in found if record.id > after][:limit]
        return page if vectors else [replace(record, vectors={}) for record in page]

    def write(self, name: str, tenant: str, records: Sequence[Record]) -> list[Refused]:
        refused: list[Refused] = []

        def effect() -> None:
            self._awake(name, tenant)
            for record in records:
                if reason := self.refuse(record):
                    refused.append(Refused(record.id, reason))
                else:
                    self.put(name, tenant, record)

        if records:
            self._effect("write", effect)
        return refused

    def remove(self, name: str, tenant: str, ids: Sequence[str]) -> None:
        def effect() -> None:
            for key in ids:
                self._awake(name, tenant).pop(key, None)

        if ids:
            self._effect("remove", effect)

    def count(self, name: str, tenant: str) -> int:
        return len(self._awake(name, tenant))

    def nearest(self, name: str, tenant: str, vector: str, query: str | Float32, limit: int) -> list[str]:
        if isinstance(query, str):
            query = self.modules[self.real(name)][1](query)
        found = self._awake(name, tenant).values()
        ranked = sorted(found, key=lambda record: -float(np.dot(record.vectors[vector], query)))
        return [record.id for record in ranked[:limit]]

    def now_ms(self) -> int:
        self.clock_ms += 1
        return self.clock_ms // 1000 * 1000

    def _awake(self, name: str, tenant: str) -> dict[str, Record]:
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
