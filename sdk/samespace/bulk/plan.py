"""What is to be made: options, inputs and how they are cut into parts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from ..errors import RequestInvalid
from ..text import LONG_TEXTS, LongTexts, Role, check_role

Dtype = Literal["float32", "float16"]
Kind = Literal["parquet", "jsonl", "csv", "tsv"]
KINDS: Final[dict[str, Kind]] = {
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"
}  # fmt: skip
PART_ROWS: Final = 16_384
"""Rows of one part: some 25 MB of 384 dims, and what is lost at most of each worker's work when all is killed."""
CHUNK_ROWS: Final = 1024
"""Rows that are in memory at once, and the rows among which batches are formed. A constant, because it decides which
texts share a batch, and with that the last bits of a vector."""
RESERVED: Final = ("id", "text", "vector", "tokens", "windows", "window", "start", "end")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of an input are read.

    Attributes:
        text: joined by blanks, empty ones left out; what is encoded.
        id: None for the first of `_id` and `id` that is there.
        number_rows: name rows by file and number instead: `corpus.jsonl#17`.
        keep: copied to the output: of Parquet as they are, of text formats as strings.
    """

    text: tuple[str, ...] = ("text",)
    id: str | None = None
    number_rows: bool = False
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.text:
            raise RequestInvalid(field="columns", reason="no column of texts")
        if taken := [name for name in self.keep if name in RESERVED]:
            raise RequestInvalid(field="keep", reason=f"{taken[0]!r} is a column of the output anyway")
        if self.id is not None and self.number_rows:
            raise RequestInvalid(field="number_rows", reason=f"ids come from the column {self.id!r}; give one of them")


@dataclass(frozen=True, slots=True)
class Options:
    """What decides what is in a part, beside its rows.

    Attributes:
        space_id: of the encoder.
        role: of the texts.
        long_texts: "pool" for a row a text, "windows" or "slices" for a row a piece, "reject" to end at a long text.
        dtype: of the vectors on disk; float16 halves the files and costs at most 5e-4 of each number.
        dims: fewer dimensions, where the encoder was trained for it; None for all.
        columns: what is read.
        skip_empty: leave rows without a text out, and count them; otherwise they end the job.
        with_text: copy the texts to the output; of a window its own characters.
        build: what was asked for, such as "auto" or "int8"; other builds give slightly other bytes.
    """

    space_id: str
    role: Role = "passage"
    long_texts: LongTexts = "pool"
    dtype: Dtype = "float32"
    dims: int | None = None
    columns: Columns = Columns()
    skip_empty: bool = False
    with_text: bool = True
    build: str = "auto"

    def __post_init__(self) -> None:
        check_role(self.role)
        if self.long_texts not in LONG_TEXTS:
            raise RequestInvalid(field="long_texts", reason=f"{self.long_texts!r}; expected one of {LONG_TEXTS}")
        if self.dtype not in ("float32", "float16"):
            raise RequestInvalid(field="dtype", reason=f"{self.dtype!r}; expected float32 or float16")

    def to_json(self) -> str:
        """One line, the same for the same options."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file.

    Attributes:
        number: its place among the inputs.
        uri: where it is.
        kind: by its ending.
        header: names of the columns of a CSV file, which stand in its first line alone.
    """

    number: int
    uri: str
    kind: Kind
    header: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.uri.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class BulkPart:
    """A range of rows of one input, which becomes one file.

    Attributes:
        number: from 0 within its source.
        first_row, rows: of the source, from 0; of JSONL and CSV blank lines count.
        first_byte, end_byte: of a text file; 0 and 0 for Parquet.
    """

    source: InputFile
    number: int
    first_row: int
    rows: int
    first_byte: int = 0
    end_byte: int = 0

    @property
    def file(self) -> str:
        """The name of its output; names sort in the order of the rows."""
        return f"part-{self.source.number:05d}-{self.number:06d}.parquet"

    def where(self, row: int) -> str:
        """For messages: the *row*-th row of this part."""
        return f"{self.source.uri}, row {self.first_row + row + 1}"


def kind_of(uri: str) -> Kind:
    """The format that the ending of *uri* names.

    Raises:
        RequestInvalid: none that can be read.
    """
    name = uri.rstrip("/").rpartition("/")[2]
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix not in KINDS:
        more = "; compressed text cannot be cut: unpack it, or make Parquet of it" if suffix in (".gz", ".zst") else ""
        raise RequestInvalid(field="INPUT", reason=f"{uri!r} ends in none of {', '.join(KINDS)}{more}")
    return KINDS[suffix]


def ranges(rows: int, part_rows: int) -> Iterator[tuple[int, int]]:
    """(first row, number of rows) of each part."""
    for first in range(0, rows, part_rows):
        yield first, min(part_rows, rows - first)


def cut_rows(source: InputFile, rows: int, part_rows: int) -> list[BulkPart]:
    """The parts of a file whose rows can be asked for by number."""
    return [BulkPart(source, number, first, count) for number, (first, count) in enumerate(ranges(rows, part_rows))]


def cut_bytes(source: InputFile, starts: Sequence[int], rows: int, end: int, part_rows: int) -> list[BulkPart]:
    """The parts of a file that has to be cut by bytes.

    Args:
        starts: the byte at which each part begins.
        rows: of the whole file.
        end: its size.
    """
    if not rows:
        return []
    spans = zip(starts, (*starts[1:], end), ranges(rows, part_rows), strict=True)
    return [
        BulkPart(source, number, first, count, low, high) for number, (low, high, (first, count)) in enumerate(spans)
    ]


def summary_of(options: Options, encoder: str, dims: int, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the folder's own file says about it."""
    totals = {key: sum(part[key] for part in parts) for key in ("rows", "texts", "tokens", "long_texts", "skipped")}
    return {
        "format": 1,
        "space_id": options.space_id,
        "encoder": encoder,
        "dims": dims,
        "options": asdict(options),
        **totals,
        "parts": list(parts),
    }
