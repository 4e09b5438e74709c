"""What the stub knows: schemas, objects of each replica, what was asked, and how it is to fail."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

Vector = list[float] | list[list[float]]


@dataclass(frozen=True)
class StubObject:
    """An object as it is kept; a deleted one is kept as its grave."""

    uuid: UUID
    properties: Mapping[str, Any]
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    updated_ms: int = 0
    deleted: bool = False


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        what: "GET /v1/schema/Article", or the name of a gRPC call, "BatchObjects".
        query: parameters of REST.
        headers: names in lower case; of gRPC its metadata.
        body: JSON, decoded, or the message of gRPC.
    """

    what: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def consistency(self) -> str:
        """The level that was asked for; "" for none."""
        if self.what.startswith(("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH")):
            return self.query.get("consistency_level", "")
        name = "consistency_level"
        return ["", "ONE", "QUORUM", "ALL"][getattr(self.body, name)] if self.body.HasField(name) else ""


@dataclass
class Fault:
    """An answer that takes the place of the right one, *times* times.

    Attributes:
        what: beginning of `Call.what`.
        status: of HTTP, or 0 to close the connection without an answer.
        code: name of a code of gRPC.
        text: the error's message.
        after: whether the request has its effect all the same, and only the answer is lost.
    """

    what: str
    status: int = 503
    code: str = "UNAVAILABLE"
    text: str = "out of order"
    times: int = 1
    after: bool = False


class Refused(Exception):
    """Weaviate says no, with a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(reason)


class StubState:
    """All of it; calls come from several threads."""

    def __init__(self, nodes: Sequence[str] = ("node1",)) -> None:
        self.lock = threading.RLock()
        self.nodes = tuple(nodes)
        self.schemas: dict[str, dict[str, Any]] = {}
        self.own_schemas: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] | None = {}
        self.tenants: dict[str, dict[str, str]] = defaultdict(dict)
        self.sees_tenant: Callable[[str], bool] = lambda tenant: True
        self.replicas: dict[str, dict[tuple[str, str], dict[UUID, StubObject]]] = {
            node: defaultdict(dict) for node in self.nodes
        }
        self.lagging: set[str] = set()
        self.queues: dict[str, int] = {}
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.refuse: Callable[[StubObject], str] = lambda entry: ""
        self.encode: Callable[[str], Vector] = lambda text: [1.0]
        self.clock_ms = 1_700_000_000_000

    def note(self, call: Call) -> Fault | None:
        """Note a request; the fault that takes its place."""
        with self.lock:
            self.calls.append(call)
            for fault in self.faults:
                if fault.times and call.what.startswith(fault.what):
                    fault.times -= 1
                    return fault
            return None

    def real(self, name: str) -> str:
        """The collection that a name or an alias means."""
        name = (self.aliases or {}).get(name, name)
        if name not in self.schemas:
            raise Refused(422, f"could not find class {name} in schema")
        return name

    def vector_of(self, name: str, targets: Sequence[str]) -> str:
        """The one vector that a request means, which has to name it where there are several."""
        have = list(self.schemas[self.real(name)].get("vectorConfig") or {"": {}})
        if len(targets) > 1 or (not targets and len(have) > 1):
            raise Refused(422, f"class {name} has multiple vectors, but no target vectors were provided")
        vector = targets[0] if targets else have[0]
        if vector not in have:
            raise Refused(422, f"class {name} does not have named vector {vector}")
        return vector

    def alive(self, name: str, tenant: str, node: str = "") -> dict[UUID, StubObject]:
        """What one replica has; the first node's is what lists and searches see."""
        name = self.real(name)
        multi = (self.schemas[name].get("multiTenancyConfig") or {}).get("enabled")
        if bool(multi) != bool(tenant):
            raise Refused(422, f"class {name} {'needs a' if multi else 'has no'} tenant")
        if tenant and self.tenants[name].get(tenant) != "HOT":
            raise Refused(422, f"tenant not active: {tenant!r}")
        kept = self.replicas[node or self.nodes[0]][name, tenant]
        return {uuid: entry for uuid, entry in sorted(kept.items()) if not entry.deleted}

    def agreed(self, name: str, tenant: str, uuid: UUID, level: str, node: str) -> StubObject | None:
        """One object, of one node, of the first, or the newest of all."""
        self.alive(name, tenant)
        nodes = [node] if node else self.nodes if level in ("QUORUM", "ALL") else self.nodes[:1]
        have = [kept for each in nodes if (kept := self.replicas[each][self.real(name), tenant].get(uuid))]
        newest = max(have, key=lambda entry: entry.updated_ms, default=None)
        return None if newest is None or newest.deleted else newest

    def put(self, name: str, tenant: str, entry: StubObject) -> str:
        """Keep an object on every replica that does not lag; why it was refused, or ""."""
        name = self.real(name)
        self.alive(name, tenant)
        for vector in entry.vectors:
            if vector not in (self.schemas[name].get("vectorConfig") or {"": {}}):
                return f"collection {name} does not have named vector {vector}"
        if reason := self.refuse(entry):
            return reason
        self._keep(name, tenant, entry)
        return ""

    def bury(self, name: str, tenant: str, uuid: UUID) -> bool:
        """Delete an object; whether it was there."""
        there = uuid in self.alive(name, tenant)
        self._keep(self.real(name), tenant, StubObject(uuid, {}, deleted=True))
        return there

    def _keep(self, name: str, tenant: str, entry: StubObject) -> None:
        self.clock_ms += 1
        for node in self.nodes:
            if node not in self.lagging:
                self.replicas[node][name, tenant][entry.uuid] = replace(entry, updated_ms=self.clock_ms)
