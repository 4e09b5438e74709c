"""Rows out of files as people publish them: JSON lines, JSON arrays, CSV, TSV and Parquet, also compressed.

What a file is compressed with is seen in its first bytes (gzip, bzip2, xz), whatever its name. What it holds is said by
its name without that: `train.jsonl.gz`. A row is a plain value with its number; what its columns mean is the caller's.

Several files may be shards of one. A number with a count (`-00000-of-00002`) is a shard's; bare digits are one only
where the numbers of a stem run from 0 or 1 on without a gap: `test-2019` and `test-2020` are two sets.

What it gives up: files that do not fit into memory, where they are JSON arrays or TSV.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from json import JSONDecodeError
from pathlib import Path
from typing import IO, Any, Final

from ..errors import DataInvalid
from .arrow_rows import METADATA, arrow_rows, is_saved_dataset, parquet_rows, saved_shards
from .excerpts import clipped
from .json_rows import KeyTwiceError, parsed_json

COMPRESSIONS: Final = (".gz", ".bz2", ".xz")
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_MAGIC: Final[tuple[tuple[bytes, Any], ...]] = (
    (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open),
)  # fmt: skip
_MOST_FIELD_CHARS: Final = 100_000_000
_NUMBER: Final = re.compile(r"[-_.](\d{3,})(-of-\d{3,}(?:-[0-9a-f]{8,})?)?$")
_ONE_OF: Final = re.compile(r"(.*[-_.])(\d+)-of-(\d+)(?:-[0-9a-f]{8,})?((?:\.[^.]+)*)")

ROW_NAMES: Final = frozenset({
    "_id", "text", "contents", "content", "body", "passage", "query", "question", "queries", "anchor", "premise",
    "text_a", "text1", "sentence1", "sentence_A", "sentence_1", "question1", "query_text", "query-id", "query_id",
    "qid",
})  # fmt: skip
"""One of them is in every row of texts, pairs or judgements; what wraps rows says other things ("version", "total")."""
_SAVE_AS: Final = "save it as UTF-8, for instance with iconv -t UTF-8"
Numbered = Iterator[tuple[int, Any]]


def suffix_of(path: Path) -> str:
    """The suffix that says what a file holds, in lower case: that of `train.jsonl.gz` is ".jsonl"."""
    name = Path(path.name.lower())
    return name.with_suffix("").suffix if name.suffix in COMPRESSIONS else name.suffix


def stem_of(path: Path) -> str:
    """A file's name without its suffixes and what may be the number (and digest) of a shard: "train" of
    `train-00000-of-00002.jsonl.gz`. Whether it is one is known among other files: `stems_of`."""
    return _NUMBER.sub("", _plain(path))


def stems_of(paths: Iterable[Path]) -> dict[Path, str]:
    """The same of each of several files, where digits that are no shard's stay: "dl-2019" of `dl-2019.tsv`."""
    paths = list(paths)
    bare: dict[tuple[Path, str], set[int]] = {}
    for path in paths:
        if (said := _NUMBER.search(_plain(path))) and not said[2]:
            bare.setdefault((path.parent, stem_of(path)), set()).add(int(said[1]))
    sets = {key for key, numbers in bare.items() if min(numbers) < 2 and max(numbers) - min(numbers) < len(numbers)}
    return {path: stem_of(path) if _is_numbered(path, sets) else _plain(path) for path in paths}


def _is_numbered(path: Path, sets: Iterable[tuple[Path, str]]) -> bool:
    said = _NUMBER.search(_plain(path))
    return said is not None and (said[2] is not None or (path.parent, stem_of(path)) in sets)


def is_one(paths: Sequence[Path]) -> bool:
    """Whether *paths* are one file, or shards of one: all in one folder and format, by one name, each number once."""
    if len(paths) < 2:
        return True
    said = [_NUMBER.search(_plain(path)) for path in paths]
    stems = stems_of(paths)
    if not all(stems[path] != _plain(path) for path in paths):
        return False
    kinds = {(path.parent, stems[path], suffix_of(path), each is not None and each[2] is None)
             for path, each in zip(paths, said, strict=True)}  # fmt: skip
    return len(kinds) == 1 and len({int(each[1]) for each in said if each}) == len(paths)


