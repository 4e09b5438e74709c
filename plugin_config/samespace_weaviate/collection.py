"""What programs use: a collection that is known to be pinned to one space.

with Store.connect(Address.parse("http://localhost:8080")) as store:
    create(store, CollectionSpec("Article", encoder.space_id, server="http://encoder:8080"))
    articles = PinnedCollection.open(store, "Article", encoder)
    articles.import_passages([Passage("1", "...")])
    articles.search("how do I flatten a list")

The pin is read when the collection is opened and again before an import; where it does not hold, nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import PinBroken, RequestInvalid
from samespace.vectors import Vectors

from .importer import BATCH, ImportReport, Target, import_passages
from .objects import Database, Hit, Passage
from .pin import Pin, require_pin
from .plan import AddProperty, AddVector, CreateCollection, Plan, plan
from .spec import CollectionSpec, collection_name

ID_PROPERTY: Final = "passageId"


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
                database.add_vector(action.collection, action.vector, action.settings)


class PinnedCollection:
    """A collection whose pin held when it was opened; see `open`."""

    def __init__(
        self, database: Database, name: str, space_id: str, *, encoder: Encoder | None, id_property: str = ID_PROPERTY
    ) -> None:
        self.database = database
        self.name = collection_name(name)
        self.space_id = space_id
        self.encoder = encoder
        self.id_property = id_property
        self.pin, self._properties = self._read()

    @staticmethod
    def open(
        database: Database, name: str, encoder: Encoder | str, *, id_property: str = ID_PROPERTY
    ) -> PinnedCollection:
        """Open the collection *name* for *encoder*, or for a full space id where only searching is wanted.

        Raises:
            PinBroken: no such collection, or its pin does not hold.
            SpaceMismatch: it is pinned to another space.
        """
        if isinstance(encoder, str):
            return PinnedCollection(database, name, encoder, encoder=None, id_property=id_property)
        return PinnedCollection(database, name, encoder.space_id, encoder=encoder, id_property=id_property)

    @property
    def text_property(self) -> str:
        """The source property."""
        return str(self.pin.settings["properties"][0])

    def verify(self) -> Pin:
        """Read the pin again.

        Raises:
            PinBroken, SpaceMismatch: it does not hold any more.
        """
        self.pin, self._properties = self._read()
        return self.pin

    def import_passages(
        self, passages: Iterable[Passage], *, batch: int = BATCH, progress: Callable[[int], None] | None = None
    ) -> ImportReport:
        """Encode passages and write them with their vectors; the same passages again change nothing.

        Raises:
            PinBroken, SpaceMismatch: the pin does not hold; nothing was sent.
            DataInvalid: an id is there twice, or a text is empty.
        """
        if self.encoder is None:
            raise RequestInvalid(
                field="encoder", reason=f"collection {self.name} was opened without one: cannot import"
            )
        self.verify()
        target = Target(
            collection=self.name,
            vector=self.pin.vector,
            space_id=self.space_id,
            text_property=self.text_property,
            id_property=self.id_property,
            properties=self._properties,
        )
        return import_passages(self.database, target, self.encoder, passages, batch=batch, progress=progress)

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """The nearest objects to a text that Weaviate's module has encoded, by the pinned encoder."""
        return self.database.near_text(self.name, self.pin.vector, query, limit)

    def search_hybrid(self, query: str, limit: int = 10, *, alpha: float = 0.7) -> list[Hit]:
        """The best objects by words and vectors; alpha 0 is words alone, 1 vectors alone."""
        return self.database.hybrid(self.name, self.pin.vector, query, limit, alpha)

    def search_words(self, query: str, limit: int = 10) -> list[Hit]:
        """The best objects by words alone (BM25)."""
        return self.database.bm25(self.name, query, limit)

    def search_vectors(self, queries: Vectors, limit: int = 10) -> list[list[Hit]]:
        """The nearest objects to each of some vectors that the caller has encoded.

        Raises:
            SpaceMismatch: they are of another space; nothing was sent.
        """
        queries.require(self.space_id, where=f"query of collection {self.name}")
        return [
            self.database.near_vector(self.name, self.pin.vector, row, limit) for row in np.asarray(queries.__array__())
        ]

    def __len__(self) -> int:
        return self.database.count(self.name)

    def _read(self) -> tuple[Pin, frozenset[str]]:
        schema = self.database.schema(self.name)
        if schema is None:
            raise PinBroken(
                collection=self.name,
                expected=f"a collection pinned to space {self.space_id}",
                found="no such collection",
                remedy="make it with `samespace weaviate create`",
            )
        names = frozenset(str(entry["name"]) for entry in schema.get("properties") or ())
        return require_pin(schema, self.space_id), names
