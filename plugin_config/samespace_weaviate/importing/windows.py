"""From a document and its vectors to the objects that are stored, in each `LongTextForm`. Pure.

windows      one object a slice: its text is the slice, its vector what the slice has by itself, so that whoever encodes
             the stored text again (Weaviate's module, an audit) gets the same vector; documentId, windowNumber,
             spanStart and spanEnd say where it is from
multivector  one object with one vector a window
pool         one object with one vector

A document's first object has the same id in every form. The id of each further window is derived from it, so that
importing again replaces, and never doubles, what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from samespace.encoder import Encoded
from samespace.text import LongTexts
from samespace.vectors import Float32

from ..access.values import Passage, StoredObject, object_uuid
from ..pinning.spec import DOCUMENT_PROPERTY, SPAN_PROPERTIES, WINDOW_PROPERTY, LongTextForm

ASKED_FOR: Final[Mapping[LongTextForm, LongTexts]] = {"windows": "slices", "multivector": "windows", "pool": "pool"}
"""What the encoder is asked to do with long texts."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where passages go: a collection whose pin was checked.

    Attributes:
        collection, vector, space_id: of the pin.
        text_property, id_property: where text and id are stored.
        properties: what else the collection stores, with the data type; other properties of a passage are left out.
        long_texts: the form of the collection.
        multi_tenant: whether each object belongs to a tenant.
        tenant: of all objects; "" where there are none, or a property of each passage names it.
    """

    collection: str
    vector: str
    space_id: str
    text_property: str
    id_property: str
    properties: Mapping[str, str]
    long_texts: LongTextForm = "pool"
    multi_tenant: bool = False
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A piece of a document with its vector: shape (dim,), or (windows, dim) where all are in one object."""

    text: str
    vector: Float32
    start: int
    end: int


def window_uuid(collection: str, passage: str, number: int) -> UUID:
    """The id of a window's object; window 0 has the id that the passage would have in one piece."""
    first = object_uuid(collection, passage)
    return first if number == 0 else uuid5(first, str(number))


def parts_of(passages: Sequence[Passage], encoded: Encoded, form: LongTextForm) -> Iterator[list[DocumentPart]]:
    """The parts of each passage, in order."""
    rows = encoded.vectors.__array__()
    if form == "pool":
        for row, passage in enumerate(passages):
            yield [DocumentPart(passage.text, rows[row], 0, len(passage.text))]
        return
    row = 0
    for passage, count in zip(passages, encoded.windows, strict=True):
        spans = encoded.spans[row : row + count]
        if form == "multivector":
            yield [DocumentPart(passage.text, rows[row : row + count], 0, len(passage.text))]
        else:
            yield [
                DocumentPart(passage.text[start:end], rows[row + number], start, end)
                for number, (_, start, end) in enumerate(spans)
            ]
        row += count


def objects_of(
    target: Target, passage: Passage, parts: Sequence[DocumentPart], properties: Mapping[str, Any]
) -> list[StoredObject]:
    """What is stored of one passage; *properties* are those of the passage that the collection has."""
    objects = []
    for number, part in enumerate(parts):
        name = passage.id if len(parts) == 1 else f"{passage.id}#{number}"
        own: dict[str, Any] = {target.text_property: part.text, target.id_property: name}
        if target.long_texts == "windows":
            start, end = SPAN_PROPERTIES
            own |= {DOCUMENT_PROPERTY: passage.id, WINDOW_PROPERTY: number, start: part.start, end: part.end}
        uuid = window_uuid(target.collection, passage.id, number)
        objects.append(StoredObject(uuid, {**properties, **own}, part.vector))
    return objects


def typed(value: Any, data_type: str) -> Any:
    """*value* as Weaviate's *data_type* takes it; what is neither text nor a number is left as it is.

    Raises:
        ValueError: it is not one of these.
    """
    if data_type.endswith("[]"):
        return [typed(each, data_type[:-2]) for each in (value if isinstance(value, list | tuple) else [value])]
    match data_type:
        case "text" | "uuid":
            return value if isinstance(value, str) else _plain(value)
        case "int":
            number = _number(value)
            if number != int(number):
                raise ValueError(f"{number} is not a whole number")
            return int(value) if isinstance(value, int | str) and str(value).strip("+- ").isdecimal() else int(number)
        case "number":
            return _number(value)
        case "boolean":
            return _boolean(value)
        case "date":
            return _date(value)
    return value


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        raise ValueError("not a text")
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    return float(value)


def _boolean(value: Any) -> bool:
    known = {"true": True, "false": False, "1": True, "0": False}
    found = value if isinstance(value, bool) else known.get(str(value).strip().lower())
    if found is None:
        raise ValueError("neither true nor false")
    return found


def _date(value: Any) -> str:
    """RFC 3339, as Weaviate wants it; without an offset it is taken as UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