def require_all_shards(paths: Iterable[Path]) -> None:
    """Raise `DataInvalid` where files say that they are some of a number of shards, and not all of these are there."""
    sets: dict[tuple[Path, str, str], dict[int, set[int]]] = {}
    for path in paths:
        if said := _ONE_OF.fullmatch(path.name):
            name, number, count, suffix = said.groups()
            sets.setdefault((path.parent, name, suffix), {}).setdefault(int(count), set()).add(int(number))
    for (folder, name, suffix), by_count in sets.items():
        where = f"{folder / name}*{suffix}"
        if len(by_count) > 1:
            counts = " and ".join(str(each) for each in sorted(by_count))
            raise DataInvalid(path=where, reason=f"are shards of {counts}, of two exports; keep those of one")
        ((count, numbers),) = by_count.items()
        first = 0 if 0 in numbers or count not in numbers else 1
        missing = sorted({*range(first, first + count)} - numbers)
        if missing:
            more = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
            reason = f"{len(numbers)} of {count} shards are there; number {missing[0]}{more} is missing: get it"
            raise DataInvalid(path=where, reason=f"{reason}, or rename the others if the set is whole without it")


def _plain(path: Path) -> str:
    """The name without its suffixes."""
    plain = path.name[: -len(path.suffix)] if path.suffix.lower() in COMPRESSIONS else path.name
    return Path(plain).stem if Path(plain).suffix else plain


def parts_of(folder: Path, name: str) -> list[Path]:
    """The files of one part of a set: `corpus.jsonl` for "corpus", another format, a folder of shards, a saved dataset.

    Raises:
        DataInvalid: there are two that say the same, and one would win; or shards are missing.
    """
    stems = stems_of(_files(folder))
    found = [path for path, stem in stems.items() if stem == name]
    loose = [path for path, stem in stems.items() if stem != name and stem_of(path) == name]
    if loose and not found:
        reason = f"has a number that is no shard's: those of one name run from 0 or 1 on; call it {name}, or rename it"
        raise DataInvalid(path=str(loose[0]), reason=reason)
    inside: list[Path] = []
    if (folder / name).is_dir():
        inside = saved_shards(folder / name) if is_saved_dataset(folder / name) else _files(folder / name)
    by_stem: dict[str, list[Path]] = {}
    for path, stem in stems_of(inside).items():
        by_stem.setdefault(stem, []).append(path)
    whole = [*found, *loose]
    kinds = {(path.parent, suffix_of(path)): path for path in (*whole, *inside)}
    for paths in (whole, *by_stem.values(), list(kinds.values())):  # each of them has to be one
        if not is_one(paths):
            raise DataInvalid(path=str(paths[0]), reason=f"there is {paths[1]} too, and only one can be read; keep one")
    require_all_shards([*whole, *inside])
    return [*whole, *inside]


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if suffix_of(path) in SUFFIXES and is_data(path))


def is_data(path: Path) -> bool:
    """Whether *path* is a file that somebody put there: macOS leaves files such as `._train.tsv` in archives, Hugging
    Face's datasets leave what is told of data beside it."""
    about = suffix_of(path) == ".json" and stem_of(path) in METADATA
    return path.is_file() and not path.name.startswith(".") and not about


def read_rows(path: Path) -> Numbered:
    """(number from 1, plain value) of each row: a mapping, or whatever else a JSON file has there.

    The number is the line; of JSON arrays and Parquet the row. Cells of CSV and TSV are strings.

    Raises:
        DataInvalid: the file cannot be read, or is not what its name says, with the line.
        ExtraMissing: a Parquet file, without pyarrow.
    """
    readers = {".csv": _csv, ".tsv": _tsv, ".parquet": parquet_rows, ".arrow": arrow_rows}
    yield from readers.get(suffix_of(path), _json)(path)


