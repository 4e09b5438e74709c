"""A range of rows of a Parquet file, in tables of `CHUNK_ROWS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import DataInvalid
from ..evaluation.arrow_rows import require_once, require_plausible
from .files import Place
from .plan import CHUNK_ROWS, BulkPart


def count_rows(place: Place) -> int:
    """How many rows a file says it has.

    Raises:
        DataInvalid: it is no Parquet file, or says more than can be in it.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with place.open() as stream:
            metadata = pyarrow.parquet.read_metadata(stream)
            require_plausible(metadata, place.size() or 0, place.uri)
            return int(metadata.num_rows)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=place.uri, reason=f"cannot be read as Parquet: {error}") from error


def read_tables(part: BulkPart, place: Place, wanted: Callable[[Sequence[str]], list[str]]) -> Iterator[Any]:
    """Tables of `CHUNK_ROWS` rows, the last one shorter.

    Args:
        wanted: from the names of all columns to those that are read.

    Raises:
        DataInvalid: the file cannot be read as Parquet, or has a column that is read twice.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with place.open() as stream, pyarrow.parquet.ParquetFile(stream, pre_buffer=False) as parquet:
            names = parquet.schema_arrow.names
            columns = list(dict.fromkeys(wanted(names)))
            require_once(names, columns, part.source.uri)
            yield from _tables(parquet, part.first_row, part.rows, columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(path=part.source.uri, reason=f"cannot be read as Parquet: {error}") from error


def _tables(parquet: Any, first: int, rows: int, columns: list[str]) -> Iterator[Any]:
    """From row *first* on, *rows* of them; row groups that hold none of them are not read."""
    import pyarrow

    groups, skip = _groups(parquet.metadata, first, rows)
    left, held, have = rows, [], 0
    for batch in parquet.iter_batches(batch_size=CHUNK_ROWS, row_groups=groups, columns=columns):
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        piece = batch.slice(skip, left)
        skip, left = 0, left - min(left, piece.num_rows)
        held.append(piece)
        have += piece.num_rows
        # Batches end at row groups, and the first one in the middle: chunks do neither.
        while have >= CHUNK_ROWS or (have and not left):
            table = pyarrow.Table.from_batches(held)
            yield table.slice(0, CHUNK_ROWS)
            held, have = table.slice(CHUNK_ROWS).to_batches(), max(0, have - CHUNK_ROWS)
        if not left:
            return


def _groups(metadata: Any, first: int, rows: int) -> tuple[list[int], int]:
    """The row groups that hold the rows, and how many rows of the first one come before them."""
    groups: list[int] = []
    at = begin = 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if at < first + rows and at + count > first:
            if not groups:
                begin = at
            groups.append(group)
        at += count
    return groups, first - begin if groups else 0
