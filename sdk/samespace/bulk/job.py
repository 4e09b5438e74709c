"""A folder of parts: plan it, make what is missing, and say in `embed.json` what there is.

`embed.json` is written last and taken away first: a folder that has it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import DataInvalid
from ..progress import Advance
from .cuts import cut_text
from .files import Place, inputs, place_of, sweep, write_whole, writing_to
from .local import Made
from .parquet_rows import count_rows
from .parts import read_done
from .plan import KINDS, PART_ROWS, BulkPart, InputFile, Options, cut_rows, kind_of, summary_of
from .text_rows import read_header

SUMMARY: Final = "embed.json"

Engine = Callable[[Sequence[BulkPart], Options, str, Advance], Iterator[Made]]
"""Makes what is missing of some parts: `local.run_here` or `cluster.run_on_ray` with everything else bound."""


@dataclass(frozen=True, slots=True)
class BulkJob:
    """What is to be made, and where.

    Attributes:
        uris: files and folders, in order.
        out: the folder.
        options: what decides what is in the parts.
        encoder: its display name; for `embed.json` alone.
        part_rows: rows of one part. More make fewer files, and more work is lost when a worker is.
    """

    uris: tuple[str, ...]
    out: str
    options: Options
    encoder: str = ""
    part_rows: int = PART_ROWS


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a folder holds after `run`.

    Attributes:
        rows, texts, tokens, long_texts, skipped: of all parts.
        made, kept: parts that were made now, and that were there.
    """

    rows: int
    texts: int
    tokens: int
    long_texts: int
    skipped: int
    made: int
    kept: int


def plan_job(job: BulkJob) -> list[BulkPart]:
    """Every part of *job*, in order. Text files are read once for it, Parquet files' footers are.

    Raises:
        DataInvalid: an input cannot be read, or there is nothing in them.
        RequestInvalid: an input is of no known format.
    """
    if job.part_rows < 1:
        raise DataInvalid(path="--part-rows", reason=f"{job.part_rows}; expected 1 or more")
    parts: list[BulkPart] = []
    for number, uri in enumerate(inputs(job.uris, tuple(KINDS))):
        place, kind = place_of(uri), kind_of(uri)
        if kind == "parquet":
            parts += cut_rows(InputFile(number, uri, kind), count_rows(place), job.part_rows)
            continue
        header = read_header(place, kind) if kind in ("csv", "tsv") else ()
        parts += cut_text(place, InputFile(number, uri, kind, header), job.part_rows)
    if not parts:
        raise DataInvalid(path=", ".join(job.uris), reason="there are no rows")
    return parts


def run(job: BulkJob, parts: Sequence[BulkPart], engine: Engine, progress: Advance) -> BulkResult:
    """Make what is missing of *parts* and write `embed.json`.

    Raises:
        OutputBusy: another process writes to the folder.
        OutputFailed: its disk does not take what is written; the parts that are there are whole.
        SpaceMismatch: the folder holds vectors of another space; nothing was changed.
        DataInvalid: a row cannot be used, or the folder has parts that are none of this job's.
    """
    with writing_to(job.out):
        return _run(job, parts, engine, progress)


def _run(job: BulkJob, parts: Sequence[BulkPart], engine: Engine, progress: Advance) -> BulkResult:
    out = place_of(job.out)
    _check_folder(out, job.options, parts)
    (out / SUMMARY).delete()
    sweep(out)
    done: dict[str, Any] = {}
    made = 0
    for part, what, was_there in engine(parts, job.options, job.out, progress):
        done[part.file] = what
        made += not was_there
    missing = [part.file for part in parts if part.file not in done]
    if missing:
        raise DataInvalid(path=job.out, reason=f"{len(missing)} parts are missing, for example {missing[0]}")
    entries = [
        {"file": part.file, "source": part.source.uri, "first_row": part.first_row, **asdict(done[part.file])}
        for part in parts
    ]
    summary = summary_of(job.options, job.encoder, _dims(out / parts[0].file), entries)
    write_whole(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    totals = {key: summary[key] for key in ("rows", "texts", "tokens", "long_texts", "skipped")}
    return BulkResult(**totals, made=made, kept=len(parts) - made)


def _check_folder(out: Place, options: Options, parts: Sequence[BulkPart]) -> None:
    """Nothing may lie there that a reader would take for a part of this job, or that is of another space."""
    ours = {part.file for part in parts}
    there = [name for name in out.names() if name.startswith("part-") and name.endswith(".parquet")]
    for name in there[:1] + there[-1:]:
        read_done(out / name, options)
    if strangers := [name for name in there if name not in ours]:
        raise DataInvalid(
            path=(out / strangers[0]).uri,
            reason=f"is not a part of this job, nor are {len(strangers) - 1} other files, and their rows would be read "
            "too. Choose another folder, or delete them",
        )


def _dims(place: Place) -> int:
    import pyarrow.parquet

    with place.open() as stream:
        return int(pyarrow.parquet.read_schema(stream).field("vector").type.list_size)
