"""What goes over gRPC, by weaviate-client: bulk writes, searches, ids and counts.

Every vector is named, because Weaviate routes unnamed ones to a collection's only vector without asking. Batches have a
size that the caller chooses and are sent one at a time over the plain batch call, which tells of every object what
became of it; server-side batching (`batch.stream`) gives errors to the wrong objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import numpy as np

from samespace.errors import RequestInvalid, WeaviateError
from samespace.vectors import Float32

from ..pinning.spec import DOCUMENT_PROPERTY, WINDOW_PROPERTY, collection_name
from .database import stream
from .errors import translated
from .objects import ObjectCalls, rows_of
from .values import Blend, Consistency, Failure, Hit, StoredObject

if TYPE_CHECKING:
    from weaviate.collections import Collection

    from weaviate import WeaviateClient

_Answer = TypeVar("_Answer")
_IDS: Final = 1000
"""Ids of one page; Weaviate reads whole objects for them, so larger pages are no faster."""


class QueryCalls(ObjectCalls):
    """What of `Database` goes over gRPC."""

    client: WeaviateClient

    def insert(
        self, name: str, vector: str, objects: Sequence[StoredObject], consistency: Consistency | None = None
    ) -> list[Failure]:
        """Write objects under *vector*, replacing those of the same id; what was refused, with its reason."""
        from weaviate.classes.data import DataObject
        from weaviate.exceptions import WeaviateInsertManyAllFailedError

        if not objects:
            return []
        batch: list[DataObject[Any, None]] = [
            DataObject(
                properties=dict(entry.properties),
                uuid=entry.uuid,
                vector=None if entry.vector is None else {vector: entry.vector.tolist()},
            )
            for entry in objects
        ]

        def send() -> list[Failure]:
            try:
                found = self._collection(name, consistency or self.levels.write).data.insert_many(batch)
            except WeaviateInsertManyAllFailedError as error:
                # Here the client gives the reasons of all objects in one sentence, not one by one.
                reason = error.message.partition("set of all errors: ")[2] or error.message
                return [Failure(entry.uuid, reason) for entry in objects]
            return [Failure(objects[index].uuid, error.message) for index, error in sorted(found.errors.items())]

        return self._asked(name, send)

    def delete_windows(
        self, name: str, documents: Sequence[str], first: int, consistency: Consistency | None = None
    ) -> int:
        """Delete the windows from number *first* on of some documents; how many there were."""
        from weaviate.classes.query import Filter

        of_these = Filter.by_property(DOCUMENT_PROPERTY).contains_any(list(documents))
        where = Filter.all_of([of_these, Filter.by_property(WINDOW_PROPERTY).greater_or_equal(first)])
        deleted = 0
        while True:  # one call deletes as many as a query may find
            answer = self._asked(
                name, lambda: self._collection(name, consistency or self.levels.write).data.delete_many(where)
            )
            deleted += answer.successful
            if answer.failed:
                raise WeaviateError(f"collection {name}: {answer.failed} stale windows could not be deleted")
            if not answer.successful:
                return deleted

    def near_text(
        self, name: str, vector: str, query: str, limit: int, filters: Any = None, *, bare: bool = False
    ) -> list[Hit]:
        """Search with a text that Weaviate's module encodes; *filters* is a `Filter` of weaviate-client, or None."""
        return self._hits(
            name,
            lambda asked, metadata: asked.near_text(
                query,
                target_vector=vector or None,
                limit=limit,
                filters=filters,
                return_metadata=metadata(distance=True),
                return_properties=[] if bare else None,
            ),
        )

    def near_vector(self, name: str, vector: str, query: Float32, limit: int, filters: Any = None) -> list[Hit]:
        """Search with one vector, shape (dim,), or a multi-vector, shape (vectors, dim)."""
        if query.ndim not in (1, 2):
            raise RequestInvalid(field="query", reason=f"expected shape (dim,) or (vectors, dim), got {query.shape}")
        return self._hits(
            name,
            lambda asked, metadata: asked.near_vector(
                np.asarray(query, dtype=np.float32).tolist(),
                target_vector=vector or None,
                limit=limit,
                filters=filters,
                return_metadata=metadata(distance=True),
            ),
        )

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        """Ids and distances of the objects nearest to *query*, (dim,) or (windows, dim), by the vector's index."""
        from weaviate.classes.query import MetadataQuery

        found = self._asked(
            name,
            lambda: self._collection(name, self.levels.search).query.near_vector(
                np.asarray(query, dtype=np.float32).tolist(),
                target_vector=vector,
                limit=limit,
                return_properties=[],
                return_metadata=MetadataQuery(distance=True),
            ),
        )
        return [(UUID(str(entry.uuid)), float(entry.metadata.distance or 0.0)) for entry in found.objects]

    def bm25(self, name: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search by words."""
        return self._hits(
            name,
            lambda asked, metadata: asked.bm25(
                query, limit=limit, filters=filters, return_metadata=metadata(score=True)
            ),
        )

    def hybrid(self, name: str, vector: str, query: str, limit: int, blend: Blend, filters: Any = None) -> list[Hit]:
        """Search by words and by vector, which the module makes where *blend* brings none."""
        row = blend.query_vector
        return self._hits(
            name,
            lambda asked, metadata: asked.hybrid(
                query,
                vector=None if row is None else np.asarray(row, dtype=np.float32).tolist(),
                target_vector=vector or None,
                limit=limit,
                alpha=blend.alpha,
                filters=filters,
                return_metadata=metadata(score=True),
            ),
        )

    def equals(self, conditions: Mapping[str, Any]) -> Any:
        """A `Filter` of weaviate-client: objects whose properties have just these values; None without conditions."""
        from weaviate.classes.query import Filter

        parts = [Filter.by_property(name).equal(value) for name, value in conditions.items()]
        return Filter.all_of(parts) if parts else None

    def count(self, name: str) -> int:
        """How many objects there are, as one replica of each shard counts them."""
        return self._asked(name, lambda: len(self._collection(name)))

    def ids(self, name: str, consistency: Consistency | None = None) -> Iterator[UUID]:
        """The ids of all objects, in order; without texts and vectors."""
        level = consistency or self.levels.decide
        if level != "ONE" and len(self.each_node()) > 1 and self.replicas(name) > 1:
            yield from (each.uuid for each in stream(self, name, consistency=level))
            return
        after: UUID | None = None
        while page := self._id_page(name, after, level):
            yield from page
            after = page[-1]

    def _id_page(self, name: str, after: UUID | None, level: Consistency) -> list[UUID]:
        found = self._asked(
            name,
            lambda: self._collection(name, level).query.fetch_objects(limit=_IDS, after=after, return_properties=[]),
        )
        return [UUID(str(entry.uuid)) for entry in found.objects]

    def read(
        self,
        name: str,
        vector: str,
        ids: Sequence[UUID],
        properties: Sequence[str],
        consistency: Consistency | None = None,
    ) -> list[StoredObject]:
        """Some objects with a named vector, as rows; those that are gone are left out, the order is any.

        However many *ids* there are: no query asks for more than 1,000 (Weaviate refuses more than 10,000).
        """
        return [each for page in _pages(ids) for each in self._read_page(name, vector, page, properties, consistency)]

    def _read_page(
        self,
        name: str,
        vector: str,
        ids: Sequence[UUID],
        properties: Sequence[str],
        consistency: Consistency | None,
    ) -> list[StoredObject]:
        level = consistency or self.levels.decide
        if level != "ONE" and self.replicas(name) > 1:
            return [
                StoredObject(
                    each.uuid,
                    {key: each.properties[key] for key in properties if key in each.properties},
                    rows_of(each.vectors.get(vector)),
                )
                for each in self.agreed(name, ids, vectors=True, consistency=level)
            ]
        answer = self._asked(
            name,
            lambda: self._collection(name, level).query.fetch_objects_by_ids(
                ids, limit=len(ids), include_vector=[vector], return_properties=list(properties)
            ),
        )
        found = [
            StoredObject(UUID(str(entry.uuid)), dict(entry.properties), rows_of(entry.vector.get(vector)))
            for entry in answer.objects
        ]
        # This is a filter. What no filter finds may be stored all the same, and is read by its key.
        there = {each.uuid for each in found}
        missing = [uuid for uuid in ids if uuid not in there]
        return found + [
            StoredObject(
                each.uuid,
                {key: each.properties[key] for key in properties if key in each.properties},
                rows_of(each.vectors.get(vector)),
            )
            for each in self.agreed(name, missing, vectors=True, consistency=level)
        ]

    def filtered(self, name: str, ids: Sequence[UUID]) -> set[UUID]:
        """Which of some objects a filter on their ids finds, by the inverted index of the node that is asked."""

        def ask(page: Sequence[UUID]) -> Any:
            query = self._collection(name, "ONE").query
            return query.fetch_objects_by_ids(page, limit=len(page), return_properties=[])

        answers = (self._asked(name, partial(ask, page)) for page in _pages(ids))
        return {UUID(str(entry.uuid)) for answer in answers for entry in answer.objects}

    def vectors(self, name: str, vector: str) -> Iterator[tuple[UUID, Float32 | None]]:
        """(object id, its vector) of every object; None where the object has no such vector."""
        with translated(f"collection {name}"):
            for entry in self._collection(name).iterator(include_vector=True):
                value = entry.vector.get(vector)
                yield UUID(str(entry.uuid)), None if value is None else np.asarray(value, dtype=np.float32)

    def _hits(self, name: str, search: Callable[[Any, Any], Any]) -> list[Hit]:
        from weaviate.classes.query import MetadataQuery

        found = self._asked(name, lambda: search(self._collection(name, self.levels.search).query, MetadataQuery))
        return [
            Hit(
                uuid=UUID(str(entry.uuid)),
                properties=dict(entry.properties),
                distance=entry.metadata.distance,
                score=entry.metadata.score,
            )
            for entry in found.objects
        ]

    def _asked(self, name: str, question: Callable[[], _Answer]) -> _Answer:
        """The answer of weaviate-client; outages are waited out as the connection's patience says."""

        def once() -> _Answer:
            with translated(f"collection {name}"):
                return question()

        return self.rest.patience.ask(once, is_back=self.rest.is_ready)

    def _collection(self, name: str, consistency: Consistency | None = None) -> Collection[Any, Any]:
        from weaviate.classes.config import ConsistencyLevel

        found = self.client.collections.use(collection_name(name))
        found = found.with_tenant(self.tenant) if self.tenant else found
        return found.with_consistency_level(ConsistencyLevel[consistency]) if consistency else found


def _pages(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))
