"""The door over REST, with the standard library's HTTP client.

Why not weaviate-client: see `door`. Every request here may be sent twice, so a connection that breaks is tried again
for as long as `patience_s`, until Weaviate is ready again; a restart in the middle of a migration is a pause.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import numpy as np

from samespace.errors import WeaviateError, WeaviateUnavailable
from samespace.vectors import Float32

from ..migration.door import Record, Refused
from ..pinning.spec import collection_name
from .address import Address

PATIENCE_S: Final = 60.0
_TIMEOUT_S: Final = 120.0
_PAUSE_S: Final = 0.5
_BEACON: Final = "weaviate://localhost/"
_ACTIVE: Final = {"HOT": "HOT", "ACTIVE": "HOT", "COLD": "COLD", "INACTIVE": "COLD"}
_BROKEN: Final = (http.client.HTTPException, OSError)


class RestDoor:
    """A `Door` to the Weaviate at *address*; not for several threads at once. Close it, or use it with `closing`."""

    def __init__(
        self, address: Address, *, patience_s: float = PATIENCE_S, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._address = address
        self._patience_s, self._pause = patience_s, pause
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def schema(self, name: str) -> dict[str, Any] | None:
        status, answer = self._send("GET", f"/schema/{_path(name)}", allowed=(200, 404))
        return dict(answer) if status == 200 else None

    def names(self) -> list[str]:
        return sorted(entry["class"] for entry in self._ask("GET", "/schema")["classes"])

    def create(self, schema: Mapping[str, Any]) -> None:
        self._ask("POST", "/schema", schema)

    def drop(self, name: str) -> None:
        self._ask("DELETE", f"/schema/{_path(name)}")

    def aliases(self) -> dict[str, str]:
        status, answer = self._send("GET", "/aliases", allowed=(200, 404))
        if status == 404:
            raise WeaviateError(f"{self._address}: this Weaviate has no aliases; they came with version 1.32")
        return {entry["alias"]: entry["class"] for entry in answer.get("aliases") or ()}

    def point_alias(self, alias: str, name: str) -> None:
        if alias in self.aliases():
            self._ask("PUT", f"/aliases/{_path(alias)}", {"class": name})
        else:
            self._ask("POST", "/aliases", {"alias": alias, "class": name})

    def tenants(self, name: str) -> dict[str, str]:
        found = self._ask("GET", f"/schema/{_path(name)}/tenants")
        return {entry["name"]: _ACTIVE.get(entry["activityStatus"], entry["activityStatus"]) for entry in found}

    def tenant(self, name: str, tenant: str) -> str:
        path = f"/schema/{_path(name)}/tenants/{quote(tenant, safe='')}"
        status, answer = self._send("GET", path, allowed=(200, 404))
        return _ACTIVE.get(answer["activityStatus"], answer["activityStatus"]) if status == 200 else ""

    def set_tenant(self, name: str, tenant: str, status: str) -> None:
        found = self.tenant(name, tenant)
        if found != status:
            body = [{"name": tenant, "activityStatus": status}]
            self._ask("PUT" if found else "POST", f"/schema/{_path(name)}/tenants", body)

    def remove_tenant(self, name: str, tenant: str) -> None:
        self._ask("DELETE", f"/schema/{_path(name)}/tenants", [tenant])

    def page(self, name: str, tenant: str, after: str, limit: int, *, vectors: bool = False) -> list[Record]:
        query = {"class": name, "limit": str(limit), "after": after}
        query |= {"tenant": tenant} if tenant else {}
        query |= {"include": "vector"} if vectors else {}
        return [_record(entry) for entry in self._ask("GET", f"/objects?{urlencode(query)}")["objects"]]

    def write(self, name: str, tenant: str, records: Sequence[Record]) -> list[Refused]:
        if not records:
            return []
        answer = self._ask("POST", "/batch/objects", {"objects": [_entry(name, tenant, each) for each in records]})
        refused: dict[str, str] = {}
        for each in answer:
            if reason := _refusal(each):
                refused[str(each["id"])] = reason
        # A reference that comes with its object is refused unless its target is there; one that comes alone is not.
        suffix = f"?tenant={quote(tenant)}" if tenant else ""
        references = [
            (
                each.id,
                {"from": f"{_BEACON}{name}/{each.id}/{key}", "to": beacon} | ({"tenant": tenant} if tenant else {}),
            )
            for each in records
            if each.id not in refused
            for key, beacons in each.references.items()
            for beacon in beacons
        ]
        if references:
            answer = self._ask("POST", f"/batch/references{suffix}", [reference for _, reference in references])
            for (key, _), each in zip(references, answer, strict=True):
                if reason := _refusal(each):
                    refused[key] = reason
        return [Refused(key, reason) for key, reason in refused.items()]

    def remove(self, name: str, tenant: str, ids: Sequence[str]) -> None:
        suffix = f"?tenant={quote(tenant)}" if tenant else ""
        for key in ids:
            self._send("DELETE", f"/objects/{_path(name)}/{key}{suffix}", allowed=(204, 404))

    def count(self, name: str, tenant: str) -> int:
        where = f"(tenant:{json.dumps(tenant)})" if tenant else ""
        found = self._graphql(f"{{Aggregate{{{collection_name(name)}{where}{{meta{{count}}}}}}}}")
        return int(found["Aggregate"][collection_name(name)][0]["meta"]["count"])

    def nearest(self, name: str, tenant: str, vector: str, query: str | Float32, limit: int) -> list[str]:
        targets = f",targetVectors:[{json.dumps(vector)}]" if vector else ""
        if isinstance(query, str):
            near = f"nearText:{{concepts:[{json.dumps(query)}]{targets}}}"
        else:
            near = f"nearVector:{{vector:{json.dumps(_numbers(query))}{targets}}}"
        where = f"limit:{limit},{near}" + (f",tenant:{json.dumps(tenant)}" if tenant else "")
        name = collection_name(name)
        found = self._graphql(f"{{Get{{{name}({where}){{_additional{{id}}}}}}}}")
        return [str(entry["_additional"]["id"]) for entry in found["Get"][name]]

    def add_vector(self, name: str, vector: str, config: Mapping[str, Any]) -> None:
        schema = self._ask("GET", f"/schema/{_path(name)}")
        if vector not in (schema.get("vectorConfig") or {}):
            schema["vectorConfig"] = {**(schema.get("vectorConfig") or {}), vector: dict(config)}
            self._ask("PUT", f"/schema/{_path(name)}", schema)

    def patch_vector(self, name: str, tenant: str, record: str, vector: str, row: Float32) -> None:
        body: dict[str, Any] = {"class": name, "id": record, "vectors": {vector: _numbers(row)}}
        if tenant:
            body["tenant"] = tenant
        self._send("PATCH", f"/objects/{_path(name)}/{record}", body, allowed=(200, 204, 404))

    def drop_vector(self, name: str, vector: str) -> str:
        path = f"/schema/{_path(name)}/vectors/{quote(vector, safe='')}/index"
        try:
            status, _ = self._send("DELETE", path, allowed=(200, 202, 204, 404, 405))
        except WeaviateError as error:
            return str(error)
        return "" if status < 300 else "this version cannot drop a vector; 1.37 and later can"

    def now_ms(self) -> int:
        _, _, headers = self._exchange("GET", "/.well-known/live", None)
        return int(parsedate_to_datetime(headers["date"]).timestamp()) * 1000

    def _graphql(self, query: str) -> dict[str, Any]:
        answer = self._ask("POST", "/graphql", {"query": query})
        if answer.get("errors"):
            reasons = "; ".join(str(error["message"]) for error in answer["errors"])
            raise WeaviateError(f"{self._address}: Weaviate refused: {reasons}")
        return dict(answer["data"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return self._send(method, path, body)[1]

    def _send(
        self, method: str, path: str, body: object = None, *, allowed: tuple[int, ...] = (200, 204)
    ) -> tuple[int, Any]:
        """(status, decoded body); another status is an error, but one that may pass is tried again."""
        deadline = time.monotonic() + self._patience_s
        payload = None if body is None else json.dumps(body).encode()
        while True:
            try:
                status, text, _ = self._exchange(method, path, payload)
            except _BROKEN as error:
                self.close()
                if time.monotonic() > deadline:
                    raise WeaviateUnavailable(address=str(self._address), reason=str(error) or repr(error)) from error
                self._pause(_PAUSE_S)
                self._wait_until_ready(deadline)
                continue
            if status in allowed:
                return status, json.loads(text) if text.strip() else {}
            if status not in (502, 503, 504) or time.monotonic() > deadline:
                raise WeaviateError(f"{self._address}: {method} {path.partition('?')[0]}: {status}: {_reason(text)}")
            self._pause(_PAUSE_S)

    def _wait_until_ready(self, deadline: float) -> None:
        """A Weaviate that has just started answers before it knows its collections: wait for what it says itself."""
        while time.monotonic() < deadline:
            try:
                if self._exchange("GET", "/.well-known/ready", None)[0] == 200:
                    return
            except _BROKEN:
                self.close()
            self._pause(_PAUSE_S)

    def _exchange(self, method: str, path: str, payload: bytes | None) -> tuple[int, bytes, http.client.HTTPMessage]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._address.secure else http.client.HTTPConnection
            self._connection = kind(self._address.host, self._address.port, timeout=_TIMEOUT_S)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {"content-type": "application/json"}
        if self._address.api_key:
            headers["authorization"] = f"Bearer {self._address.api_key}"
        self._connection.request(method, f"/v1{path}", body=payload, headers=headers)
        with self._connection.getresponse() as response:
            return response.status, response.read(), response.headers


def _record(entry: Mapping[str, Any]) -> Record:
    properties, references = {}, {}
    for key, value in (entry.get("properties") or {}).items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping) and "beacon" in value[0]:
            references[key] = tuple(str(each["beacon"]) for each in value)
        elif value is not None and value != []:  # an empty list comes back as nothing at all
            properties[key] = value
    return Record(
        id=str(entry["id"]).lower(),
        properties=properties,
        references=references,
        updated_ms=int(entry["lastUpdateTimeUnix"]),
        vectors={
            name: np.asarray(rows, dtype=np.float32)
            for name, rows in {**(entry.get("vectors") or {}), "": entry.get("vector")}.items()
            if rows
        },
    )


def _refusal(entry: Mapping[str, Any]) -> str:
    """Why one entry of a batch was refused; "" where it was not."""
    errors = (entry["result"].get("errors") or {}).get("error") or []
    failed = entry["result"].get("status") == "FAILED" or errors
    return ("; ".join(str(error["message"]) for error in errors) or "no reason given") if failed else ""


def _entry(name: str, tenant: str, record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": name, "id": record.id, "properties": dict(record.properties)}
    if tenant:
        entry["tenant"] = tenant
    if record.vectors:
        entry["vectors"] = {key: _numbers(rows) for key, rows in record.vectors.items()}
    return entry


def _numbers(rows: Float32) -> Any:
    return np.asarray(rows, dtype=np.float32).tolist()


def _path(name: str) -> str:
    return quote(collection_name(name), safe="")


def _reason(text: bytes) -> str:
    """What Weaviate says in an error's body."""
    try:
        body = json.loads(text)
        found = body.get("error") if isinstance(body, dict) else body
        messages = [str(each["message"]) for each in found] if isinstance(found, list) else [str(body)]
    except (ValueError, KeyError, TypeError):
        messages = [text.decode(errors="replace")[:500]]
    return "; ".join(messages)
