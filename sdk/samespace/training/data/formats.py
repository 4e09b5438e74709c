"""Rows of training data out of JSONL, CSV, TSV, Parquet and folders of Hugging Face datasets.

A row has a query and a passage under one of these names, and may have negatives, a label and a weight:

query       query, question, anchor, text_a, sentence1, sentence_A, premise
passage     passage, positive, answer, document, text_b, sentence2, sentence_B, hypothesis; "positive" may be a list
negatives   negative, negatives, negative_1 ... negative_N; text or list of texts
label       label, score, similarity: a number from 0 to 1 (or true, false); makes it a labelled pair
weight      weight: a number above 0, 1 where there is none

Other columns are ignored. A row that does not fit is an error with file, line and what was found there.

What it leaves to others: which split a file belongs to, BEIR folders (`data`).
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import DataInvalid
from ...extras import require_extra
from ...text import lone_surrogate

SUFFIXES: Final = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
QUERY: Final = ("query", "question", "anchor", "text_a", "sentence1", "sentence_A", "premise")
PASSAGE: Final = ("passage", "positive", "answer", "document", "text_b", "sentence2", "sentence_B", "hypothesis")
LABEL: Final = ("label", "score", "similarity")
WEIGHT: Final = ("weight",)
_NEGATIVE: Final = re.compile(r"negatives?(_\d+)?")
_MOST_FIELD_CHARS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row, checked; texts are stripped and may be empty.

    Attributes:
        line: from 1; of a table without lines, the row.
        label: None where the file has no column of labels.
    """

    line: int
    query: str
    passages: tuple[str, ...]
    negatives: tuple[str, ...]
    label: float | None
    weight: float


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of one file.

    Raises:
        DataInvalid: the file cannot be read, columns are missing or there are two for one thing, or a value is of
            another type or outside its range.
    """
    plain = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet}.get(path.suffix, _jsonl)
    return check_rows(str(path), plain(path))


def check_rows(path: str, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Row]:
    """*rows* of (number, plain mapping) as `Row`s; *path* is for messages."""
    labelled: int | None = None  # the first row with a label; 0 once a row had none
    for number, plain in rows:
        row = _row(number, f"{path}, line {number}", plain)
        if labelled is None:
            labelled = number if row.label is not None else 0
        if (labelled > 0) != (row.label is not None):
            has, lacks = ("no label", f"line {labelled} has one") if labelled else ("a label", "the first row has none")
            raise DataInvalid(
                path=f"{path}, line {number}", reason=f"has {has}, {lacks}; keep pairs and labelled pairs in two files"
            )
        yield row
    if labelled is None:
        raise DataInvalid(path=path, reason="has no rows")


def _row(line: int, where: str, plain: Mapping[str, Any]) -> Row:
    query = _column(where, plain, "query", QUERY)
    passage = _column(where, plain, "passage", PASSAGE)
    label = _column(where, plain, "label", LABEL, required=False)
    weight = _column(where, plain, "weight", WEIGHT, required=False)
    assert query is not None and passage is not None
    negatives = tuple(
        text
        for column in plain
        if _NEGATIVE.fullmatch(column) and plain[column] not in (None, "")
        for text in _texts(where, column, plain[column])
    )
    grade = None if label is None else _number(where, label, plain[label])
    if grade is not None and not 0 <= grade <= 1:
        raise DataInvalid(
            path=where, reason=f"{label!r} is {grade:g}; expected 0 to 1: divide graded labels by the highest grade"
        )
    if grade is not None and negatives:
        raise DataInvalid(
            path=where, reason=f"has both {label!r} and negatives; a negative of a labelled pair is a row with label 0"
        )
    factor = 1.0 if weight is None else _number(where, weight, plain[weight])
    if not factor > 0:
        raise DataInvalid(path=where, reason=f"{weight!r} is {factor:g}; expected a number above 0")
    passages = _texts(where, passage, plain[passage])
    if not passages:
        raise DataInvalid(path=where, reason=f"{passage!r} is an empty list; expected a text")
    return Row(line, _text(where, query, plain[query]), passages, negatives, grade, factor)


def _column(
    where: str, plain: Mapping[str, Any], what: str, names: Sequence[str], *, required: bool = True
) -> str | None:
    found = [name for name in names if plain.get(name) is not None]
    if len(found) > 1:
        raise DataInvalid(path=where, reason=f"has two columns for the {what}: {found[0]!r} and {found[1]!r}; keep one")
    if found:
        return found[0]
    if not required:
        return None
    nothing = [name for name in names if name in plain]
    if nothing:
        raise DataInvalid(path=where, reason=f"{nothing[0]!r} has no value; expected a text")
    have = ", ".join(repr(name) for name in plain) or "none"
    raise DataInvalid(path=where, reason=f"has no {what}: expected one of the columns {', '.join(names)}; found {have}")


def _text(where: str, column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataInvalid(path=where, reason=f"{column!r} is {_shown(value)}; expected a text")
    if (place := lone_surrogate(value)) is not None:
        raise DataInvalid(path=where, reason=f"{column!r}: character {place} is a lone surrogate, not text")
    return value.strip()


def _texts(where: str, column: str, value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value]
    return tuple(_text(where, column, each) for each in many)


def _number(where: str, column: str, value: Any) -> float:
    if isinstance(value, bool | int | float):
        with suppress(OverflowError):  # a whole number beyond what a float can hold
            if math.isfinite(value):
                return float(value)
    raise DataInvalid(path=where, reason=f"{column!r} is {_shown(value)}; expected a number")


def _shown(value: Any) -> str:
    plain = repr(value)
    return f"{plain if len(plain) <= 60 else plain[:59] + '…'} ({type(value).__name__})"


def _jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataInvalid(path=f"{path}, line {number}", reason=f"is not JSON: {error.msg}") from error
        if not isinstance(value, dict):
            raise DataInvalid(path=f"{path}, line {number}", reason=f"is {_shown(value)}; expected an object")
        yield number, value


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of a table with a header; numbers are read out of the text, and an empty cell is no value."""
    before = csv.field_size_limit(_MOST_FIELD_CHARS)  # the module's own limit is below a long document
    try:
        reader = csv.reader(_lines(path), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        header: list[str] = []
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not cells:
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                if twice := [name for name in header if header.count(name) > 1]:
                    raise DataInvalid(path=where, reason=f"column {twice[0]!r} appears twice")
                continue
            if len(cells) != len(header):
                raise DataInvalid(path=where, reason=f"{len(cells)} cells; the header has {len(header)}")
            yield reader.line_num, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise DataInvalid(path=f"{path}, line {reader.line_num}", reason=f"is not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _cell(name: str, cell: str) -> Any:
    if name not in LABEL + WEIGHT:
        return cell
    if not cell.strip():
        return None
    try:
        return float(cell)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(cell.strip().lower(), cell)


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    require_extra("arrow", feature="reading Parquet", modules=("pyarrow",))
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for plain in batch.to_pylist():
                number += 1
                yield number, plain
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as Parquet: {error}") from error


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except FileNotFoundError as error:
        raise DataInvalid(path=str(path), reason="no such file") from error
    except UnicodeDecodeError as error:
        raise DataInvalid(path=str(path), reason=f"is not UTF-8 text: {error}") from error
    except OSError as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read: {error.strerror}") from error


def saved_datasets(folder: Path) -> Mapping[str, Iterator[Row]]:
    """Split -> rows of a folder that Hugging Face's `save_to_disk` wrote; a lone dataset is the split "train".

    Raises:
        DataInvalid: the folder cannot be read as one.
    """
    require_extra("train", feature="reading folders of datasets", modules=("datasets",))
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(path=str(folder), reason=f"cannot be read as a saved dataset: {error}") from error
    parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    return {
        str(split): check_rows(f"{folder}, split {split}", enumerate(part, start=1)) for split, part in parts.items()
    }


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of Hugging Face datasets wrote *folder*."""
    return (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file()
