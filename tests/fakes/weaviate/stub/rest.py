"""The stub's REST interface: one function a route."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from .state import Call, Refused, StubObject, StubState

Reply = tuple[int, Any]


def answer(state: StubState, call: Call) -> Reply:
    """(status, body) of a request; the body None for none."""
    method, _, path = call.what.partition(" ")
    parts = [part for part in path.removeprefix("/v1").split("/") if part]
    with state.lock:
        try:
            return _route(state, call, method, parts)
        except Refused as refused:
            return refused.status, {"error": [{"message": refused.reason}]}


def _route(state: StubState, call: Call, method: str, parts: list[str]) -> Reply:
    match method, parts:
        case "GET", [".well-known", "ready" | "live"]:
            return 200, None
        case "GET", [".well-known", "openid-configuration"]:
            return 404, None
        case "GET", ["meta"]:
            return 200, {"version": "1.37.0", "modules": {}, "hostname": "http://[::]:8080"}
        case _, ["schema", *rest]:
            return _schema(state, call, method, rest)
        case _, ["aliases", *rest]:
            return _aliases(state, call, method, rest)
        case "GET", ["nodes", *rest]:
            return 200, {"nodes": [_node(state, node, rest[0] if rest else "") for node in state.nodes]}
        case _, ["objects", *rest]:
            return _objects(state, call, method, rest)
        case "POST", ["batch", "objects"]:
            return 200, [_batched(state, entry) for entry in call.body["objects"]]
        case "POST", ["batch", "references"]:
            return 200, [_reference(state, entry) for entry in call.body]
    raise Refused(404, f"the stub has no {method} {'/'.join(parts)}")


def _schema(state: StubState, call: Call, method: str, rest: list[str]) -> Reply:
    match method, rest:
        case "GET", []:
            return 200, {"classes": list(state.schemas.values())}
        case "POST", []:
            if call.body["class"] in state.schemas:
                raise Refused(422, f"class name {call.body['class']} already exists")
            state.schemas[call.body["class"]] = copy.deepcopy(call.body)
            return 200, call.body
        case "GET", [name]:
            name = (state.aliases or {}).get(name, name)
            own = state.own_schemas if call.headers.get("consistency") == "false" else {}
            found = own.get(name, state.schemas.get(name))
            return (404, None) if found is None else (200, found)
        case "PUT", [name]:
            state.schemas[state.real(name)] = copy.deepcopy(call.body)
            return 200, call.body
        case "DELETE", [name]:
            state.schemas.pop(name, None)
            for replica in state.replicas.values():
                for key in [key for key in replica if key[0] == name]:
                    del replica[key]
            return 200, None
        case "POST", [name, "properties"]:
            state.schemas[state.real(name)].setdefault("properties", []).append(call.body)
            return 200, call.body
        case "DELETE", [name, "vectors", vector, "index"]:
            state.vector_of(name, [vector])
            return 200, None
        case _, [name, "tenants", *tenant]:
            return _tenants(state, call, method, state.real(name), tenant)
    raise Refused(404, "no such route")


def _tenants(state: StubState, call: Call, method: str, name: str, rest: list[str]) -> Reply:
    have = state.tenants[name]
    match method, rest:
        case "GET", []:
            visible = {tenant: status for tenant, status in have.items() if state.sees_tenant(tenant)}
            return 200, [{"name": tenant, "activityStatus": status} for tenant, status in visible.items()]
        case "GET", [tenant] if not state.sees_tenant(tenant):
            raise Refused(403, "forbidden")
        case "GET", [tenant]:
            return (200, {"name": tenant, "activityStatus": have[tenant]}) if tenant in have else (404, None)
        case "POST" | "PUT", []:
            for entry in call.body:
                if method == "PUT" and entry["name"] not in have:
                    raise Refused(422, f"tenant {entry['name']} does not exist")
                have[entry["name"]] = entry.get("activityStatus", "HOT")
            return 200, call.body
        case "DELETE", []:
            for tenant in call.body:
                have.pop(tenant, None)
            return 200, None
    raise Refused(404, "no such route")


def _aliases(state: StubState, call: Call, method: str, rest: list[str]) -> Reply:
    if state.aliases is None:
        return 404, None
    match method, rest:
        case "GET", []:
            return 200, {"aliases": [{"alias": key, "class": value} for key, value in state.aliases.items()]}
        case "GET", [alias]:
            return (200, {"alias": alias, "class": state.aliases[alias]}) if alias in state.aliases else (404, None)
        case "POST", []:
            if call.body["alias"] in state.aliases:
                raise Refused(422, "alias already exists")
            state.aliases[call.body["alias"]] = call.body["class"]
            return 200, call.body
        case "PUT", [alias]:
            if alias not in state.aliases:
                raise Refused(404, "no such alias")
            state.aliases[alias] = call.body["class"]
            return 200, call.body
        case "DELETE", [alias]:
            return (204, None) if state.aliases.pop(alias, None) else (404, None)
    raise Refused(404, "no such route")


def _node(state: StubState, node: str, name: str) -> Mapping[str, Any]:
    shards = [
        {
            "name": tenant or "x1",
            "class": collection,
            "objectCount": sum(not entry.deleted for entry in kept.values()),
            "vectorIndexingStatus": "READY",
            "vectorQueueLength": state.queues.get(node, 0),
        }
        for (collection, tenant), kept in state.replicas[node].items()
        if not name or collection == name
    ]
    return {"name": node, "status": "HEALTHY", "version": "1.37.0", "shards": shards or None}


def _objects(state: StubState, call: Call, method: str, rest: list[str]) -> Reply:
    query = call.query
    tenant = query.get("tenant", "") or (call.body or {}).get("tenant", "")
    match method, rest:
        case "GET", []:
            kept = state.alive(query["class"], tenant)
            page = [entry for uuid, entry in kept.items() if str(uuid) > query.get("after", "")]
            vectors = "vector" in query.get("include", "")
            return 200, {"objects": [_shown(query["class"], entry, vectors) for entry in page[: int(query["limit"])]]}
        case (("GET" | "HEAD"), [name, key]):
            level, node = query.get("consistency_level", ""), query.get("node_name", "")
            if level and node:
                raise Refused(422, "consistency_level and node_name are mutually exclusive")
            found = state.agreed(name, tenant, UUID(key), level, node)
            if method == "HEAD":
                return (404 if found is None else 204), None
            vectors = "vector" in query.get("include", "")
            return (404, None) if found is None else (200, _shown(name, found, vectors))
        case "DELETE", [name, key]:
            return (204 if state.bury(name, tenant, UUID(key)) else 404), None
        case "PATCH", [name, key]:
            found = state.alive(name, tenant).get(UUID(key))
            if found is None:
                return 404, None
            vectors = {**found.vectors, **(call.body.get("vectors") or {})}
            state.put(name, tenant, replace(found, vectors=vectors))
            return 204, None
    raise Refused(404, "no such route")


def _batched(state: StubState, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = dict(entry.get("properties") or {})
    unnamed = {"": entry["vector"]} if entry.get("vector") else {}
    made = StubObject(UUID(entry["id"]), properties, {**(entry.get("vectors") or {}), **unnamed})
    reason = next(
        (
            f"msg:no object with id found for reference {key}"
            for key, value in properties.items()
            if isinstance(value, list)
            and value
            and isinstance(value[0], Mapping)
            and set(value[0]) == {"beacon"}
            and str(value[0]["beacon"]).startswith("weaviate://")
        ),
        "",
    )
    reason = reason or state.put(entry["class"], entry.get("tenant", ""), made)
    result = {"status": "FAILED", "errors": {"error": [{"message": reason}]}} if reason else {"status": "SUCCESS"}
    return {"id": entry["id"], "class": entry["class"], "result": result}


def _reference(state: StubState, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    name, key, reference = entry["from"].removeprefix("weaviate://localhost/").split("/")
    tenant = entry.get("tenant", "")
    found = state.alive(name, tenant).get(UUID(key))
    known = {each["name"] for each in state.schemas[state.real(name)].get("properties") or ()}
    if found is None or reference not in known:
        error = {"error": [{"message": f"no property {reference}"}]}
        return {"from": entry["from"], "to": entry["to"], "result": {"status": "FAILED", "errors": error}}
    beacons = [*found.properties.get(reference, ()), {"beacon": entry["to"]}]
    state.put(name, tenant, replace(found, properties={**found.properties, reference: beacons}))
    return {"from": entry["from"], "to": entry["to"], "result": {"status": "SUCCESS"}}


def _shown(name: str, entry: StubObject, vectors: bool) -> Mapping[str, Any]:
    shown = {
        "class": name,
        "id": str(entry.uuid),
        "properties": {key: value for key, value in entry.properties.items() if value != []},
        "lastUpdateTimeUnix": entry.updated_ms,
    }
    if vectors:
        shown["vectors"] = {key: value for key, value in entry.vectors.items() if key}
        shown["vector"] = entry.vectors.get("")
    return shown
