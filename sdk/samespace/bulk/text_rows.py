"""The records of a part of a JSONL, CSV or TSV file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import DataInvalid
from ..evaluation.json_rows import KeyTwiceError, parsed_json
from .files import Place
from .plan import BulkPart, Kind

_MOST_FIELD_CHARS: Final = 100_000_000
"""csv's own limit is below a long document. It is one for all threads, so it is set and left so."""


def read_records(part: BulkPart, place: Place) -> Iterator[Mapping[str, Any] | None]:
    """One mapping a record, None for a blank line.

    Raises:
        DataInvalid: a record is not what the format wants, with its row.
    """
    return _objects(part, place) if part.source.kind == "jsonl" else _cells(part, place)


def read_header(place: Place, kind: Kind) -> tuple[str, ...]:
    """The names in the first record of a CSV or TSV file.

    Raises:
        DataInvalid: there is none, or a name appears twice.
    """
    csv.field_size_limit(_MOST_FIELD_CHARS)
    try:
        with place.open() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines, delimiter=_delimiter(kind), strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataInvalid(path=place.uri, reason=f"is not CSV in UTF-8: {error}") from error
    names = tuple(cell.strip() for cell in header)
    if not names or len(set(names)) < len(names):
        shown = ", ".join(map(repr, names)) or "empty"
        raise DataInvalid(path=place.uri, reason=f"its first line is not a header with unique names: {shown}")
    return names


def _objects(part: BulkPart, place: Place) -> Iterator[Mapping[str, Any] | None]:
    with _open(part, place) as stream:
        for number, line in enumerate(stream):
            plain = line.removeprefix(b"\xef\xbb\xbf") if part.first_byte == number == 0 else line
            if not plain.strip():
                yield None
                continue
            try:
                value = parsed_json(plain)
            except KeyTwiceError as error:
                raise DataInvalid(path=part.where(number), reason=str(error)) from error
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
                raise DataInvalid(path=part.where(number), reason=f"is not JSON: {error}") from error
            if not isinstance(value, dict):
                raise DataInvalid(path=part.where(number), reason=f"is {type(value).__name__}; expected an object")
            yield value


def _cells(part: BulkPart, place: Place) -> Iterator[Mapping[str, Any] | None]:
    """An empty cell is no value."""
    csv.field_size_limit(_MOST_FIELD_CHARS)
    header, number = part.source.header, 0
    try:
        with _open(part, place) as stream, io.TextIOWrapper(stream, "utf-8", newline="") as lines:
            for cells in csv.reader(lines, delimiter=_delimiter(part.source.kind), strict=True):
                if cells and len(cells) != len(header):
                    reason = f"{len(cells)} cells; the header has {len(header)}"
                    raise DataInvalid(path=part.where(number), reason=reason)
                yield {name: cell or None for name, cell in zip(header, cells, strict=True)} if cells else None
                number += 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataInvalid(path=part.where(number), reason=f"is not CSV in UTF-8: {error}") from error


def _delimiter(kind: Kind) -> str:
    return "\t" if kind == "tsv" else ","


def _open(part: BulkPart, place: Place) -> io.BufferedReader:
    return io.BufferedReader(_Range(place.open(), part.first_byte, part.end_byte), 1 << 20)


class _Range(io.RawIOBase):
    """The bytes of a file from one place to another, as a stream."""

    def __init__(self, stream: Any, first: int, end: int) -> None:
        super().__init__()
        stream.seek(first)
        self._stream, self._left = stream, end - first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
