"""What the stores of all libraries have in common: documents of a pinned collection by id, written and read whole.

What it leaves to others: the shapes of documents, nodes and filters (one module a library).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samespace.artifact.agreement import COUNT, nearness
from samespace.encoder import Encoder
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch

from ..access.database import Database, stream
from ..access.values import Hit, Passage, object_uuid
from ..collections.collection import PinnedCollection


@dataclass(frozen=True, slots=True)
class PinnedText:
    """A text as a library gets it: its own id, its properties without empty ones, its cosine to the query if any."""

    id: str
    text: str
    properties: Mapping[str, Any]
    cosine: float | None = None


class PinnedDocuments:
    """A pinned collection and its encoder. Not for tenants: give the collection of one (`collection.of_tenant`)."""

    def __init__(self, collection: PinnedCollection) -> None:
        """Raises `RequestInvalid` for a collection that was opened without an encoder."""
        if collection.encoder is None:
            raise RequestInvalid(
                field="collection", reason="was opened without an encoder; documents could not be added"
            )
        self.collection = collection
        self.encoder: Encoder = collection.encoder

    @classmethod
    def open(cls, database: Database, name: str, encoder: Encoder) -> PinnedDocuments:
        """The collection *name*, pinned to the space of *encoder*; raises `SpaceMismatch` or `PinBroken`."""
        return cls(PinnedCollection.open(database, name, encoder))

    def add(self, passages: Sequence[Passage]) -> None:
        """Encode and write; the same id again replaces the text; raises `DataInvalid` where some were not written."""
        report = self.collection.import_passages(passages)
        if report.failed or report.left_out:
            raise DataInvalid(path=f"collection {self.collection.name}", reason=" ".join(report.sentences()))

    def require_own(self, texts: Sequence[str], embeddings: Sequence[Sequence[float]]) -> None:
        """Hold a few vectors that came with texts against those of the pinned encoder; none of them is ever stored.

        Raises:
            SpaceMismatch: they are of another encoder, whatever their dims.
        """
        few = list(texts[:COUNT])
        if not few:
            return
        own = np.asarray(self.encoder.encode(few, "passage").__array__())
        lengths = {len(row) for row in embeddings[:COUNT]}
        given = np.asarray(embeddings[:COUNT], dtype=np.float32) if len(lengths) == 1 else own[:0]
        if not nearness(given, own, bound=2 * self.encoder.bound).holds:
            raise SpaceMismatch(
                expected=self.encoder.space_id,
                found="of another encoder, or of other texts",
                where=f"vectors given with texts for collection {self.collection.name}",
            )

    def search(self, query: str, limit: int, **options: Any) -> list[PinnedText]:
        """The nearest texts to *query*, which is encoded here as a query; *options* as of `PinnedCollection.search`."""
        return [self.text_of(hit) for hit in self.collection.search(query, limit, encoded_by="client", **options)]

    def delete(self, ids: Sequence[str]) -> None:
        """Delete by id, with all windows; those that are not there are passed over."""
        name, database = self.collection.name, self.collection.database
        if self.in_windows:
            database.delete_windows(name, list(ids), 0)
        else:
            database.delete(name, [object_uuid(name, each) for each in ids])

    def get(self, ids: Sequence[str]) -> list[PinnedText]:
        """By id, in that order; those that are not there are left out.

        Raises:
            RequestInvalid: the collection stores documents as windows, which have ids of their own.
        """
        self.require_whole("ids")
        found = []
        for each in ids:
            stored = self.collection.database.get(self.collection.name, object_uuid(self.collection.name, each))
            if stored is not None:
                found.append(self.text_of(Hit(stored.uuid, stored.properties)))
        return found

    def __iter__(self) -> Iterator[PinnedText]:
        for stored in stream(self.collection.database, self.collection.name):
            yield self.text_of(Hit(stored.uuid, stored.properties))

    @property
    def in_windows(self) -> bool:
        """Whether a long document is stored as several objects."""
        return self.collection.pin.long_texts == "windows"

    def require_whole(self, field: str) -> None:
        """Raise `RequestInvalid` for a collection whose documents are not single objects."""
        if self.in_windows:
            raise RequestInvalid(field=field, reason=f"{self.collection.name} stores documents as windows")

    def text_of(self, hit: Hit) -> PinnedText:
        """An object as a text; its own properties alone."""
        properties = {key: value for key, value in hit.properties.items() if value is not None}
        text = str(properties.pop(self.collection.text_property, ""))
        name = properties.pop(self.collection.id_property, None)
        cosine = None if hit.distance is None else self.collection.similarity(hit)
        return PinnedText(str(name or hit.uuid), text, properties, cosine)


def refuse_options(options: Mapping[str, Any]) -> None:
    """Raise `RequestInvalid` for options that are not understood: what is not understood is not dropped."""
    if options:
        raise RequestInvalid(field=", ".join(sorted(options)), reason="is not understood here")
