"""The door to weaviate-client: the only module that imports weaviate.

It is thin: no decision is made here. Weaviate's exceptions leave it as ours. Every vector is named, because Weaviate
routes unnamed ones to a collection's only vector without asking. Batches have a size that the caller chooses and are
sent one at a time over the plain batch call, which tells of every object what became of it; server-side batching
(`batch.stream`) gives errors to the wrong objects.
"""

from __future__ import annotations

import json
import logging
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote
from uuid import UUID

import numpy as np

from samespace.errors import RequestInvalid, WeaviateError, WeaviateUnavailable
from samespace.extras import require_extra
from samespace.vectors import Float32

from ..audit.door import ReadObject, Shard
from ..pinning.index import HNSW, Index
from ..pinning.spec import DOCUMENT_PROPERTY, MODULE, WINDOW_PROPERTY, collection_name
from .address import Address, Embedded
from .environment import variables
from .values import Blend, Failure, Hit, StoredObject

if TYPE_CHECKING:
    from weaviate.collections import Collection

    from weaviate import WeaviateClient

_INIT_TIMEOUT_S: Final = 10
_QUERY_TIMEOUT_S: Final = 60
_INSERT_TIMEOUT_S: Final = 120
_IDS: Final = 1000
"""Ids of one page; Weaviate reads whole objects for them, so larger pages are no faster."""
_READABLE: Final = ("ACTIVE", "HOT")

# An embedded server is for this machine alone; the encoder of a collection is in the collection's own inferenceUrl.
_EMBEDDED_ENVIRONMENT: Final = {
    **{each.name: each.value for each in variables("http://127.0.0.1:9", cohere=True)},
    "CLUSTER_BIND_ADDR": "127.0.0.1",
    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
    "RAFT_TIMEOUTS_MULTIPLIER": "1",
    "GO_PROFILING_DISABLE": "true",
    "DISABLE_TELEMETRY": "true",
    "LOG_LEVEL": "error",
}


