"""Vectors in a file, with their space: `.npz` for numpy alone, `.arrow` and `.parquet` for everybody else's tools.

An `.npz` holds plain arrays: `vectors` ((n, dim) float32), `space_id` (64 hex digits) and, where given, `ids` (the
UTF-8 bytes of a JSON list of strings). An Arrow or Parquet file has a column `vector` (fixed-size list of float32),
where given a column `id` (string), and the space id in the schema's metadata under `samespace.space_id`; columns and
metadata that others add are left alone, and float16 is read too. Arrow needs the extra `arrow`.

Files are written whole or not at all. Reading one never runs code (no pickle) and believes no size in it: what a
header asks for is held against the size of the file before memory is taken. The exception: how far the buffers of a
*compressed* Arrow or Parquet file unpack is known to pyarrow alone; take `.npz` from people whom you do not trust.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from .errors import DataInvalid, RequestInvalid, SpaceMismatch
from .extras import require_extra
from .folders import whole_file
from .npz import read_arrays
from .vectors import Float32, Vectors

SPACE_KEY: Final = "samespace.space_id"
VECTOR_COLUMN: Final = "vector"
ID_COLUMN: Final = "id"
FORMATS: Final = (".npz", ".arrow", ".parquet")

_SPACE_ID: Final = re.compile(r"[0-9a-f]{64}")
_MAX_DIMS: Final = 65_536
# Vectors hardly compress. A file that says it holds far more than its own size is a mistake or a trap.
_MAX_RATIO: Final = 64
_FREE_BYTES: Final = 16 << 20
_ARRAYS: Final = {"vectors": "<f4", "space_id": "<U64", "ids?": "|u1"}


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """What a file of vectors holds; *ids* has one string for each row, or is None."""

    vectors: Vectors
    ids: tuple[str, ...] | None


def write_vectors(path: Path | str, vectors: Vectors, *, ids: Sequence[str] | None = None) -> None:
    """Write *vectors*, and *ids* beside them, in the format that the file's ending names; replaces an old file.

    Raises:
        RequestInvalid: another ending, ids that are not one string for each row, or no proper space id.
        ExtraMissing: Arrow or Parquet without pyarrow.
    """
    target = Path(path)
    kind = _format(target)
    if not _SPACE_ID.fullmatch(vectors.space_id):
        raise RequestInvalid(field="space_id", reason=f"{vectors.space_id!r}; expected 64 hex digits")
    if ids is not None and (len(ids) != len(vectors) or not all(isinstance(each, str) for each in ids)):
        raise RequestInvalid(field="ids", reason=f"{len(ids)} for {len(vectors)} vectors; expected one string each")
    if kind == ".npz":
        arrays: dict[str, Any] = {"vectors": np.asarray(vectors), "space_id": np.array(vectors.space_id)}
        if ids is not None:
            arrays["ids"] = np.frombuffer(json.dumps(list(ids)).encode("ascii"), np.uint8)
        with whole_file(target) as stream:
            np.savez(stream, **arrays)
        return
    table = _table(vectors, ids)
    with whole_file(target) as stream:
        if kind == ".parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, stream)
        else:
            import pyarrow

            with pyarrow.ipc.new_file(stream, table.schema) as writer:
                writer.write_table(table)


def _table(vectors: Vectors, ids: Sequence[str] | None) -> Any:
    if ids is None:
        return to_arrow(vectors)
    _require_arrow()
    import pyarrow

    try:
        return to_arrow(vectors, {ID_COLUMN: pyarrow.array(ids, pyarrow.string())})
    except UnicodeEncodeError as error:
        raise RequestInvalid(field="ids", reason=f"one of them is not text: {error}") from error


def read_vectors(path: Path | str, *, expect: str | None = None) -> StoredVectors:
    """The vectors of a file, and their ids where it has some.

    Args:
        path: ends in .npz, .arrow or .parquet.
        expect: the space id that they have to be of.

    Raises:
        DataInvalid: the file is missing, damaged, or not what `write_vectors` writes; with the file and the reason.
        SpaceMismatch: the vectors are of another space than *expect*.
        ExtraMissing: Arrow or Parquet without pyarrow.
    """
    source = Path(path)
    kind = _format(source)
    try:
        size = source.stat().st_size
        if kind == ".npz":
            with source.open("rb") as stream:
                found = _read_npz(stream, size)
        else:
            found = _read_arrow(source, kind, size)
    except OSError as error:
        raise DataInvalid(path=str(source), reason=f"cannot be read: {error.strerror or error}") from error
    except RequestInvalid as error:
        raise DataInvalid(path=str(source), reason=f"vectors {error.reason}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataInvalid(path=str(source), reason=f"is not a vector file: {error}") from error
    if expect is not None and found.vectors.space_id != expect:
        raise SpaceMismatch(expected=expect, found=found.vectors.space_id, where=str(source))
    return found


def to_arrow(vectors: Vectors, columns: Mapping[str, Any] | None = None) -> Any:
    """A `pyarrow.Table` with *columns* and the column `vector`, the space id in the schema's metadata."""
    _require_arrow()
    import pyarrow

    flat = pyarrow.array(np.asarray(vectors).reshape(-1))
    column = pyarrow.FixedSizeListArray.from_arrays(flat, vectors.dims)
    table = pyarrow.table({**(columns or {}), VECTOR_COLUMN: column})
    return table.replace_schema_metadata({SPACE_KEY: vectors.space_id})


