"""Where a text file may be cut: after each so many records, found in one pass over its bytes.

A record of JSONL ends at a line feed. One of CSV ends at a line feed outside quotes: RFC 4180 doubles a quote inside
of quotes, so an even number of quotes before a line feed means outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DataInvalid
from .files import Place
from .plan import BulkPart, InputFile, cut_bytes

_BLOCK = 8 << 20


def cut_text(place: Place, source: InputFile, part_rows: int) -> list[BulkPart]:
    """The parts of a JSONL, CSV or TSV file; of a file with a header they begin after it.

    Raises:
        DataInvalid: a quote of a CSV or TSV file is never closed.
    """
    quoted = source.kind in ("csv", "tsv")
    skipped = 1 if quoted else 0  # the header
    starts: list[int] = [] if skipped else [0]
    records, end, quotes = 0, 0, 0
    with place.open() as stream:
        last = b"\n"
        for block in _blocks(stream):
            data = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero(data == ord("\n"))
            if quoted:
                marks = np.flatnonzero(data == ord('"'))
                before = quotes + np.searchsorted(marks, ends)
                ends = ends[before % 2 == 0]
                quotes += len(marks)
            # Record number n begins after end number n, counted from 1 with the header among them.
            for index in _wanted(records, len(ends), part_rows, skipped):
                starts.append(end + int(ends[index]) + 1)
            records += len(ends)
            end += len(block)
            last = block[-1:]
    if quotes % 2:  # every record from that quote on would be taken for one
        raise DataInvalid(path=place.uri, reason="is not CSV: a quote is opened and never closed")
    if last != b"\n":
        records += 1
    elif starts and starts[-1] == end:
        starts.pop()  # the last record is the end of a part, and nothing begins there
    rows = max(0, records - skipped)
    return cut_bytes(source, starts, rows, end, part_rows)


def _wanted(records: int, found: int, part_rows: int, skipped: int) -> range:
    """Which of the *found* ends begin a part, where *records* ended before; one in each *part_rows*."""
    first = skipped if skipped else part_rows
    if records >= first:
        first += -(-(records + 1 - first) // part_rows) * part_rows
    return range(first - records - 1, found, part_rows)


def _blocks(stream: Any) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block
