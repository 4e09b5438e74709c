"""Objects over REST: as they can be written back, by id, and of as many replicas as a decision needs.

weaviate-client turns dates, phone numbers and nested objects into Python's types, and not all find their way back.

A list of objects is always what one replica of each shard has: that of the node that is asked. At a higher level than
ONE, `page` asks every node whose address is known and puts their lists together; what is not the same in all of them is
read by its id from so many replicas, which gives the newest that they have, and nothing where it was deleted. Where
one node's address is known, each object that this node lists is read like that, and what it lacks is not in the list:
`replicas.walk` is what refuses to decide on that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import numpy as np

from samespace.errors import ReplicasDiffer, WeaviateError, WeaviateUnavailable
from samespace.vectors import Float32

from .aligned import aligned
from .rest import GOOD, Rest, class_path
from .schemas import SchemaCalls
from .values import Consistency, Failure, Levels, StoredObject, most_replicas

_Answer = TypeVar("_Answer")
_Asked = TypeVar("_Asked")
_DELETED_ELSEWHERE: Final = "has been deleted on another replica"
"""What 1.34.2 answers (500) where replicas disagree about a deletion; newer versions settle it, or answer 404."""
_BEACON: Final = "weaviate://localhost/"
_REFERENCE_KEYS: Final = frozenset({"beacon", "href", "class", "schema", "classification"})
_READERS: Final = 8
"""Objects that are read by id at a time."""
_COUNTED_S: Final = 15.0
"""Seconds after which replicas are counted again."""


class ObjectCalls(SchemaCalls):
    """What of `ReadDatabase` and `WriteDatabase` goes over REST."""

    rest: Rest
    tenant: str
    levels: Levels
    counted: dict[str, tuple[int, float]]
    """Replicas of each collection, and when they were counted."""

    def each_node(self) -> dict[str, Self]:
        """From the address of each node that is known to the same connection, to this one node alone."""
        raise NotImplementedError

    def page(
        self, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Consistency | None = None
    ) -> list[StoredObject]:
        """The next *limit* objects behind the id *after* ("" for the first), in order of their ids."""
        level = consistency or self.levels.decide
        replicas = 1 if level == "ONE" else self.replicas(name)
        if replicas <= 1:
            return self._listed(name, after, limit, vectors)
        nodes = self.each_node()
        away = spare(replicas, level)

        def ask(asked: Self) -> list[StoredObject]:
            return asked._listed(name, after, limit, vectors)

        while True:
            pages = self.rest.patience.ask(lambda: of_nodes(nodes, ask, away), is_back=self.rest.is_ready)
            rows = aligned(list(pages.values()), limit)
            if not rows:
                return []
            unsure = [row.uuid for row in rows if len(pages) == 1 or not row.alike]
            read = {each.uuid: each for each in self.agreed(name, unsure, vectors=vectors, consistency=level)}
            read |= {row.uuid: row.copies[0] for row in rows if row.uuid not in set(unsure) and row.copies[0]}
            if found := [read[row.uuid] for row in rows if row.uuid in read]:
                return found
            after = str(rows[-1].uuid)  # all of these are gone

    def _listed(self, name: str, after: str, limit: int, vectors: bool) -> list[StoredObject]:
        """As the node lists them that answers here."""
        query = {"class": name, "limit": str(limit), "after": after, **self._tenant(), **_include(vectors)}
        answer = self.rest.ask("GET", "/objects", query=query)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("objects"), list):
            raise WeaviateUnavailable(
                address=str(self.rest.address),
                reason="its list of objects is no list; a proxy in between may have cut the answer",
            )
        return [_object(each) for each in answer["objects"]]

    def agreed(
        self, name: str, uuids: Sequence[UUID], *, vectors: bool, consistency: Consistency
    ) -> list[StoredObject]:
        """Each object as so many replicas have it, in the order of *uuids*; those that are gone are left out."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="samespace-read") as pool:
            found = pool.map(lambda uuid: self.get(name, uuid, vectors=vectors, consistency=consistency), uuids)
            return [each for each in found if each is not None]

    def get(
        self, name: str, uuid: UUID, *, vectors: bool = False, node: str = "", consistency: Consistency | None = None
    ) -> StoredObject | None:
        """One object, of so many replicas, or as the replica on one *node* has it; None where it is not there."""
        of = {"node_name": node} if node else {"consistency_level": consistency or self.levels.decide}
        try:
            status, answer = self.rest.send(
                "GET", _path(name, uuid), query={**of, **self._tenant(), **_include(vectors)}, allowed=(200, 404)
            )
        except WeaviateUnavailable:
            raise
        except WeaviateError as error:
            if _DELETED_ELSEWHERE not in str(error):
                raise
            found = f"object {uuid} was deleted on one replica and is on another"
            raise ReplicasDiffer(collection=name, found=found, ids=(str(uuid),)) from error
        return _object(answer) if status == 200 else None

    def has(self, name: str, uuid: UUID, consistency: Consistency | None = None) -> bool:
        """Whether there is an object of that id."""
        query = {"consistency_level": consistency or self.levels.decide, **self._tenant()}
        return self.rest.send("HEAD", _path(name, uuid), query=query, allowed=(204, 404))[0] == 204

    def replicas(self, name: str) -> int:
        """How many replicas a shard of a collection has at most; 0 where there is no such collection.

        The schema says how many were asked for. A replica that was copied to another node (Weaviate's replica movement)
        is counted where it stands. Asked for once in a while.
        """
        known, at_s = self.counted.get(name, (0, 0.0))
        if not known or time.monotonic() - at_s > _COUNTED_S:
            known = self._replicas(name)
            self.counted[name] = (known, time.monotonic())
        return known

    def _replicas(self, name: str) -> int:
        schema = self.schema(name)
        if schema is None:
            return 0
        try:
            return most_replicas(schema, self.shards(str(schema["class"])))
        except WeaviateUnavailable:
            raise
        except WeaviateError:  # the key in use may not see where replicas stand
            return most_replicas(schema, ())

    def write(
        self, name: str, objects: Sequence[StoredObject], consistency: Consistency | None = None
    ) -> list[Failure]:
        """Write objects whole, replacing those of the same id; what was refused, with its reason."""
        if not objects:
            return []
        query = {"consistency_level": consistency or self.levels.write}
        body = {"objects": [self._entry(name, each) for each in objects]}
        answer = self.rest.ask("POST", "/batch/objects", body, query=query)
        refused = {UUID(str(each["id"])): reason for each in answer if (reason := _refusal(each))}
        # A reference that comes with its object is refused unless its target is there; one that comes alone is not.
        references = [
            (each.uuid, {"from": f"{_BEACON}{name}/{each.uuid}/{key}", "to": beacon, **self._tenant()})
            for each in objects
            if each.uuid not in refused
            for key, beacons in each.references.items()
            for beacon in beacons
        ]
        if references:
            sent = [reference for _, reference in references]
            answer = self.rest.ask("POST", "/batch/references", sent, query={**query, **self._tenant()})
            for (uuid, _), each in zip(references, answer, strict=True):
                if reason := _refusal(each):
                    refused[uuid] = reason
        return [Failure(uuid, reason) for uuid, reason in refused.items()]

    def patch_vector(
        self, name: str, uuid: UUID, vector: str, row: Float32, consistency: Consistency | None = None
    ) -> None:
        """Set one vector of one object, which may be gone."""
        body = {"class": name, "id": str(uuid), "vectors": {vector: _numbers(row)}, **self._tenant()}
        query = {"consistency_level": consistency or self.levels.write}
        self.rest.send("PATCH", _path(name, uuid), body, query=query, allowed=(*GOOD, 404))

    def delete(self, name: str, uuids: Sequence[UUID], consistency: Consistency | None = None) -> None:
        """Delete objects by id; those that are not there are passed over."""
        query = {"consistency_level": consistency or self.levels.write, **self._tenant()}
        for uuid in uuids:
            self.rest.send("DELETE", _path(name, uuid), query=query, allowed=(*GOOD, 404))

    def _tenant(self) -> dict[str, str]:
        return {"tenant": self.tenant} if self.tenant else {}

    def _entry(self, name: str, entry: StoredObject) -> dict[str, Any]:
        found: dict[str, Any] = {"class": name, "id": str(entry.uuid), "properties": dict(entry.properties)}
        named = {key: _numbers(rows) for key, rows in entry.vectors.items() if key}
        unnamed = {"vector": _numbers(entry.vectors[""])} if "" in entry.vectors else {}
        return {**found, **self._tenant(), **({"vectors": named} if named else {}), **unnamed}


