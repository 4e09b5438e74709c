"""The rows of a part, chunk by chunk, as far as they are needed: ids, texts, and the columns that are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from ..errors import DataInvalid
from ..text import lone_surrogate
from .files import place_of
from .parquet_rows import read_tables
from .plan import CHUNK_ROWS, BulkPart, Columns
from .text_rows import read_records

ID_COLUMNS: Final = ("_id", "id")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What `CHUNK_ROWS` rows of the input hold.

    Attributes:
        numbers: of each row within its part.
        ids, texts: one each.
        kept: column -> values; a `pyarrow.Array` where the input is Parquet, else strings or None.
        skipped: rows without a text that were left out.
        read: rows of the input that this stands for.
    """

    numbers: list[int]
    ids: list[str]
    texts: list[str]
    kept: dict[str, Any]
    skipped: int
    read: int

    def digest_into(self, digest: Any) -> None:
        """Everything that was read of these rows."""
        kept = {name: values if isinstance(values, list) else values.to_pylist() for name, values in self.kept.items()}
        plain = [self.ids, self.texts, kept, self.skipped]
        digest.update(json.dumps(plain, default=repr).encode("ascii"))


def read_chunks(part: BulkPart, columns: Columns, *, skip_empty: bool) -> Iterator[Chunk]:
    """The rows of *part* in order; every chunk but the last stands for `CHUNK_ROWS` rows of the input.

    Raises:
        DataInvalid: the file is not what it was when it was cut, a column is missing, or a row has no id or text;
            with file and row.
    """
    chunks = _of_parquet if part.source.kind == "parquet" else _of_text
    seen = 0
    for chunk in chunks(part, columns, skip_empty):
        seen += chunk.read
        yield chunk
    if seen != part.rows:
        raise DataInvalid(
            path=part.source.uri,
            reason=f"row {part.first_row + 1} and following: {part.rows} rows were counted and {seen} read; was the "
            "file changed meanwhile, or are quotes not closed?",
        )


def rows_digest(part: BulkPart, columns: Columns, *, skip_empty: bool) -> str:
    """sha256 of all that is read of a part's rows, as hex."""
    digest = hashlib.sha256()
    for chunk in read_chunks(part, columns, skip_empty=skip_empty):
        chunk.digest_into(digest)
    return digest.hexdigest()


def _of_text(part: BulkPart, columns: Columns, skip_empty: bool) -> Iterator[Chunk]:
    if part.source.header:
        columns = _resolved(part, columns, part.source.header)
    source, seen = iter(read_records(part, place_of(part.source.uri))), 0
    while taken := list(islice(source, CHUNK_ROWS)):
        rows = {seen + at: row for at, row in enumerate(taken) if row is not None}
        picked = _picked(part, columns, rows, skip_empty)
        kept = {name: [_as_string(part.where(n), name, rows[n].get(name)) for n in picked] for name in columns.keep}
        yield _chunk(part, columns, rows, picked, kept, len(taken))
        seen += len(taken)


def _of_parquet(part: BulkPart, columns: Columns, skip_empty: bool) -> Iterator[Chunk]:
    import pyarrow

    def wanted(have: Sequence[str]) -> list[str]:
        nonlocal columns
        columns = _resolved(part, columns, have)
        return [*columns.text, *([columns.id] if columns.id else []), *columns.keep]

    seen = 0
    for table in read_tables(part, place_of(part.source.uri), wanted):
        plain = table.select([name for name in table.column_names if name not in columns.keep or name in columns.text])
        rows = {seen + at: row for at, row in enumerate(plain.to_pylist())}
        picked = _picked(part, columns, rows, skip_empty)
        places = pyarrow.array([number - seen for number in picked], pyarrow.int64())
        kept = {name: table.column(name).combine_chunks().take(places) for name in columns.keep}
        yield _chunk(part, columns, rows, picked, kept, table.num_rows)
        seen += table.num_rows


def _resolved(part: BulkPart, columns: Columns, have: Sequence[str]) -> Columns:
    """*columns* with the id's name filled in, for formats whose rows all have the same columns.

    Raises:
        DataInvalid: one is not there.
    """
    shown = ", ".join(map(repr, have)) or "none"
    asked = (*columns.text, *((columns.id,) if columns.id else ()), *columns.keep)
    if missing := [name for name in asked if name not in have]:
        raise DataInvalid(path=part.source.uri, reason=f"has no column {missing[0]!r}; its columns are {shown}")
    if columns.id or columns.number_rows:
        return columns
    found = next((name for name in ID_COLUMNS if name in have), None)
    if found is None:
        raise DataInvalid(
            path=part.source.uri,
            reason=f"has no column _id or id; its columns are {shown}. --id-column names one, --number-rows takes none",
        )
    return Columns(columns.text, found, False, columns.keep)


def _picked(part: BulkPart, columns: Columns, rows: Mapping[int, Row], skip_empty: bool) -> dict[int, str]:
    """Number -> text of the rows that have one."""
    picked = {}
    for number, row in rows.items():
        text = _text(part, number, columns, row)
        if text:
            picked[number] = text
        elif not skip_empty:
            names = " or ".join(columns.text)
            raise DataInvalid(path=part.where(number), reason=f"has no {names}; --skip-empty leaves such rows out")
    return picked


def _chunk(
    part: BulkPart,
    columns: Columns,
    rows: Mapping[int, Row],
    picked: Mapping[int, str],
    kept: dict[str, Any],
    read: int,
) -> Chunk:
    ids = [_id(part, number, columns, rows[number]) for number in picked]
    return Chunk(list(picked), ids, list(picked.values()), kept, len(rows) - len(picked), read)


def _text(part: BulkPart, number: int, columns: Columns, row: Row) -> str:
    pieces = []
    for name in columns.text:
        value = row.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise DataInvalid(path=part.where(number), reason=f"{name!r} is {type(value).__name__}; expected text")
        if (place := lone_surrogate(value)) is not None:
            raise DataInvalid(path=part.where(number), reason=f"{name!r}: character {place} is a lone surrogate")
        pieces.append(value)
    if not any(piece.strip() for piece in pieces):
        return ""
    # One text is encoded as it stands; several are joined as BEIR joins title and text.
    return pieces[0] if len(columns.text) == 1 else " ".join(piece for piece in pieces if piece).strip()


def _id(part: BulkPart, number: int, columns: Columns, row: Row) -> str:
    if columns.number_rows:
        return f"{part.source.name}#{part.first_row + number}"
    names: Iterable[str] = (columns.id,) if columns.id else ID_COLUMNS
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataInvalid(
            path=part.where(number),
            reason=f"its {' or '.join(names)} is {value!r}; expected a string or a whole number. --id-column names "
            "another column, --number-rows takes none",
        )
    if isinstance(value, str) and lone_surrogate(value) is not None:
        raise DataInvalid(path=part.where(number), reason="its id has a lone surrogate")
    return str(value)


def _as_string(where: str, name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and lone_surrogate(value) is None):
        return value
    if isinstance(value, str):
        raise DataInvalid(path=where, reason=f"{name!r} has a lone surrogate")
    return json.dumps(value)
