"""A Weaviate that is only read, and an encoder whose vectors tell related texts, spaces and windows apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from samespace.encoder import Encoded, EncodeOptions, Encoder
from samespace.text import Role
from samespace.vectors import Float32, Vectors, normalise
from samespace_weaviate import StoredObject
from samespace_weaviate.access.values import Consistency, Levels, Shard, most_replicas

from .database import SPACE

DIMS, TOKEN_LIMIT = 32, 12


class WordEncoder(Encoder):
    """A text's vector is the sum of its words' vectors, which are random and of this space alone."""

    def __init__(self, space_id: str = SPACE, *, dims: int = DIMS) -> None:
        self._space_id, self._dims = space_id, dims
        self._words: dict[str, Float32] = {}
        self.texts = 0

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return f"words-{self._space_id[:4]}"

    @property
    def dims(self) -> int:
        return self._dims

    @property
    def token_limit(self) -> int:
        return TOKEN_LIMIT

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        self.texts += len(texts)
        windows, rows = [], []
        for text in texts:
            words = [f"as a {role}", *text.split()]
            parts = [words[at : at + TOKEN_LIMIT] for at in range(0, len(words), TOKEN_LIMIT)]
            windows.append(len(parts))
            sums = np.stack([np.sum([self._word(word) for word in part], axis=0) for part in parts])
            rows.append(sums if options.long_texts == "windows" else sums.sum(axis=0, keepdims=True))
        return Encoded(Vectors(normalise(np.concatenate(rows)), self._space_id), tuple(windows), tuple(windows), ())

    def _word(self, word: str) -> Float32:
        if word not in self._words:
            seed = uuid5(NAMESPACE_URL, f"{self._space_id} {word}").int % 2**32
            self._words[word] = np.random.default_rng(seed).standard_normal(self._dims).astype(np.float32)
        return self._words[word]


class AuditedFake:
    """What an audit asks of a `Database`: one collection, perhaps with tenants."""

    def __init__(self, schema: Mapping[str, Any], *, active: Mapping[str, bool] | None = None) -> None:
        self._schema, self._active = dict(schema), dict(active or {})
        self.objects: dict[str, dict[UUID, StoredObject]] = {tenant: {} for tenant in self._active or ("",)}
        self.tenant = ""
        self.reads: list[str] = []
        self.unindexed: set[UUID] = set()
        """Objects that are stored and in no index."""
        self.hidden: set[UUID] = set()
        """Objects that are stored and in no inverted index."""
        self.patched: list[UUID] = []

    def fill(self, encoder: Encoder, texts: Sequence[str], tenant: str = "", **more: str) -> list[UUID]:
        """Store texts with the vectors that the encoder gives for them; their ids."""
        rows = np.asarray(encoder.encode(texts, "passage").__array__())
        ids = [uuid5(NAMESPACE_URL, f"{tenant} {text}") for text in texts]
        for uuid, text, row in zip(ids, texts, rows, strict=True):
            self.objects[tenant][uuid] = StoredObject(uuid, {"text": text, **more}, row[None, :])
        return ids

    def set_vectors(self, uuid: UUID, vectors: Float32 | None, tenant: str = "") -> None:
        """Give an object other vectors, as a careless client would."""
        self.objects[tenant][uuid] = replace(self.objects[tenant][uuid], vector=vectors)

    def patch_vector(self, name: str, uuid: UUID, vector: str, row: Float32) -> None:
        """As Weaviate does: another vector goes into the index, the very same one does not."""
        each = self.objects[self.tenant].get(uuid)
        if each is None:
            return
        rows = np.atleast_2d(row)
        if each.vector is None or not np.array_equal(each.vector, rows):
            self.unindexed.discard(uuid)
            self.hidden.discard(uuid)
        self.patched.append(uuid)
        self.objects[self.tenant][uuid] = replace(each, vector=rows)

    def get(self, name: str, uuid: UUID, *, vectors: bool = False) -> StoredObject | None:
        return self.objects[self.tenant].get(uuid)

    def of_tenant(self, tenant: str) -> AuditedFake:
        assert tenant in self.objects
        other = AuditedFake(self._schema, active=self._active)
        other.objects, other.tenant, other.reads = self.objects, tenant, self.reads
        other.unindexed, other.patched, other.hidden = self.unindexed, self.patched, self.hidden
        return other

    def schema(self, name: str) -> dict[str, Any] | None:
        return self._schema if name == self._schema["class"] else None

    def tenants(self, name: str, some: object = ()) -> dict[str, bool]:
        return self._active

    levels = Levels()

    def replicas(self, name: str) -> int:
        return most_replicas(self.schema(name) or {}, self.shards(name))

    def shards(self, name: str) -> list[Shard]:
        return [Shard(tenant or "one", "node1", len(objects), "READY") for tenant, objects in self.objects.items()]

    def ids(self, name: str, consistency: Consistency | None = None) -> Iterator[UUID]:
        self.reads.append("ids")
        yield from sorted(self.objects[self.tenant])

    def each_index(self, name: str, consistency: Any = None) -> dict[str, Any]:
        """One replica."""
        return {"": self}

    def unasked(self, name: str, asked: object) -> tuple[str, ...]:
        """None."""
        return ()

    def filtered(self, name: str, ids: Sequence[UUID]) -> set[UUID]:
        """By the inverted index, from which objects may be missing."""
        return set(ids) - self.hidden

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        kept = {
            uuid: each.vector
            for uuid, each in self.objects[self.tenant].items()
            if uuid not in self.unindexed and each.vector is not None and each.vector.shape[1] == query.shape[-1]
        }
        if not kept:
            return []
        starts = np.cumsum([0, *(len(vectors) for vectors in kept.values())])[:-1]
        stored, asked = np.concatenate(list(kept.values())), np.atleast_2d(query)
        norms = np.linalg.norm(stored, axis=1)[:, None] * np.linalg.norm(asked, axis=1)[None]
        best = np.maximum.reduceat(((stored @ asked.T) / np.where(norms > 0, norms, 1)).max(axis=1), starts)
        return sorted(zip(kept, (1 - best).tolist(), strict=True), key=lambda pair: pair[1])[:limit]

    def read(
        self,
        name: str,
        vector: str,
        ids: Sequence[UUID],
        properties: Sequence[str],
        consistency: Consistency | None = None,
    ) -> list[StoredObject]:
        self.reads.append("read")
        there = self.objects[self.tenant]
        found = [there[uuid] for uuid in ids if uuid in there]
        return [
            replace(each, properties={name: each.properties[name] for name in properties if name in each.properties})
            for each in reversed(found)
        ]
