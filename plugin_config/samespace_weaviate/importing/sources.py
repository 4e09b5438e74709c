"""Passages out of files: JSONL, CSV, Parquet, or a folder in the BEIR layout.

Each record has an id, a text and perhaps a title; every other field is a property. The text that is encoded is title,
blank, text, as BEIR has it. Records are read one after the other, so files may be larger than memory.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from samespace.errors import DataInvalid
from samespace.evaluation.arrow_rows import require_once, require_plausible
from samespace.evaluation.excerpts import clipped
from samespace.evaluation.json_rows import KeyTwiceError, parsed_json
from samespace.extras import require_extra

from ..access.values import Passage

FORMATS: Final = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Fields:
    """Which field of a record is what; "" for the usual names.

    Attributes:
        id: usually "_id" or "id".
        text: usually "text".
        title: put before the text, and kept as a property; usually "title". A field that a record lacks is no title.
    """

    id: str = ""
    text: str = ""
    title: str = ""


USUAL: Final = Fields()


def passage_files(paths: Sequence[Path | str]) -> list[Path]:
    """The files that *paths* mean: themselves, or the corpus of a BEIR folder.

    Raises:
        DataInvalid: there is no such file, or it is of a kind that is not read.
    """
    files = []
    for path in map(Path, paths):
        file = path / "corpus.jsonl" if path.is_dir() else path
        if not file.is_file():
            raise DataInvalid(path=str(file), reason="no such file; expected a file of passages or a BEIR folder")
        if file.suffix.lower() not in FORMATS:
            raise DataInvalid(path=str(file), reason=f"expected one of {', '.join(FORMATS)}")
        files.append(file)
    return files


def count_passages(*paths: Path | str) -> int:
    """How many records the files have, for a progress bar."""
    total = 0
    for file in passage_files(paths):
        with _readable(file):
            total += _count(file)
    return total


def read_passages(*paths: Path | str, fields: Fields = USUAL) -> Iterator[Passage]:
    """The passages of all files, one after the other.

    Raises:
        DataInvalid: a record is not what it has to be; file and line, or record, are named.
        ExtraMissing: a Parquet file, without pyarrow.
    """
    for file in passage_files(paths):
        with _readable(file):
            for where, record in _records(file):
                yield _passage(record, fields, where)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """What a file's name promised and its bytes do not hold, as an error that names the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataInvalid(path=str(file), reason="is not UTF-8; convert it, for instance with iconv") from error
    except csv.Error as error:
        raise DataInvalid(path=str(file), reason=f"is not a table: {error}") from error


@contextmanager
def _parquet(file: Path) -> Iterator[Any]:
    """The file as a pyarrow.parquet.ParquetFile."""
    require_extra("arrow", feature="reading Parquet", modules=("pyarrow",))
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(file) as table:
            require_plausible(table.metadata, file.stat().st_size, file)
            yield table
    except (pa.ArrowInvalid, OSError) as error:  # OSError is what damaged pages are
        raise DataInvalid(path=str(file), reason=f"cannot be read as Parquet: {error}") from error


def _records(file: Path) -> Iterator[tuple[str, Any]]:
    match file.suffix.lower():
        case ".csv" | ".tsv" as suffix:
            csv.field_size_limit(sys.maxsize)
            with file.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines, delimiter="," if suffix == ".csv" else "\t")
                names = reader.fieldnames or []
                require_once(names, names, file)
                for record in reader:
                    where = f"{file}, line {reader.line_num}"
                    if None in record:  # what DictReader makes of cells beyond the header
                        columns, cells = len(record) - 1, len(record) - 1 + len(record[None])
                        raise DataInvalid(
                            path=where,
                            reason=f"has {cells} cells, the header has {columns}; put texts that hold the delimiter in "
                            "quotation marks",
                        )
                    yield where, {key: value for key, value in record.items() if key}
        case ".parquet":
            number = 0
            with _parquet(file) as table:
                names = table.schema_arrow.names
                require_once(names, names, file)
                for batch in table.iter_batches(batch_size=1024):
                    for record in batch.to_pylist():
                        number += 1
                        yield f"{file}, row {number}", record
        case _:
            with file.open(encoding="utf-8-sig") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        where = f"{file}, line {number}"
                        yield where, _parsed(line, where)


def _count(file: Path) -> int:
    match file.suffix.lower():
        case ".csv" | ".tsv":
            return sum(1 for _ in _records(file))  # a record may have several lines
        case ".parquet":
            with _parquet(file) as table:
                return int(table.metadata.num_rows)
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _parsed(line: str, where: str) -> Any:
    try:
        return parsed_json(line)
    except KeyTwiceError as error:
        raise DataInvalid(path=where, reason=str(error)) from error
    except json.JSONDecodeError as error:
        raise DataInvalid(path=where, reason=f"is not JSON: {error.msg}, column {error.colno}") from error


def _passage(record: Any, fields: Fields, where: str) -> Passage:
    if not isinstance(record, Mapping):
        raise DataInvalid(path=where, reason='expected an object with "_id" and "text"')
    id_field = fields.id or ("_id" if record.get("_id") not in (None, "") else "id")
    text_field, title_field = fields.text or "text", fields.title or "title"
    name, text, title = record.get(id_field), record.get(text_field), record.get(title_field) or ""
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "" or not isinstance(text, str):
        have = ", ".join(f'"{key}" ({type(value).__name__})' for key, value in record.items()) or "nothing"
        wanted = f'"{fields.id}"' if fields.id else '"_id" (or "id")'
        raise DataInvalid(
            path=where,
            reason=f'expected a string {wanted} and a string "{text_field}", found {have}; name others with '
            "--id-field and --text-field",
        )
    if not isinstance(title, str):
        raise DataInvalid(path=where, reason=f'expected "{title_field}" to be a string')
    other = None if fields.id else record.get("id")
    if other not in (None, "") and str(other) != str(name):
        raise DataInvalid(
            path=where, reason=f'has "_id" {clipped(name)} and "id" {clipped(other)}; say which with --id-field'
        )
    known = {id_field, text_field, *(() if fields.id else ("_id", "id"))}
    rest = {key: value for key, value in record.items() if key not in known and value not in (None, "", [], {})}
    return Passage(str(name), f"{title} {text}".strip(), rest)
