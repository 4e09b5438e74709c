"""A Weaviate through its own interfaces and nothing of ours, for tests of what it does by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from samespace_weaviate import Store

VECTOR = "v"
HEADERS = {"X-Cohere-Api-Key": "key-of-this-test"}
Config = dict[str, Any]


def transformers(url: str, **settings: Any) -> Config:
    """A vector that text2vec-transformers at *url* makes of `text` alone."""
    return _vector("text2vec-transformers", {"inferenceUrl": url, **settings})


def cohere(url: str, **settings: Any) -> Config:
    """The same of text2vec-cohere."""
    return _vector("text2vec-cohere", {"baseURL": url, "model": "m", **settings})


def no_module(**settings: Any) -> Config:
    """A vector that clients bring."""
    return {"vectorizer": {"none": settings}, "vectorIndexType": "hnsw"}


def _vector(module: str, settings: Config) -> Config:
    told = {"properties": ["text"], "vectorizeClassName": False, **settings}
    return {"vectorizer": {module: told}, "vectorIndexType": "flat"}


@dataclass(frozen=True)
class Plain:
    """One Weaviate.

    Attributes:
        rest: asks its REST interface.
        client: weaviate-client, for what goes over gRPC.
        version: of the server; (1, 34, 2) for 1.34.2.
    """

    rest: httpx.Client
    client: Any
    version: tuple[int, ...]
    made: list[str] = field(default_factory=list)

    def create(self, vectors: Mapping[str, Config], **settings: Any) -> str:
        """A collection with a property `text`; deleted at the end of the test."""
        name = f"Fact{uuid4().hex[:12]}"
        schema = {"class": name, "properties": [{"name": "text", "dataType": ["text"]}], "vectorConfig": vectors}
        reply = self.rest.post("/v1/schema", json={**schema, **settings})
        assert reply.status_code == 200, reply.text
        self.made.append(name)
        return name

    def config(self, name: str) -> Config:
        """The vectors of a collection, as its schema has them."""
        return self.rest.get(f"/v1/schema/{name}").json()["vectorConfig"]  # type: ignore[no-any-return]

    def put(self, name: str, vectors: Mapping[str, Config]) -> httpx.Response:
        """Replace the vectors of a collection's schema."""
        schema = self.rest.get(f"/v1/schema/{name}").json()
        return self.rest.put(f"/v1/schema/{name}", json={**schema, "vectorConfig": vectors})

    def insert(self, name: str, text: str, headers: Mapping[str, str] = HEADERS, **told: Any) -> httpx.Response:
        """One object over REST; *told* is its id, its vectors or its tenant."""
        body = {"class": name, "properties": {"text": text}, **told}
        return self.rest.post("/v1/objects", json=body, headers=dict(headers))

    def batch(self, name: str, texts: Sequence[str]) -> list[str]:
        """Objects in one batch over REST; the error of each, empty where it was stored."""
        objects = [{"class": name, "properties": {"text": text}} for text in texts]
        reply = self.rest.post("/v1/batch/objects", json={"objects": objects}, headers=HEADERS)
        errors = [(each["result"].get("errors") or {}).get("error") or [] for each in reply.json()]
        return [each[0]["message"] if each else "" for each in errors]

    def near_text(self, name: str, query: str, headers: Mapping[str, str] = HEADERS) -> str:
        """Search; the error that a client sees, or nothing."""
        ask = f'{{Get{{{name}(nearText:{{concepts:["{query}"]}}){{text}}}}}}'
        reply = self.rest.post("/v1/graphql", json={"query": ask}, headers=dict(headers)).json()
        return reply["errors"][0]["message"] if reply.get("errors") else ""

    def vectors(self, name: str) -> list[dict[str, list[float]]]:
        """The vectors of every object."""
        reply = self.rest.get("/v1/objects", params={"class": name, "include": "vector", "limit": 1000}).json()
        return [each.get("vectors") or {} for each in reply["objects"]]

    def texts(self, name: str) -> set[str]:
        """The texts of every object."""
        reply = self.rest.get("/v1/objects", params={"class": name, "limit": 1000}).json()
        return {each["properties"]["text"] for each in reply["objects"]}


@contextmanager
def plain(store: Store) -> Iterator[Plain]:
    """The Weaviate behind *store*."""
    import weaviate

    host = urlsplit(store.address)
    with (
        httpx.Client(base_url=store.address, timeout=60) as rest,
        weaviate.connect_to_custom(
            http_host=host.hostname or "", http_port=host.port or 0, http_secure=False,
            grpc_host=host.hostname or "", grpc_port=store.grpc_port, grpc_secure=False, headers=HEADERS,
        ) as client,
    ):  # fmt: skip
        version = tuple(int(number) for number in store.version.partition("-")[0].split("."))
        opened = Plain(rest, client, version)
        try:
            yield opened
        finally:
            for name in opened.made:
                rest.delete(f"/v1/schema/{name}")