class Store:
    """A connection to one Weaviate; close it, or use it in a `with` statement."""

    def __init__(
        self, client: WeaviateClient, address: str, grpc_port: int, tenant: str = "", *, api_key: str = ""
    ) -> None:
        self._client = client
        self._api_key = api_key
        self.address = address
        self.grpc_port = grpc_port
        self.tenant = tenant

    @staticmethod
    def connect(address: Address) -> Store:
        """Use a Weaviate that runs.

        Raises:
            WeaviateUnavailable: nothing answers there, over REST or over gRPC.
        """
        weaviate = _weaviate()
        from weaviate.classes.init import AdditionalConfig, Auth, Timeout

        with _translated(str(address)):
            client = weaviate.connect_to_custom(
                http_host=address.host,
                http_port=address.port,
                http_secure=address.secure,
                grpc_host=address.host,
                grpc_port=address.grpc_port,
                grpc_secure=address.secure,
                auth_credentials=Auth.api_key(address.api_key) if address.api_key else None,
                additional_config=AdditionalConfig(
                    timeout=Timeout(init=_INIT_TIMEOUT_S, query=_QUERY_TIMEOUT_S, insert=_INSERT_TIMEOUT_S)
                ),
            )
        return Store(client, str(address), address.grpc_port, api_key=address.api_key)

    @staticmethod
    def embedded(embedded: Embedded, data: Path | str) -> Store:
        """Start a Weaviate of one's own, which ends with the store; its data stays in the folder *data*.

        Raises:
            WeaviateUnavailable: it cannot be downloaded or does not start.
        """
        weaviate = _weaviate()
        from weaviate.classes.init import AdditionalConfig, Timeout

        folder = Path(data).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        port, grpc_port = _free_ports(2)
        try:
            with _translated(str(embedded)):
                client = weaviate.connect_to_embedded(
                    version=embedded.version,
                    binary_path=str(embedded.cache),
                    persistence_data_path=str(folder),
                    port=port,
                    grpc_port=grpc_port,
                    environment_variables={
                        **_EMBEDDED_ENVIRONMENT,
                        "PERSISTENCE_DATA_PATH": str(folder),
                        "GRPC_PORT": str(grpc_port),
                        "CLUSTER_HOSTNAME": "samespace",  # the data belongs to this name: it must not change
                        "RAFT_JOIN": "",
                    },
                    additional_config=AdditionalConfig(
                        timeout=Timeout(init=_INIT_TIMEOUT_S, query=_QUERY_TIMEOUT_S, insert=_INSERT_TIMEOUT_S)
                    ),
                )
        except OSError as error:
            raise WeaviateUnavailable(address=str(embedded), reason=str(error)) from error
        return Store(client, f"http://127.0.0.1:{port}", grpc_port)

    @staticmethod
    def open(where: Address | Embedded, data: Path | str | None = None) -> Store:
        """`connect` or `embedded`, whichever *where* calls for."""
        if isinstance(where, Address):
            return Store.connect(where)
        return Store.embedded(where, data or tempfile.mkdtemp(prefix="samespace-weaviate-"))

    def of_tenant(self, tenant: str) -> Store:
        """The same connection, where everything about objects is about those of one tenant; "" for no tenant."""
        return Store(self._client, self.address, self.grpc_port, tenant, api_key=self._api_key)

    def close(self) -> None:
        """Close the connection; an embedded Weaviate ends."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> str:
        """Weaviate's version."""
        with _translated(self.address):
            return str(self._client.get_meta()["version"])

    def names(self) -> list[str]:
        """The collections, sorted."""
        with _translated(self.address):
            return sorted(self._client.collections.list_all(simple=True))

    def schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a collection (or of an alias's), as REST gives it; None where there is no such collection.

        Not through weaviate-client: what it makes of a schema leaves out settings, and it fails on a collection that
        has both a vector without a name and named ones.
        """
        request = urllib.request.Request(f"{self.address}/v1/schema/{quote(collection_name(name), safe='')}")
        if self._api_key:
            request.add_header("authorization", f"Bearer {self._api_key}")
        try:
            with urllib.request.urlopen(request, timeout=_QUERY_TIMEOUT_S) as response:
                schema: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                reason = f"status {error.code}: {error.read(500).decode(errors='replace')}"
            raise WeaviateError(f"collection {name}: Weaviate refused to show its schema: {reason}") from error
        except (OSError, ValueError) as error:
            raise WeaviateUnavailable(address=self.address, reason=str(getattr(error, "reason", error))) from error
        return schema

    def aliases(self) -> dict[str, str]:
        """From each alias to its collection; none on versions before 1.32, which have no aliases."""
        from weaviate.exceptions import WeaviateUnsupportedFeatureError

        with _translated(self.address):
            try:
                return {name: entry.collection for name, entry in self._client.alias.list_all().items()}
            except WeaviateUnsupportedFeatureError:
                return {}

    def create(self, schema: Mapping[str, Any]) -> None:
        """Make a collection of exactly this schema."""
        with _translated(f"collection {schema['class']}"):
            self._client.collections.create_from_dict(dict(schema))

    def add_property(self, name: str, entry: Mapping[str, Any]) -> None:
        """Add a property, given as REST takes it."""
        from weaviate.classes.config import DataType, Property, Tokenization

        with _translated(f"collection {name}"):
            self._collection(name).config.add_property(
                Property(
                    name=entry["name"],
                    data_type=DataType(entry["dataType"][0]),
                    tokenization=Tokenization(entry["tokenization"]) if "tokenization" in entry else None,
                    index_searchable=entry.get("indexSearchable"),
                    description=entry.get("description"),
                )
            )

    def add_vector(
        self, name: str, vector: str, settings: Mapping[str, Any], *, module: str = MODULE, index: Index = HNSW
    ) -> None:
        """Add a named vector. The caller makes sure that there is none of that name.

        weaviate-client does not: it would send the new settings for the old vector (docs/weaviate-facts.md).
        """
        from weaviate.classes.config import Configure

        rest = {key: value for key, value in settings.items() if key != "properties"}
        with _translated(f"collection {name}"):
            self._collection(name).config.add_vector(
                vector_config=Configure.Vectors.custom(
                    name=vector,
                    module_name=module,
                    module_config=rest,
                    source_properties=list(settings.get("properties") or ()) or None,
                    vector_index_config=_index(index),
                )
            )

    def delete_collection(self, name: str) -> None:
        """Delete a collection and all its objects; no error where there is none."""
        with _translated(f"collection {name}"):
            self._client.collections.delete(collection_name(name))

    def insert(self, name: str, vector: str, objects: Sequence[StoredObject]) -> list[Failure]:
        """Write objects, replacing those of the same id; what was refused comes back with its reason."""
        from weaviate.classes.data import DataObject
        from weaviate.exceptions import WeaviateInsertManyAllFailedError

        batch: list[DataObject[Any, None]] = [
            DataObject(properties=dict(entry.properties), uuid=entry.uuid, vector={vector: entry.vector.tolist()})
            for entry in objects
        ]
        with _translated(f"collection {name}"):
            try:
                errors = self._collection(name).data.insert_many(batch).errors
            except WeaviateInsertManyAllFailedError as error:
                # Here the client gives the reasons of all objects in one sentence, not one by one.
                reason = error.message.partition("set of all errors: ")[2] or error.message
                return [Failure(entry.uuid, reason) for entry in objects]
        return [Failure(objects[index].uuid, error.message) for index, error in sorted(errors.items())]

    def has(self, name: str, uuid: UUID) -> bool:
        """Whether there is an object of that id."""
        with _translated(f"collection {name}"):
            return bool(self._collection(name).data.exists(uuid))

    def delete_windows(self, name: str, documents: Sequence[str], first: int) -> int:
        """Delete the windows from number *first* on of some documents; how many there were."""
        from weaviate.classes.query import Filter

        of_these = Filter.by_property(DOCUMENT_PROPERTY).contains_any(list(documents))
        where = Filter.all_of([of_these, Filter.by_property(WINDOW_PROPERTY).greater_or_equal(first)])
        deleted = 0
        with _translated(f"collection {name}"):
            while True:  # one call deletes as many as a query may find
                answer = self._collection(name).data.delete_many(where)
                deleted += answer.successful
                if answer.failed:
                    raise WeaviateError(f"collection {name}: {answer.failed} stale windows could not be deleted")
                if not answer.successful:
                    return deleted

    def add_tenant(self, name: str, tenant: str) -> None:
        """Make a tenant."""
        with _translated(f"collection {name}"):
            self._client.collections.use(collection_name(name)).tenants.create(tenant)

    def delete(self, name: str, uuids: Sequence[UUID]) -> None:
        """Delete objects by id; those that are not there are passed over."""
        with _translated(f"collection {name}"):
            for uuid in uuids:
                self._collection(name).data.delete_by_id(uuid)

    def near_text(self, name: str, vector: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search with a text that Weaviate's module encodes; *filters* is a `Filter` of weaviate-client, or None."""
        from weaviate.classes.query import MetadataQuery

        with _translated(f"collection {name}"):
            answer = self._collection(name).query.near_text(
                query,
                target_vector=vector,
                limit=limit,
                filters=filters,
                return_metadata=MetadataQuery(distance=True),
            )
        return _hits(answer.objects)

    def near_vector(self, name: str, vector: str, query: Float32, limit: int, filters: Any = None) -> list[Hit]:
        """Search with one vector, shape (dim,), or a multi-vector, shape (vectors, dim)."""
        from weaviate.classes.query import MetadataQuery

        if query.ndim not in (1, 2):
            raise RequestInvalid(field="query", reason=f"expected shape (dim,) or (vectors, dim), got {query.shape}")
        with _translated(f"collection {name}"):
            answer = self._collection(name).query.near_vector(
                np.asarray(query, dtype=np.float32).tolist(),
                target_vector=vector,
                limit=limit,
                filters=filters,
                return_metadata=MetadataQuery(distance=True),
            )
        return _hits(answer.objects)

    def nearest(self, name: str, vector: str, query: Float32, limit: int) -> list[tuple[UUID, float]]:
        """Ids and distances of the objects nearest to *query*, (dim,) or (windows, dim), by the vector's index."""
        from weaviate.classes.query import MetadataQuery

        with _translated(f"collection {name}"):
            answer = self._collection(name).query.near_vector(
                np.asarray(query, dtype=np.float32).tolist(),
                target_vector=vector,
                limit=limit,
                return_properties=[],
                return_metadata=MetadataQuery(distance=True),
            )
        return [(UUID(str(entry.uuid)), float(entry.metadata.distance or 0.0)) for entry in answer.objects]

    def bm25(self, name: str, query: str, limit: int, filters: Any = None) -> list[Hit]:
        """Search by words."""
        from weaviate.classes.query import MetadataQuery

        with _translated(f"collection {name}"):
            answer = self._collection(name).query.bm25(
                query, limit=limit, filters=filters, return_metadata=MetadataQuery(score=True)
            )
        return _hits(answer.objects)

    def hybrid(self, name: str, vector: str, query: str, limit: int, blend: Blend, filters: Any = None) -> list[Hit]:
        """Search by words and by vector, which the module makes where *blend* brings none."""
        from weaviate.classes.query import MetadataQuery

        row = blend.query_vector
        with _translated(f"collection {name}"):
            answer = self._collection(name).query.hybrid(
                query,
                vector=None if row is None else np.asarray(row, dtype=np.float32).tolist(),
                target_vector=vector,
                limit=limit,
                alpha=blend.alpha,
                filters=filters,
                return_metadata=MetadataQuery(score=True),
            )
        return _hits(answer.objects)

    def equals(self, conditions: Mapping[str, Any]) -> Any:
        """A `Filter` of weaviate-client: objects whose properties have just these values; None without conditions."""
        from weaviate.classes.query import Filter

        parts = [Filter.by_property(name).equal(value) for name, value in conditions.items()]
        return Filter.all_of(parts) if parts else None

    def count(self, name: str) -> int:
        """How many objects a collection has."""
        with _translated(f"collection {name}"):
            return len(self._collection(name))

    def tenants(self, name: str) -> dict[str, bool]:
        """Tenant to whether its objects can be read now; empty for a collection without tenants."""
        schema = self.schema(name) or {}
        if not (schema.get("multiTenancyConfig") or {}).get("enabled"):
            return {}
        with _translated(f"collection {name}"):
            found = self._client.collections.use(collection_name(name)).tenants.get()
            return {tenant: each.activity_status.value in _READABLE for tenant, each in found.items()}

    def shards(self, name: str) -> list[Shard]:
        """The shards of a collection; Weaviate counts their objects now and then, not at every write."""
        with _translated(f"collection {name}"):
            nodes = self._client.cluster.nodes(collection=collection_name(name), output="verbose")
            return [
                Shard(
                    shard.name,
                    node.name,
                    shard.object_count,
                    str(shard.vector_indexing_status),
                    int(shard.vector_queue_length or 0),
                )
                for node in nodes
                for shard in node.shards or ()
            ]

    def ids(self, name: str) -> Iterator[UUID]:
        """The ids of all objects, in order; without texts and vectors."""
        with _translated(f"collection {name}"):
            for entry in self._collection(name).iterator(return_properties=[], cache_size=_IDS):
                yield UUID(str(entry.uuid))

    def read(self, name: str, vector: str, ids: Sequence[UUID], properties: Sequence[str]) -> list[ReadObject]:
        """Some objects with a named vector; those that are gone are left out, the order is any."""
        with _translated(f"collection {name}"):
            found = self._collection(name).query.fetch_objects_by_ids(
                ids, limit=len(ids), include_vector=[vector], return_properties=list(properties)
            )
        return [
            ReadObject(UUID(str(entry.uuid)), dict(entry.properties), _rows(entry.vector.get(vector)))
            for entry in found.objects
        ]

    def vectors(self, name: str, vector: str) -> Iterator[tuple[UUID, Float32 | None]]:
        """(object id, its vector) of every object; None where the object has no such vector."""
        with _translated(f"collection {name}"):
            for entry in self._collection(name).iterator(include_vector=True):
                value = entry.vector.get(vector)
                yield UUID(str(entry.uuid)), None if value is None else np.asarray(value, dtype=np.float32)

    def _collection(self, name: str) -> Collection[Any, Any]:
        found = self._client.collections.use(collection_name(name))
        return found.with_tenant(self.tenant) if self.tenant else found


def _weaviate() -> Any:
    require_extra("weaviate", feature="Weaviate", modules=("weaviate", "grpc"))
    import weaviate

    logging.getLogger("weaviate-client").addFilter(_without_objects)  # the same again is not added twice
    return weaviate


def _index(index: Index) -> Any:
    """The same as `Index.config`, in the client's own classes."""
    from weaviate.classes.config import Configure, VectorDistances

    make, cosine = Configure.VectorIndex, VectorDistances.COSINE

    def quantizer(name: str) -> Any:
        return getattr(make.Quantizer, name)() if name else None

    name = index.quantizer
    match index.kind:
        case "hnsw":
            return make.hnsw(distance_metric=cosine, quantizer=quantizer(name))
        case "flat":
            return make.flat(distance_metric=cosine, quantizer=quantizer(name))
    return make.dynamic(
        distance_metric=cosine,
        hnsw=make.hnsw(distance_metric=cosine, quantizer=quantizer(name)),
        flat=make.flat(distance_metric=cosine, quantizer=quantizer("" if name == "sq" else name)),
    )


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Weaviate's exceptions as ours; the message keeps Weaviate's own words."""
    from weaviate import exceptions as theirs

    try:
        yield
    except theirs.WeaviateGRPCUnavailableError as error:
        told = " ".join(error.message.split())
        reason = f"its gRPC port does not answer; set --grpc-port or WEAVIATE_GRPC_PORT. Weaviate's client says: {told}"
        raise WeaviateUnavailable(address=where, reason=reason) from error
    except (
        theirs.WeaviateConnectionError,
        theirs.WeaviateStartUpError,
        theirs.WeaviateClosedClientError,
        theirs.WeaviateTimeoutError,
    ) as error:
        raise WeaviateUnavailable(address=where, reason=" ".join(error.message.split())) from error
    except theirs.WeaviateBaseError as error:
        if "Meta endpoint! Unexpected status code: 404" in error.message:  # an encoder server has this port by default
            reason = "what answers there is no Weaviate; set --url or WEAVIATE_URL (`samespace serve` takes 8080 too)"
            raise WeaviateUnavailable(address=where, reason=reason) from error
        raise WeaviateError(f"{where}: Weaviate refused: {' '.join(error.message.split())}") from error


def _without_objects(record: logging.LogRecord) -> bool:
    """Keep weaviate-client from logging whole objects, texts and vectors, when it also returns the errors."""
    return not (isinstance(record.msg, dict) and "errors" in record.msg)


def _free_ports(count: int) -> list[int]:
    """Ports that are free at the moment; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in sockets]


def _rows(value: Any) -> Float32 | None:
    """A vector as one row, a multi-vector as its rows; None for no vector."""
    if value is None:
        return None
    rows = np.asarray(value, dtype=np.float32)
    return rows[None, :] if rows.ndim == 1 else rows


def _hits(objects: Sequence[Any]) -> list[Hit]:
    return [
        Hit(
            uuid=UUID(str(entry.uuid)),
            properties=dict(entry.properties),
            distance=entry.metadata.distance,
            score=entry.metadata.score,
        )
        for entry in objects
    ]
