"""Parquet files of strangers: what a footer promises is held against the size of the file before rows are read.

A footer of a few bytes may claim billions of rows, and pages of zeros may unpack to a thousand thousand times
themselves. How far a single page unpacks whose footer lies is known to pyarrow alone: two gigabytes at the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import DataInvalid

_RATIO: Final = 1000
"""Bytes or rows for one byte of file: more than honest texts ever unpack to, because repeated ones are stored once."""
_FREE_BYTES: Final = 64 << 20
_FREE_ROWS: Final = 1 << 20


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
