"""What programs use: a collection that is known to be pinned to one space.

with Store.connect(Address.parse("http://localhost:8080")) as store:
    create(store, CollectionSpec("Article", encoder.space_id, server="http://encoder:8080"))
    articles = PinnedCollection.open(store, "Article", encoder)
    articles.import_passages([Passage("1", "...")])
    articles.search("how do I flatten a list", filters=Filter.by_property("year").equal(2026), group_by="document")
    articles.of_tenant("acme").search("how do I flatten a list")

The pin is read when the collection is opened and again before an import; where it does not hold, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import PinBroken, RequestInvalid
from samespace.vectors import Float32, Vectors

from ..access.database import Database
from ..access.values import Blend, Hit, Passage
from ..audit.recipes import require_text_alone
from ..importing.importer import BATCH, ImportOptions, import_passages
from ..importing.report import ImportReport
from ..importing.windows import Target
from ..pinning.index import Index
from ..pinning.pin import Pin, require_pin
from ..pinning.plan import AddGuard, AddProperty, AddVector, CreateCollection, Plan, plan
from ..pinning.spec import GUARD_VECTOR, CollectionSpec, collection_name
from ..pinning.views import require_same_views
from .grouping import GroupBy, search_grouped

ID_PROPERTY: Final = "passageId"
EncodedBy = Literal["weaviate", "client"]


def create(database: Database, spec: CollectionSpec) -> Plan:
    """Make the collection that *spec* describes, or add what an existing one lacks; doing it twice changes nothing.

    To look at the plan before it is carried out, call `plan` and `carry_out`.

    Raises:
        PinBroken: the collection exists with other settings for this very vector.
        WeaviateError: Weaviate refused.
    """
    todo = plan(spec, database.schema(spec.name))
    carry_out(database, spec, todo)
    return todo


def carry_out(database: Database, spec: CollectionSpec, todo: Plan) -> None:
    """Do what *todo* says, in order.

    Raises:
        PinBroken: the plan has conflicts; nothing was done.
        WeaviateError: Weaviate refused.
    """
    if todo.conflicts:
        raise PinBroken(
            collection=spec.name,
            expected=f"vector {spec.vector_name} of space {spec.space_id} as planned",
            found="; ".join(str(conflict) for conflict in todo.conflicts),
            remedy="vectorizer settings cannot be changed: choose another collection, or delete this one",
        )
    for action in todo.actions:
        match action:
            case CreateCollection():
                database.create(action.schema)
            case AddProperty():
                database.add_property(action.collection, action.entry)
            case AddVector():
                database.add_vector(
                    action.collection, action.vector, action.settings, module=action.module, index=action.index
                )
            case AddGuard():
                database.add_vector(action.collection, GUARD_VECTOR, {}, module="none", index=Index("flat"))


class PinnedCollection:
    """A collection whose pin held when it was opened; see `open`."""

    def __init__(
        self,
        database: Database,
        name: str,
        space_id: str,
        *,
        encoder: Encoder | None,
        id_property: str = ID_PROPERTY,
        tenant: str = "",
    ) -> None:
        self.database = database
        self.tenant = tenant
        self.name = collection_name(name)
        self.space_id = space_id
        self.encoder = encoder
        self.id_property = id_property
        self.pin, self._properties, self._multi_tenant = self._read()

    @staticmethod
    def open(
        database: Database, name: str, encoder: Encoder | str, *, id_property: str = ID_PROPERTY
    ) -> PinnedCollection:
        """Open the collection *name* for *encoder*, or for a full space id where only searching is wanted.

        Raises:
            PinBroken: no such collection, or its pin does not hold, or a node sees another one.
            SpaceMismatch: it is pinned to another space.
        """
        if isinstance(encoder, str):
            return PinnedCollection(database, name, encoder, encoder=None, id_property=id_property)
        return PinnedCollection(database, name, encoder.space_id, encoder=encoder, id_property=id_property)

    @property
    def text_property(self) -> str:
        """The source property; the first of several."""
        return next(iter(self.pin.sources), "text")

    def verify(self) -> Pin:
        """Read the pin again.

        Raises:
            PinBroken, SpaceMismatch: it does not hold any more.
        """
        self.pin, self._properties, self._multi_tenant = self._read()
        return self.pin

    @property
    def target(self) -> Target:
        """Where passages go."""
        return Target(
            collection=self.name,
            vector=self.pin.vector,
            space_id=self.space_id,
            text_property=self.text_property,
            id_property=self.id_property,
            properties=self._properties,
            long_texts=self.pin.long_texts,
            multi_tenant=self._multi_tenant,
            tenant=self.tenant,
        )

    def import_passages(
        self,
        passages: Iterable[Passage],
        *,
        batch: int = BATCH,
        options: ImportOptions | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> ImportReport:
        """Encode passages and write them with their vectors; the same passages again change nothing.

        What becomes of long texts was decided when the collection was made (`spec.LongTextForm`). Passages that
        cannot be imported are in the report, each with its reason.

        Args:
            passages: any iterable; read once, from other threads.
            batch: passages of a batch, objects of a write. More is hardly faster and costs memory.
            options: tenants, and files that let an interrupted import go on.
            progress: gets each number of passages done.

        Raises:
            PinBroken, SpaceMismatch: the pin does not hold; nothing was sent.
            WeaviateUnavailable, ServerUnavailable, Overloaded: one side stayed away; run it again to go on.
        """
        if self.encoder is None:
            raise RequestInvalid(
                field="encoder", reason=f"collection {self.name} was opened without one: cannot import"
            )
        self.verify()
        require_text_alone(self.database.schema(self.name) or {}, self.pin, self.text_property)
        return import_passages(
            self.database, self.target, self.encoder, passages, batch=batch, options=options, progress=progress
        )

    def of_tenant(self, tenant: str) -> PinnedCollection:
        """The same collection, for one of its tenants.

        Raises:
            RequestInvalid: the collection has none.
        """
        if not self._multi_tenant:
            raise RequestInvalid(field="tenant", reason=f"{tenant!r}; collection {self.name} has no tenants")
        database = self.database.of_tenant(tenant)
        return PinnedCollection(
            database, self.name, self.space_id, encoder=self.encoder, id_property=self.id_property, tenant=tenant
        )

    def search(
        self,
        query: str,
        limit: int = 10,
        *,
        filters: Any = None,
        group_by: GroupBy = "passage",
        encoded_by: EncodedBy | None = None,
    ) -> list[Hit]:
        """The nearest objects to a text.

        Args:
            query: encoded by Weaviate's module, which asks the pinned encoder, or by the encoder of this collection.
            limit: how many answers.
            filters: a `Filter` of weaviate-client.
            group_by: "document" gives the best window of each document, see `grouping`.
            encoded_by: "weaviate" or "client"; unless given, Weaviate wherever the vector has a module.

        Raises:
            RequestInvalid: nobody can encode the query, or the tenant is not said.
            WeaviateError: Weaviate or the encoder behind it refused.
        """
        row = self._row(query, encoded_by)

        def ask(count: int) -> list[Hit]:
            if row is None:
                return self.database.near_text(self.name, self.pin.vector, query, count, filters)
            return self.database.near_vector(self.name, self.pin.vector, row, count, filters)

        return self._asked(ask, limit, group_by)

    def search_hybrid(
        self,
        query: str,
        limit: int = 10,
        *,
        alpha: float = 0.7,
        filters: Any = None,
        group_by: GroupBy = "passage",
        encoded_by: EncodedBy | None = None,
    ) -> list[Hit]:
        """The best objects by words and vectors; alpha 0 is words alone, 1 vectors alone. The rest as in `search`."""
        blend = Blend(alpha, self._row(query, encoded_by))

        def ask(count: int) -> list[Hit]:
            return self.database.hybrid(self.name, self.pin.vector, query, count, blend, filters)

        return self._asked(ask, limit, group_by)

    def search_words(
        self, query: str, limit: int = 10, *, filters: Any = None, group_by: GroupBy = "passage"
    ) -> list[Hit]:
        """The best objects by words alone (BM25)."""
        return self._asked(lambda count: self.database.bm25(self.name, query, count, filters), limit, group_by)

    def search_vectors(
        self, queries: Vectors, limit: int = 10, *, filters: Any = None, group_by: GroupBy = "passage"
    ) -> list[list[Hit]]:
        """The nearest objects to each of some vectors that the caller has encoded.

        Raises:
            SpaceMismatch: they are of another space; nothing was sent.
        """
        queries.require(self.space_id, where=f"query of collection {self.name}")
        found = []
        for row in map(self._shaped, np.asarray(queries.__array__())):

            def ask(count: int, row: Float32 = row) -> list[Hit]:
                return self.database.near_vector(self.name, self.pin.vector, row, count, filters)

            found.append(self._asked(ask, limit, group_by))
        return found

    def similarity(self, hit: Hit) -> float | None:
        """The cosine of a hit to the query; None for searches that have scores instead."""
        if hit.distance is None:
            return None
        # Of multi-vectors Weaviate gives the negative product with the best of the object's vectors.
        return -hit.distance if self.pin.long_texts == "multivector" else 1 - hit.distance

    def _asked(self, ask: Callable[[int], list[Hit]], limit: int, group_by: GroupBy) -> list[Hit]:
        self._require_tenant()
        if limit < 1:
            raise RequestInvalid(field="limit", reason=f"{limit}; expected 1 or more")
        if group_by not in ("passage", "document"):
            raise RequestInvalid(field="group_by", reason=f"{group_by!r}; expected passage or document")
        return search_grouped(ask, limit, group_by, self.id_property)

    def _row(self, query: str, encoded_by: EncodedBy | None) -> Float32 | None:
        """The query's vector where it is encoded here; None where Weaviate does it."""
        self._require_tenant()
        has_module = self.pin.module != "none"
        if encoded_by == "weaviate" and not has_module:
            raise RequestInvalid(
                field="encoded_by", reason=f"vector {self.pin.vector} has no vectorizer: Weaviate cannot encode queries"
            )
        if encoded_by == "weaviate" or (encoded_by is None and has_module):
            return None
        if self.encoder is None:
            raise RequestInvalid(
                field="encoder",
                reason=f"collection {self.name} was opened without one, and Weaviate is not to encode the query",
            )
        vectors = self.encoder.encode([query], "query")
        vectors.require(self.space_id, where=f"query of collection {self.name}")
        row: Float32 = np.asarray(vectors.__array__())[0]
        return self._shaped(row)

    def _require_tenant(self) -> None:
        if self._multi_tenant and not self.tenant:
            raise RequestInvalid(
                field="tenant",
                reason=f"collection {self.name} keeps its objects by tenant: say which (of_tenant, --tenant)",
            )

    def __len__(self) -> int:
        self._require_tenant()
        return self.database.count(self.name)

    def _shaped(self, row: Float32) -> Float32:
        """A query's vector as the index wants it: a multi-vector of one, where texts have a vector a window."""
        return row[None] if self.pin.long_texts == "multivector" else row

    def _read(self) -> tuple[Pin, dict[str, str], bool]:
        schema = self.database.schema(self.name)
        if schema is None:
            raise PinBroken(
                collection=self.name,
                expected=f"a collection pinned to space {self.space_id}",
                found="no such collection",
                remedy="make it with `samespace weaviate create`",
            )
        names = {str(entry["name"]): str(entry["dataType"][0]) for entry in schema.get("properties") or ()}
        multi_tenant = bool((schema.get("multiTenancyConfig") or {}).get("enabled"))
        pin = require_pin(schema, self.space_id)
        require_same_views(self.database, self.name)
        return pin, names, multi_tenant