def read_lines(path: Path, *, newline: str | None = None) -> Iterator[str]:
    """The lines of a text file, compressed or not, with their ends.

    Raises:
        DataInvalid: the file is not there, cannot be read, is damaged, or is not UTF-8.
    """
    try:
        with _opened(path, newline) as file:
            yield from file
    except FileNotFoundError as error:
        raise DataInvalid(path=str(path), reason="no such file") from error
    except UnicodeDecodeError as error:
        raise DataInvalid(path=str(path), reason=f"is not UTF-8 text: {error}; {_SAVE_AS}") from error
    except (gzip.BadGzipFile, lzma.LZMAError, EOFError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be decompressed: {error}") from error
    except OSError as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read: {error.strerror or error}") from error


def _opened(path: Path, newline: str | None) -> IO[str]:
    with path.open("rb") as file:
        begins = file.read(8)
    if begins.startswith(b"PK\x03\x04"):
        raise DataInvalid(path=str(path), reason="is a zip archive; unpack it first")
    for magic, opener in _MAGIC:
        if begins.startswith(magic):
            with opener(path, "rb") as file:
                inside = file.read(8)
            if any(inside.startswith(each) for each, _ in _MAGIC) or inside.startswith(b"PK\x03\x04"):
                raise DataInvalid(path=str(path), reason="is compressed twice; unpack it once")
            opened: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline=newline)
            return opened
    if begins.startswith(b"\x28\xb5\x2f\xfd"):
        raise DataInvalid(path=str(path), reason="is compressed with zstd; unpack it first: unzstd")
    if begins.startswith((b"\xff\xfe", b"\xfe\xff")):
        width = 32 if begins[2:4] == b"\x00\x00" else 16
        raise DataInvalid(path=str(path), reason=f"is UTF-{width} text; {_SAVE_AS}")
    if b"\x00" in begins:
        raise DataInvalid(path=str(path), reason=f"is not UTF-8 text: it has zero bytes, as UTF-16 has; {_SAVE_AS}")
    return path.open(encoding="utf-8-sig", newline=newline)


def _json(path: Path) -> Numbered:
    """JSON lines, or one array; which of them is seen in the first line."""
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield from _json_from(path, number, line, lines)
            return


def _json_from(path: Path, number: int, first: str, rest: Iterator[str]) -> Numbered:
    value = _parsed(path, number, first)
    if isinstance(value, dict) or (isinstance(value, list) and _is_row(value)):
        more = ((at, line) for at, line in enumerate(rest, start=number + 1) if line.strip())
        second = next(more, None)
        whole = second is None and suffix_of(path) == ".json" and isinstance(value, dict)  # else lines: it is a row
        yield from ((number, row) for row in (_array(path, value) if whole else [value]))
        for at, line in chain([second] if second else [], more):
            yield at, _line(path, at, line)
        return
    if suffix_of(path) != ".json" and not first.lstrip().startswith("["):
        _line(path, number, first)
    text = first + "".join(rest)
    try:
        whole = parsed_json(text)
    except KeyTwiceError as error:
        raise DataInvalid(path=str(path), reason=str(error)) from error
    except (ValueError, RecursionError) as error:
        at = number - 1 + getattr(error, "lineno", 1)
        raise _not_json(path, at, _why(error)) from error
    yield from enumerate(_array(path, whole), start=1)


def _parsed(path: Path, number: int, text: str) -> Any:
    try:
        return parsed_json(text)
    except KeyTwiceError as error:
        raise DataInvalid(path=f"{path}, line {number}", reason=str(error)) from error
    except (ValueError, RecursionError):
        return None


def _is_row(value: Sequence[Any]) -> bool:
    """Whether a JSON array is one row of texts, and not all rows of the file."""
    return bool(value) and isinstance(value[0], str)


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return parsed_json(line)
    except KeyTwiceError as error:
        raise DataInvalid(path=f"{path}, line {number}", reason=str(error)) from error
    except ValueError as error:  # also a number of thousands of digits
        raise _not_json(path, number, _why(error)) from error
    except RecursionError as error:
        raise _not_json(path, number, "it is nested too deeply") from error