def from_arrow(table: Any) -> Vectors:
    """The vectors of a `pyarrow.Table` that `to_arrow` made, whatever other columns it has by now.

    Raises:
        DataInvalid: no space id, no column of vectors, or a null or NaN in it.
    """
    try:
        space_id, dims = _arrow_schema(table.schema)
        return Vectors(_arrow_rows(table.column(VECTOR_COLUMN), dims), space_id)
    except RequestInvalid as error:
        raise DataInvalid(path="table", reason=f"vectors {error.reason}") from error
    except ValueError as error:
        raise DataInvalid(path="table", reason=str(error)) from error


def _read_npz(stream: IO[bytes], size: int) -> StoredVectors:
    arrays = read_arrays(stream, _ARRAYS, most_bytes=_most(size))
    space_id = _space_id(str(arrays["space_id"]) if arrays["space_id"].shape == () else "")
    vectors = arrays["vectors"]
    if vectors.ndim != 2 or not 1 <= vectors.shape[1] <= _MAX_DIMS:
        raise ValueError(f"its vectors have shape {vectors.shape}, expected (n, dim)")
    return StoredVectors(Vectors(vectors, space_id), _ids(arrays, len(vectors)))


def _ids(arrays: Mapping[str, Any], rows: int) -> tuple[str, ...] | None:
    if "ids" not in arrays:
        return None
    ids = json.loads(arrays["ids"].tobytes())
    if not isinstance(ids, list) or len(ids) != rows or not all(isinstance(each, str) for each in ids):
        raise ValueError(f"its ids are not one string for each of {rows} vectors")
    return tuple(ids)


def _read_arrow(source: Path, kind: str, size: int) -> StoredVectors:
    _require_arrow()
    import pyarrow
    import pyarrow.parquet

    try:
        if kind == ".parquet":
            with pyarrow.parquet.ParquetFile(source) as parquet:
                schema = parquet.schema_arrow
            space_id, dims = _arrow_schema(schema)
            # Dictionaries stay packed until their size is known: one long id can stand a million times in a page.
            packed = [ID_COLUMN] if ID_COLUMN in schema.names else []
            with pyarrow.parquet.ParquetFile(source, read_dictionary=packed) as parquet:
                _check_size(parquet.metadata.num_rows * dims * 4, size)
                groups = (parquet.metadata.row_group(row) for row in range(parquet.metadata.num_row_groups))
                _check_size(sum(group.total_byte_size for group in groups), size)
                table = parquet.read(columns=_columns(schema))
        else:
            with pyarrow.OSFile(str(source), "rb") as stream, pyarrow.ipc.open_file(stream) as reader:
                schema = reader.schema
                space_id, dims = _arrow_schema(schema)
                table = reader.read_all().select(_columns(schema))
        table.validate(full=True)
        ids = _arrow_ids(table, size)
        return StoredVectors(Vectors(_arrow_rows(table.column(VECTOR_COLUMN), dims), space_id), ids)
    except (pyarrow.ArrowException, KeyError, TypeError) as error:
        raise ValueError(f"{error}") from error


