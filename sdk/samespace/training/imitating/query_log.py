"""What people have asked, without any judgement: a log of queries.

one text file        a query a line
rows                 .jsonl, .json, .csv, .tsv or .parquet with a column such as query, question or text

What it leaves to others: what is learned of them (`adapting.distill`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ...errors import DataInvalid
from ...evaluation.files import SUFFIXES, read_lines, read_rows, suffix_of
from ...text import lone_surrogate

COLUMNS: Final = ("query", "question", "q", "search", "keywords", "text")
_LONGEST: Final = 1000
"""Characters; what is longer was pasted, and not asked."""


def read_queries(path: Path | str) -> list[str]:
    """The distinct queries of a log, in order.

    Raises:
        DataInvalid: there is no such file, it cannot be read, or nothing in it is a query.
        ExtraMissing: a Parquet file, without pyarrow.
    """
    source = Path(path)
    texts = _rows(source) if suffix_of(source) in SUFFIXES else read_lines(source)
    found = dict.fromkeys(" ".join(text.split()) for text in texts)
    queries = [text for text in found if text and len(text) <= _LONGEST and lone_surrogate(text) is None]
    if not queries:
        raise DataInvalid(path=str(source), reason="has no query; write one a line, or rows with a column query")
    return queries


def _rows(path: Path) -> Iterator[str]:
    for number, row in read_rows(path):
        named = row if isinstance(row, Mapping) else {}
        text = next((named[name] for name in COLUMNS if isinstance(named.get(name), str)), None)
        if text is None:
            have = ", ".join(map(repr, named)) or "nothing"
            raise DataInvalid(
                path=f"{path}, line {number}", reason=f"expected a column {', '.join(COLUMNS[:3])}; found {have}"
            )
        yield text
