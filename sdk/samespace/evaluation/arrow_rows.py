"""Rows of Parquet files, and of the folders that `save_to_disk` of Hugging Face datasets writes.

Such a folder has Arrow streams and a state.json that names them; a DatasetDict is a folder of such folders. Texts that
were stored as bytes are read as UTF-8 where they are.

Parquet files may be strangers': what a footer promises is held against the size of the file before rows are read. A
footer of a few bytes may claim billions of rows, and pages of zeros may unpack to a thousand thousand times themselves.
How far a single page unpacks whose footer lies is known to pyarrow alone: two gigabytes at the most.

What it leaves to others: training splits out of such folders (`training.data.formats`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import DataInvalid
from ..extras import require_extra
from .excerpts import clipped, listed

METADATA: Final = ("dataset_info", "dataset_infos", "dataset_dict", "state", "config", "package", "metadata")
"""Stems of JSON files that lie beside data and hold none."""
_RATIO: Final = 1000
"""Bytes or rows for one byte of file: more than honest texts ever unpack to, because repeated ones are stored once."""
_FREE_BYTES: Final = 64 << 20
_FREE_ROWS: Final = 1 << 20


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of Hugging Face datasets wrote *folder*."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    )


def saved_shards(folder: Path) -> list[Path]:
    """The Arrow files of a saved dataset in order; of a DatasetDict, those of its only split.

    Raises:
        DataInvalid: there are several splits, or a file that is named is not there.
    """
    said = _json(folder / "dataset_dict.json") if (folder / "dataset_dict.json").is_file() else None
    if said is not None:
        splits = said.get("splits") or []
        if len(splits) != 1:
            reason = f"is a saved DatasetDict with the splits {listed(splits)}; expected one: save that split alone"
            raise DataInvalid(path=str(folder), reason=reason)
        return saved_shards(folder / str(splits[0]))
    shards = [folder / str(each.get("filename")) for each in _json(folder / "state.json").get("_data_files") or []]
    for shard in shards:
        if shard.parent != folder or not shard.is_file():
            reason = f"names {clipped(shard.name)}, which is not there"
            raise DataInvalid(path=str(folder / "state.json"), reason=reason)
    if not shards:
        raise DataInvalid(path=str(folder / "state.json"), reason="names no file of data")
    return shards


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataInvalid(path=str(path), reason=f"is one {type(value).__name__}; expected an object")
    return value


def parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """(number from 1, row) of a Parquet file.

    Raises:
        DataInvalid: it cannot be read, claims more than it can hold, or has a column twice.
        ExtraMissing: without pyarrow.
    """
    require_extra("arrow", feature="reading Parquet", modules=("pyarrow",))
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as parquet:
            require_plausible(parquet.metadata, path.stat().st_size, path)
            yield from _rows(path, parquet.schema_arrow, parquet.iter_batches())
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as Parquet: {error}") from error


def arrow_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """The same of an Arrow stream, as saved datasets have them. Raises as `parquet_rows` does."""
    require_extra("arrow", feature="reading Arrow files", modules=("pyarrow",))
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as file, pyarrow.ipc.open_stream(file) as stream:
            yield from _rows(path, stream.schema, stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as an Arrow stream: {error}") from error


def _rows(path: Path, schema: Any, batches: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Rows of *batches*; bytes that are UTF-8 are texts."""
    if twice := [name for name in schema.names if schema.names.count(name) > 1]:
        raise DataInvalid(path=str(path), reason=f"column {clipped(twice[0])} appears twice")
    stored = [field.name for field in schema if "binary" in str(field.type)]
    number = 0
    for batch in batches:
        for plain in batch.to_pylist():
            number += 1
            yield number, plain if not stored else _decoded(plain, stored)


def _decoded(plain: Mapping[str, Any], stored: Iterable[str]) -> dict[str, Any]:
    row = dict(plain)
    for name in stored:
        if isinstance(row[name], bytes):
            try:
                row[name] = row[name].decode("utf-8")
            except UnicodeDecodeError:
                continue  # an image, say; whoever needs a text there names it
    return row


def require_plausible(metadata: Any, size: int, path: Path | str) -> None:
    """Raise `DataInvalid` where a file of *size* bytes claims more rows or bytes than can be in it.

    Args:
        metadata: `pyarrow.parquet.FileMetaData`.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows, unpacked = metadata.num_rows, sum(group.total_byte_size for group in groups)
    if rows != sum(group.num_rows for group in groups) or min([rows, *(group.num_rows for group in groups)]) < 0:
        raise DataInvalid(path=str(path), reason=f"is damaged: it says {rows} rows, and its row groups do not add up")
    for wanted, what, free in ((rows, "rows", _FREE_ROWS), (unpacked, "bytes", _FREE_BYTES)):
        if wanted > _RATIO * size + free:
            reason = f"has {size} bytes and says that it holds {wanted} {what}; if it is right, write it uncompressed"
            raise DataInvalid(path=str(path), reason=reason)


def require_once(names: Sequence[str], columns: Sequence[str], path: Path | str) -> None:
    """Raise `DataInvalid` where one of *columns* is there twice among *names*: the last one would win."""
    for name in columns:
        if names.count(name) > 1:
            raise DataInvalid(path=str(path), reason=f"has the column {name!r} {names.count(name)} times; keep one")