def spare(replicas: int, level: Consistency) -> int:
    """How many nodes may be away where an answer has to be of so many replicas of each shard."""
    return {"ALL": 0, "QUORUM": (replicas - 1) // 2, "ONE": replicas - 1}[level]


def of_nodes(nodes: Mapping[str, _Asked], ask: Callable[[_Asked], _Answer], away: int) -> dict[str, _Answer]:
    """What each node answers, by its address, asked at the same time.

    Raises:
        WeaviateUnavailable: more than *away* of them do not answer.
    """
    found: dict[str, _Answer] = {}
    silent: list[WeaviateUnavailable] = []
    with ThreadPoolExecutor(len(nodes), thread_name_prefix="samespace-node") as pool:
        asked = {address: pool.submit(ask, node) for address, node in nodes.items()}
        for address, answer in asked.items():
            try:
                found[address] = answer.result()
            except WeaviateUnavailable as error:
                silent.append(error)
    if len(silent) > away or not found:
        raise silent[0]
    return found


def rows_of(value: Any) -> Float32 | None:
    """A vector as one row, a multi-vector as its rows; None for no vector."""
    if value is None:
        return None
    rows = np.asarray(value, dtype=np.float32)
    return rows[None, :] if rows.ndim == 1 else rows


def _path(name: str, uuid: UUID) -> str:
    return f"/objects/{class_path(name)}/{uuid}"


def _include(vectors: bool) -> dict[str, str]:
    return {"include": "vector"} if vectors else {}


def _object(entry: Mapping[str, Any]) -> StoredObject:
    properties, references = {}, {}
    for key, value in (entry.get("properties") or {}).items():
        if _is_references(value):
            references[key] = tuple(str(each["beacon"]) for each in value)
        elif value is not None:  # an empty list is a value; one of references is written back like any other
            properties[key] = value
    named: Iterable[tuple[str, Any]] = {**(entry.get("vectors") or {}), "": entry.get("vector")}.items()
    return StoredObject(
        uuid=UUID(str(entry["id"])),
        properties=properties,
        vectors={key: np.asarray(rows, dtype=np.float32) for key, rows in named if rows},
        references=references,
        updated_ms=int(entry["lastUpdateTimeUnix"]),
    )


def _is_references(value: Any) -> bool:
    """Whether a property holds references; a nested object may have a field of that name, too."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and each.keys() <= _REFERENCE_KEYS for each in value)
        and all(str(each.get("beacon")).startswith("weaviate://") for each in value)
    )


def _refusal(entry: Mapping[str, Any]) -> str:
    """Why one entry of a batch was refused; "" where it was not."""
    errors = (entry["result"].get("errors") or {}).get("error") or []
    failed = entry["result"].get("status") == "FAILED" or errors
    return ("; ".join(str(error["message"]) for error in errors) or "no reason given") if failed else ""


def _numbers(rows: Float32) -> Any:
    return np.asarray(rows, dtype=np.float32).tolist()