def _columns(schema: Any) -> list[str]:
    return [name for name in (ID_COLUMN, VECTOR_COLUMN) if name in schema.names]


def _arrow_schema(schema: Any) -> tuple[str, int]:
    """The space id and the dims that a schema tells."""
    import pyarrow

    if schema.names.count(VECTOR_COLUMN) != 1 or schema.names.count(ID_COLUMN) > 1:
        raise ValueError(f"its columns are {schema.names[:8]}, expected one {VECTOR_COLUMN}")
    kind = schema.field(VECTOR_COLUMN).type
    if not pyarrow.types.is_fixed_size_list(kind) or kind.value_type not in (pyarrow.float32(), pyarrow.float16()):
        raise ValueError(f"its column {VECTOR_COLUMN} is {kind}, expected a fixed-size list of float32 or float16")
    if ID_COLUMN in schema.names and not _is_text(schema.field(ID_COLUMN).type):
        raise ValueError(f"its column {ID_COLUMN} is {schema.field(ID_COLUMN).type}, expected string")
    if not 1 <= kind.list_size <= _MAX_DIMS:
        raise ValueError(f"its vectors have {kind.list_size} dims")
    found = (schema.metadata or {}).get(SPACE_KEY.encode(), b"")
    return _space_id(found.decode("utf-8")), int(kind.list_size)


def _is_text(kind: Any) -> bool:
    import pyarrow

    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _arrow_rows(column: Any, dims: int) -> Float32:
    parts = []
    for chunk in column.chunks:
        values = chunk.flatten()  # unlike .values, this heeds the chunk's offset and leaves nulls out
        if chunk.null_count or values.null_count:
            raise ValueError(f"its column {VECTOR_COLUMN} has nulls")
        parts.append(values.to_numpy(zero_copy_only=False).reshape(-1, dims))
    return np.concatenate(parts) if parts else np.empty((0, dims), np.float32)


def _arrow_ids(table: Any, size: int) -> tuple[str, ...] | None:
    if ID_COLUMN not in table.column_names:
        return None
    import pyarrow
    import pyarrow.compute

    column = table.column(ID_COLUMN)
    length = 0
    for chunk in column.chunks:
        if pyarrow.types.is_dictionary(chunk.type):
            lengths = pyarrow.compute.binary_length(chunk.dictionary).take(chunk.indices)
        else:
            lengths = pyarrow.compute.binary_length(chunk)
        length += pyarrow.compute.sum(lengths).as_py() or 0
    _check_size(length, size)
    ids = tuple(column.to_pylist())
    if not all(isinstance(each, str) for each in ids):
        raise ValueError(f"its column {ID_COLUMN} holds something that is no string")
    return ids


def _check_size(wanted: int, size: int) -> None:
    if wanted > _most(size):
        raise ValueError(f"it has {size} bytes and says that it holds {wanted}")


def _most(size: int) -> int:
    return _MAX_RATIO * size + _FREE_BYTES


def _space_id(found: str) -> str:
    if not _SPACE_ID.fullmatch(found):
        raise ValueError(f"it says no space id (found {found[:80]!r}), so nobody can know what its vectors compare to")
    return found


def _format(path: Path) -> str:
    if path.suffix not in FORMATS:
        raise RequestInvalid(field="path", reason=f"{path.name!r} ends in none of {', '.join(FORMATS)}")
    return path.suffix


def _require_arrow() -> None:
    require_extra("arrow", feature="vectors in Arrow and Parquet files", modules=("pyarrow",))
