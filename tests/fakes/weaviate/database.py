"""A Weaviate and an encoder that live in memory, for tests of what is decided around them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import numpy as np

from samespace.encoder import Encoded, EncodeOptions, Encoder
from samespace.errors import WeaviateError
from samespace.text import BY_WINDOW, Role
from samespace.vectors import Float32, Vectors, normalise
from samespace_weaviate import Blend, Failure, Hit, StoredObject
from samespace_weaviate.access.patience import NONE, Patience
from samespace_weaviate.access.values import Consistency, Shard
from samespace_weaviate.pinning.index import HNSW, Index
from samespace_weaviate.pinning.spec import MODULE

SPACE, OTHER_SPACE = "a" * 64, "b" * 64
DIMS, TOKEN_LIMIT = 8, 4


class FakeDatabase:
    """What imports and collections ask of a `Database`, with a log of what was sent."""

    def __init__(self, refuse: Callable[[StoredObject, int], str | None] = lambda entry, attempt: None) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[Any, StoredObject]] = {}
        self.sent: list[str] = []
        self.batches: list[int] = []
        self.asked: list[tuple[int, Any]] = []
        self.tenant, self.doors, self.patience = "", dict[str, FakeDatabase](), NONE
        self.unindexed: set[UUID] = set()
        self.hidden: set[UUID] = set()
        """Objects that are stored and in no index."""
        self._refuse, self._attempts = refuse, dict[Any, int]()

    def schema(self, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.schemas.get(name))

    own_schema = schema

    def each_node(self) -> dict[str, FakeDatabase]:
        """One node."""
        return {"http://fake:8080": self}

    def create(self, schema: Mapping[str, Any]) -> None:
        self.sent.append("create")
        self.schemas[schema["class"]] = copy.deepcopy(dict(schema))
        self.objects[schema["class"]] = {}

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        self.sent.append("add_property")
        self.schemas[name]["properties"].append(dict(entry))

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = MODULE, index: Index = HNSW
    ) -> None:
        self.sent.append("add_vector")
        self.schemas[name]["vectorConfig"][vector] = {
            "vectorizer": {module: dict(settings)},
            "vectorIndexType": index.kind,
            "vectorIndexConfig": index.config(),
        }

    def patient(self, patience: Patience) -> FakeDatabase:
        """The same objects, schemas and log; each write waits out an outage."""
        made = copy.copy(self)
        made.patience = patience
        return made

    def insert(
        self, name: str, vector: str, objects: Sequence[StoredObject], consistency: Consistency | None = None
    ) -> list[Failure]:
        return self.patience.ask(lambda: self._insert(name, objects))

    def _insert(self, name: str, objects: Sequence[StoredObject]) -> list[Failure]:
        self.sent.append("insert")
        self.batches.append(len(objects))
        failures = []
        for entry in objects:
            attempt = self._attempts[entry.uuid] = self._attempts.get(entry.uuid, 0) + 1
            if reason := self._refuse(entry, attempt):
                failures.append(Failure(entry.uuid, reason))
            else:
                self.objects[name][entry.uuid] = entry
        return failures

    def near_text(self, name: str, vector: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        self.sent.append(f"near_text {vector}")
        self.asked.append((limit, filters))
        return []

    def near_vector(self, name: str, vector: str, query: Float32, limit: int, filters: Any = None) -> list[Hit]:
        self.sent.append(f"near_vector {vector}")
        self.asked.append((limit, filters))
        ranked = sorted(self.objects[name].values(), key=lambda entry: -float(entry.vector @ query))
        return [Hit(entry.uuid, entry.properties, 1 - float(entry.vector @ query)) for entry in ranked[:limit]]

    def each_index(self, name: str, consistency: Any = None) -> dict[str, Any]:
        """One replica."""
        return {"": self}

    def through(self, address: str) -> Any:
        """One node."""
        return self

    def unasked(self, name: str, asked: object) -> tuple[str, ...]:
        """None."""
        return ()

    def filtered(self, name: str, ids: Sequence[UUID]) -> set[UUID]:
        """By the inverted index, from which objects may be missing."""
        return set(ids) - self.hidden

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        """By the index, from which objects may be missing; one of multi-vectors takes no other query."""
        config = self.schemas[name]["vectorConfig"][vector].get("vectorIndexConfig") or {}
        if bool((config.get("multivector") or {}).get("enabled")) != (query.ndim == 2):
            raise WeaviateError("near_vector: a regular vector and an index of multi-vectors, or the other way round")
        row = np.atleast_2d(query)[0]
        found = [
            (entry.uuid, 1 - float(np.atleast_2d(entry.vector)[0] @ row))
            for entry in self.objects[name].values()
            if entry.uuid not in self.unindexed
        ]
        return sorted(found, key=lambda pair: pair[1])[:limit]

    def ids(self, name: str, consistency: Consistency | None = None) -> Iterator[UUID]:
        yield from sorted(self.objects[name])

    def read(
        self,
        name: str,
        vector: str,
        ids: Sequence[UUID],
        properties: Sequence[str],
        consistency: Consistency | None = None,
    ) -> list[StoredObject]:
        there = self.objects[name]
        return [replace(there[uuid], vector=np.atleast_2d(there[uuid].vector)) for uuid in ids if uuid in there]

    def shards(self, name: str) -> list[Shard]:
        return []

    def bm25(self, name: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        self.sent.append("bm25")
        self.asked.append((limit, filters))
        return []

    def hybrid(self, name: str, vector: str, query: str, limit: int, blend: Blend, filters: Any = None) -> list[Hit]:
        self.sent.append(f"hybrid {vector}" + (" with a vector" if blend.query_vector is not None else ""))
        self.asked.append((limit, filters))
        return []

    def of_tenant(self, tenant: str) -> FakeDatabase:
        """The tenant's objects; schemas and the log are the same."""
        if tenant not in self.doors:
            made = copy.copy(self)
            made.doors, made.tenant, made.objects = {}, tenant, {name: {} for name in self.schemas}
            self.doors[tenant] = made
        return self.doors[tenant]

    def tenants(self, name: str, some: object = ()) -> dict[str, bool]:
        return dict.fromkeys(self.doors, True)

    def tenant_state(self, name: str, tenant: str) -> str:
        return "HOT" if tenant in self.doors else ""

    def add_tenant(self, name: str, tenant: str) -> None:
        self.sent.append(f"add_tenant {tenant}")
        self.of_tenant(tenant)

    def replicas(self, name: str) -> int:
        return 1 if name in self.schemas else 0

    def has(self, name: str, uuid: UUID, consistency: Consistency | None = None) -> bool:
        return uuid in self.objects[name]

    def delete_windows(
        self, name: str, documents: Sequence[str], first: int, consistency: Consistency | None = None
    ) -> int:
        self.sent.append(f"delete_windows {first}")
        stale = [
            uuid
            for uuid, entry in self.objects[name].items()
            if entry.properties["documentId"] in documents and entry.properties["windowNumber"] >= first
        ]
        for uuid in stale:
            del self.objects[name][uuid]
        return len(stale)

    def count(self, name: str) -> int:
        return len(self.objects[name])