def _why(error: Exception) -> str:
    if isinstance(error, JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at character {error.colno}"
    return str(error)


def _not_json(path: Path, number: int, why: str) -> DataInvalid:
    return DataInvalid(path=f"{path}, line {number}", reason=f"is not JSON: {why}")


def _array(path: Path, whole: Any) -> Iterable[Any]:
    """The rows of a whole JSON document: an array, or the only array of an object that is no row itself."""
    if isinstance(whole, dict):
        arrays = {name: value for name, value in whole.items() if isinstance(value, list)}
        for name, rows in arrays.items():
            wraps = len(arrays) == 1 and rows and all(isinstance(row, dict) for row in rows)
            if wraps and not ROW_NAMES & whole.keys() - {name}:
                return rows
        return [whole]
    if not isinstance(whole, list):
        raise DataInvalid(path=str(path), reason=f"is one {type(whole).__name__}; expected an array of objects")
    return whole


def _csv(path: Path) -> Numbered:
    lines = read_lines(path, newline="")
    first = next(lines, "")
    delimiter = max(",;\t", key=first.count) if first.count(",") == 0 else ","

    def all_lines() -> Iterator[str]:
        yield first
        yield from lines

    yield from _table(path, all_lines(), delimiter)


def _tsv(path: Path) -> Numbered:
    """A table with tabs; quotation marks are text, unless the file shows that it was written with them."""
    lines = list(read_lines(path, newline=""))
    if is_quoted(lines):
        yield from _table(path, lines, "\t")
        return
    header: list[str] = []
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\r\n").split("\t")
        if cells == [""]:
            continue
        if not header:
            header = _header(path, number, cells)
        else:
            yield number, _named(path, number, header, cells)


def is_quoted(lines: Sequence[str]) -> bool:
    """Whether a TSV file was written with quotation marks around cells, as spreadsheets and Python's csv do.

    Such a writer quotes every cell that has a quotation mark, and doubles those inside. Files of MS MARCO and most
    others with tabs are plain: a quotation mark in them is one.
    """
    plain = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
    if not plain:
        return False
    marked = [cell for cells in plain for cell in cells if '"' in cell]
    if not marked:
        return False
    ragged = any(len(cells) != len(plain[0]) for cells in plain)
    if ragged:  # a tab or a line's end within quotes; or a damaged file, which is then named as plain
        return _parses(lines, len(plain[0]))
    wrapped = all(len(cell) > 1 and _QUOTED.fullmatch(cell) for cell in marked)
    return wrapped and (any('""' in cell[1:-1] for cell in marked) or len(marked) == sum(map(len, plain)))


_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')


def _parses(lines: Sequence[str], columns: int) -> bool:
    try:
        rows = [cells for cells in csv.reader(lines, delimiter="\t", strict=True) if cells]
    except csv.Error:
        return False
    return all(len(cells) == columns for cells in rows)


def _table(path: Path, lines: Iterable[str], delimiter: str) -> Numbered:
    """Rows of a table with a header and quoted cells."""
    before = csv.field_size_limit(_MOST_FIELD_CHARS)  # the module's own limit is below a long document
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header: list[str] = []
        for cells in reader:
            if not cells:
                continue
            if not header:
                header = _header(path, reader.line_num, cells)
            else:
                yield reader.line_num, _named(path, reader.line_num, header, cells)
    except csv.Error as error:
        raise DataInvalid(path=f"{path}, line {reader.line_num}", reason=f"is not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _header(path: Path, number: int, cells: Sequence[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataInvalid(path=f"{path}, line {number}", reason=f"column {clipped(twice[0])} appears twice")
    return header


def _named(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> Mapping[str, str]:
    if len(cells) != len(header):
        raise DataInvalid(path=f"{path}, line {number}", reason=f"{len(cells)} cells; the header has {len(header)}")
    return dict(zip(header, cells, strict=True))
