"""The stub's gRPC interface, in weaviate-client's own messages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import grpc
import numpy as np
from google.protobuf.json_format import MessageToDict
from weaviate.proto.v1 import (
    aggregate_pb2,
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

from .state import Call, Refused, StubObject, StubState, Vector

SINGLE, MULTI = 1, 2


class StubService(weaviate_pb2_grpc.WeaviateServicer):  # type: ignore[misc]
    """Batch, search, delete and count."""

    def __init__(self, state: StubState) -> None:
        self.state = state

    def BatchObjects(self, request: Any, context: Any) -> Any:
        def effect() -> Any:
            errors = []
            for index, entry in enumerate(request.objects):
                vectors = {each.name: unpacked(each) for each in entry.vectors}
                made = StubObject(UUID(entry.uuid), _properties(entry.properties), vectors)
                if reason := self.state.put(entry.collection, entry.tenant, made):
                    errors.append(batch_pb2.BatchObjectsReply.BatchError(index=index, error=reason))
            return batch_pb2.BatchObjectsReply(took=0.1, errors=errors)

        return self._answered("BatchObjects", request, context, effect)

    def BatchDelete(self, request: Any, context: Any) -> Any:
        def effect() -> Any:
            found = self._chosen(request)
            for entry in found:
                self.state.bury(request.collection, request.tenant, entry.uuid)
            return batch_delete_pb2.BatchDeleteReply(took=0.1, matches=len(found), successful=len(found))

        return self._answered("BatchDelete", request, context, effect)

    def Aggregate(self, request: Any, context: Any) -> Any:
        def effect() -> Any:
            count = len(self.state.alive(request.collection, request.tenant))
            return aggregate_pb2.AggregateReply(
                took=0.1, single_result=aggregate_pb2.AggregateReply.Single(objects_count=count)
            )

        return self._answered("Aggregate", request, context, effect)

    def Search(self, request: Any, context: Any) -> Any:
        def effect() -> Any:
            found = self._chosen(request)
            scores = [0.0] * len(found)
            for kind in ("near_vector", "near_text", "hybrid_search"):
                if request.HasField(kind):
                    found, scores = self._ranked(request, kind, found)
            if request.after:
                found = [entry for entry in found if str(entry.uuid) > request.after]
            limit = request.limit or 100
            pairs = list(zip(found, scores, strict=False))[:limit]
            return search_get_pb2.SearchReply(took=0.1, results=[_result(request, *pair) for pair in pairs])

        return self._answered("Search", request, context, effect)

    def _answered(self, what: str, request: Any, context: Any, effect: Callable[[], Any]) -> Any:
        metadata = {key.lower(): str(value) for key, value in context.invocation_metadata()}
        fault = self.state.note(Call(what, {}, metadata, request))
        with self.state.lock:
            if fault is None or fault.after:
                try:
                    reply = effect()
                except Refused as refused:
                    context.abort(grpc.StatusCode.UNKNOWN, refused.reason)
        if fault is not None:
            context.abort(grpc.StatusCode[fault.code], fault.text)
        return reply

    def _chosen(self, request: Any) -> list[StubObject]:
        kept = self.state.alive(request.collection, request.tenant).values()
        return [entry for entry in kept if not request.HasField("filters") or _holds(request.filters, entry)]

    def _ranked(self, request: Any, kind: str, found: Sequence[StubObject]) -> tuple[list[StubObject], list[float]]:
        asked = getattr(request, kind)
        vector = self.state.vector_of(request.collection, list(asked.targets.target_vectors))
        if kind == "near_text" or (kind == "hybrid_search" and not _packed(asked)):
            text = asked.query[0] if kind == "near_text" else asked.query
            query = np.asarray(self.state.encode(text), dtype=np.float32)
        else:
            query = np.asarray(unpacked(_packed(asked)[0]), dtype=np.float32)
        have = [entry for entry in found if vector in entry.vectors]
        far = {
            entry.uuid: 1.0 - float(np.max(np.atleast_2d(entry.vectors[vector]) @ np.atleast_2d(query)[0]))
            for entry in have
        }
        ranked = sorted(have, key=lambda entry: far[entry.uuid])
        return ranked, [far[entry.uuid] for entry in ranked]


def unpacked(packed: Any) -> Vector:
    """A vector of a message; the first two bytes of a multi-vector are its dims, little-endian."""
    if packed.type == MULTI:
        (dims,) = struct.unpack("<H", packed.vector_bytes[:2])
        rows: list[list[float]] = np.frombuffer(packed.vector_bytes[2:], "<f4").reshape(-1, dims).tolist()
        return rows
    row: list[float] = np.frombuffer(packed.vector_bytes, "<f4").tolist()
    return row


def _packed(asked: Any) -> list[Any]:
    """The vectors of a query, wherever the client put them; it has several places for them."""
    if asked.vectors:
        return list(asked.vectors)
    if asked.vector_bytes:
        return [base_pb2.Vectors(vector_bytes=asked.vector_bytes, type=SINGLE)]
    for target in getattr(asked, "vector_for_targets", ()):
        return list(target.vectors) or [base_pb2.Vectors(vector_bytes=target.vector_bytes, type=SINGLE)]
    if hasattr(asked, "near_vector") and asked.HasField("near_vector"):
        return _packed(asked.near_vector)
    return []


def _properties(sent: Any) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(sent.non_ref_properties)
    for kind in ("text", "int", "boolean"):
        for each in getattr(sent, f"{kind}_array_properties"):
            found[each.prop_name] = list(each.values)
    for each in sent.number_array_properties:
        found[each.prop_name] = np.frombuffer(each.values_bytes, "<f8").tolist()
    return found


def _holds(filters: Any, entry: StubObject) -> bool:
    operators = base_pb2.Filters
    if filters.operator == operators.OPERATOR_AND:
        return all(_holds(each, entry) for each in filters.filters)
    if filters.operator == operators.OPERATOR_OR:
        return any(_holds(each, entry) for each in filters.filters)
    name = filters.target.property
    have = str(entry.uuid) if name == "_id" else entry.properties.get(name)
    value = getattr(filters, filters.WhichOneof("test_value"))
    if have is None:
        return False
    if filters.operator == operators.OPERATOR_EQUAL:
        return bool(have == value)
    if filters.operator == operators.OPERATOR_GREATER_THAN_EQUAL:
        return bool(have >= value)
    if filters.operator == operators.OPERATOR_CONTAINS_ANY:
        return have in list(value.values)
    raise Refused(422, f"the stub has no operator {filters.operator}")


def _result(request: Any, entry: StubObject, far: float) -> Any:
    wanted, metadata = request.properties, request.metadata
    every = wanted.return_all_nonref_properties or not request.HasField("properties")
    names = list(entry.properties) if every else list(wanted.non_ref_properties)
    fields = {name: _value(entry.properties[name]) for name in names if name in entry.properties}
    shown = list(entry.vectors) if metadata.vector else [key for key in metadata.vectors if key in entry.vectors]
    return search_get_pb2.SearchResult(
        properties=search_get_pb2.PropertiesResult(
            non_ref_props=properties_pb2.Properties(fields=fields), target_collection=request.collection
        ),
        metadata=search_get_pb2.MetadataResult(
            id=str(entry.uuid),
            id_as_bytes=entry.uuid.bytes,
            distance=far,
            distance_present=metadata.distance,
            score=1 - far,
            score_present=metadata.score,
            vectors=list(_vectors([(key, entry.vectors[key]) for key in shown])),
        ),
    )


def _vectors(kept: Iterable[tuple[str, Vector]]) -> Iterable[Any]:
    for name, value in kept:
        rows = np.asarray(value, dtype="<f4")
        head = struct.pack("<H", rows.shape[1]) if rows.ndim == 2 else b""
        yield base_pb2.Vectors(name=name, vector_bytes=head + rows.tobytes(), type=MULTI if rows.ndim == 2 else SINGLE)


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return properties_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return properties_pb2.Value(number_value=value)
    if isinstance(value, list):
        return properties_pb2.Value(
            list_value=properties_pb2.ListValue(text_values=properties_pb2.TextValues(values=list(map(str, value))))
        )
    if isinstance(value, Mapping):
        fields = {key: _value(each) for key, each in value.items()}
        return properties_pb2.Value(object_value=properties_pb2.Properties(fields=fields))
    return properties_pb2.Value(text_value=str(value))