class FakeEncoder(Encoder):
    """Unit vectors that depend on the text alone; a token is a word."""

    def __init__(self, space_id: str = SPACE) -> None:
        self._space_id = space_id
        self.calls = 0

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return "fake"

    @property
    def dims(self) -> int:
        return DIMS

    @property
    def token_limit(self) -> int:
        return TOKEN_LIMIT

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        self.calls += 1
        tokens = tuple(len(text.split()) for text in texts)
        windows = tuple(max(1, -(-count // TOKEN_LIMIT)) for count in tokens)
        if options.long_texts in BY_WINDOW:
            spans = tuple((index, *span) for index, text in enumerate(texts) for span in _spans(text))
        else:
            spans = tuple((index, 0, len(text)) for index, text in enumerate(texts))
        rows = np.stack([_row(texts[index][start:end]) for index, start, end in spans])
        return Encoded(Vectors(normalise(rows), self._space_id), tokens, windows, spans)


def _spans(text: str) -> list[tuple[int, int]]:
    """Runs of as many words as the limit allows, without overlap."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    if len(words) <= TOKEN_LIMIT:
        return [(0, len(text))]
    runs = [words[start : start + TOKEN_LIMIT] for start in range(0, len(words), TOKEN_LIMIT)]
    return [(run[0][0], run[-1][1]) for run in runs]


def _row(text: str) -> Float32:
    seed = int.from_bytes(sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(DIMS).astype(np.float32)
