"""What `samespace embed` made goes into a pinned collection, once, and into no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.bulk import BulkJob, Columns, Options, run
from samespace.bulk.job import plan_job
from samespace.bulk.local import run_here
from samespace.cli import cli
from samespace.errors import DataInvalid, RequestInvalid, SpaceMismatch
from samespace_weaviate import CollectionSpec, ImportReport, create
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.collections.import_embedded import PartImport, import_parts
from samespace_weaviate.importing.embedded import is_embedded, open_folder, read_documents

SHORT, LONG = "short text", "one two three four five six seven eight nine"
TEXTS = [f"{LONG if number % 5 == 0 else SHORT} {number}" for number in range(50)]


class SpannedEncoder(FakeEncoder):
    """The fake, with spans: a window is four words."""

    def encode_detailed(self, texts: Any, role: Any, **given: Any) -> Any:
        found = super().encode_detailed(texts, role, **given)
        if given.get("long_texts") not in ("windows", "slices"):
            spans = tuple((row, 0, len(text)) for row, text in enumerate(texts))
            return type(found)(found.vectors, found.tokens, found.windows, spans)
        pieces = [(row, *span) for row, text in enumerate(texts) for span in spans_of(text)]
        vectors = super().encode_detailed([texts[row][start:end] for row, start, end in pieces], role).vectors
        return type(found)(vectors, found.tokens, found.windows, tuple(pieces))


def spans_of(text: str) -> list[tuple[int, int]]:
    words = text.split()
    spans, at = [], 0
    for first in range(0, len(words), 4):
        piece = " ".join(words[first : first + 4])
        spans.append((at, at + len(piece)))
        at += len(piece) + 1
    return spans


def embedded(folder: Path, *, space: str = SPACE, **options: Any) -> str:
    """A folder of five parts."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "texts.jsonl"
    lines.write_text("\n".join(json.dumps({"id": f"d{n}", "text": t, "lang": "en"}) for n, t in enumerate(TEXTS)))
    out = folder / "out"
    given = {"columns": Columns(keep=("lang",)), **options}
    job = BulkJob((str(lines),), str(out), Options(space, **given), "fake", 10)
    run(job, plan_job(job), partial(_here, space), lambda rows: None)
    return str(out)


def _here(space: str, parts: Any, options: Options, out: str, progress: Any) -> Any:
    return run_here(parts, options, out, lambda streams: SpannedEncoder(space), cores=1, progress=progress)


def pinned(*, space: str = SPACE, long_texts: Any = "pool", refuse: Any = None) -> FakeDatabase:
    database = FakeDatabase(refuse) if refuse else FakeDatabase()
    spec = CollectionSpec("Article", space, server="http://encoder:8080", long_texts=long_texts)
    create(database, spec)
    database.sent.clear()
    return database


def imported(uri: str, database: FakeDatabase, state: Path, progress: Any = lambda texts: None) -> ImportReport:
    @contextmanager
    def opened() -> Iterator[FakeDatabase]:
        yield database

    return import_parts(PartImport(open_folder(uri), "Article"), opened, state=state, progress=progress)


def test_objects_have_the_vectors_of_the_folder(tmp_path: Path) -> None:
    """Each text is an object with its own vector and id, as an import that encodes would have written it."""
    database, done = pinned(), list[int]()
    report = imported(embedded(tmp_path), database, tmp_path / "state", done.append)
    assert (report.written, report.failed, report.long_texts, sum(done)) == (50, (), 10, 50)
    stored = {entry.properties["passageId"]: entry for entry in database.objects["Article"].values()}
    assert sorted(stored) == sorted(f"d{number}" for number in range(50))
    right = np.asarray(SpannedEncoder().encode(TEXTS, "passage"))
    for number, text in enumerate(TEXTS):
        assert stored[f"d{number}"].properties["text"] == text
        assert np.array_equal(stored[f"d{number}"].vector, right[number])
    assert dict(report.left_out) == {"lang": 50}
    assert not list(tmp_path.glob("state*"))


def test_slices_become_objects_of_their_documents(tmp_path: Path) -> None:
    """A collection that stores windows gets one object a slice, with its text, number and span."""
    database = pinned(long_texts="windows")
    report = imported(embedded(tmp_path, long_texts="slices"), database, tmp_path / "state")
    assert report.written == 40 + 10 * 3
    mine = [e.properties for e in database.objects["Article"].values() if e.properties["documentId"] == "d5"]
    assert sorted((each["windowNumber"], each["text"]) for each in mine) == [
        (number, TEXTS[5][start:end]) for number, (start, end) in enumerate(spans_of(TEXTS[5]))
    ]


def test_another_space_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """The collection's pin is held against the folder's id, and each part's own id against the folder's."""
    uri = embedded(tmp_path)
    database = pinned(space=OTHER_SPACE)
    with pytest.raises(SpaceMismatch):
        imported(uri, database, tmp_path / "state")
    assert database.sent == []
    other = embedded(tmp_path / "other", space=OTHER_SPACE)
    name = "part-00000-000002.parquet"
    Path(uri, name).write_bytes(Path(other, name).read_bytes())
    database = pinned()
    with pytest.raises(SpaceMismatch):
        imported(uri, database, tmp_path / "state")
    assert len(database.objects["Article"]) == 20


def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    """Finished parts are not written again, parts with failures are; nothing is doubled."""
    uri = embedded(tmp_path)
    refusals = {"d23": "no such luck"}

    def refuse(entry: Any, attempt: int) -> str | None:
        return refusals.get(entry.properties["passageId"])

    database = pinned(refuse=refuse)
    report = imported(uri, database, tmp_path / "state")
    assert [failure.passage for failure in report.failed] == ["d23"]
    refusals.clear()
    database.batches.clear()
    report = imported(uri, database, tmp_path / "state")
    assert (report.skipped, report.failed, sum(database.batches)) == (40, (), 10)
    assert len(database.objects["Article"]) == 50 and not list(tmp_path.glob("state*"))


def test_what_goes_on_searches_the_parts_that_were_finished_before(tmp_path: Path) -> None:
    """A part was searched for when it was written; what interrupted the run may have harmed it since."""
    uri, refusals = embedded(tmp_path), {"d23": "no such luck"}
    database = pinned(refuse=lambda entry, attempt: refusals.get(entry.properties["passageId"]))
    imported(uri, database, tmp_path / "state")
    refusals.clear()
    lost = object_uuid("Article", "d3")
    database.unindexed.add(lost)
    report = imported(uri, database, tmp_path / "state")
    assert (report.skipped, report.lost, report.clean) == (40, (lost,), False)


def test_a_damaged_part_is_found(tmp_path: Path) -> None:
    """A flipped bit in a page, and a part with fewer rows than the folder says."""
    uri = embedded(tmp_path)
    part = Path(uri, "part-00000-000000.parquet")
    whole = part.read_bytes()
    folder = open_folder(uri)
    data = bytearray(whole)
    data[200] ^= 1
    part.write_bytes(data)
    with pytest.raises(DataInvalid, match="cannot be read"):
        read_documents(folder, 0)
    part.write_bytes(whole)
    table = pq.read_table(part)
    pq.write_table(table.slice(0, 9), part)
    with pytest.raises(DataInvalid, match=r"has shape \(9, 8\)"):
        read_documents(folder, 0)


def test_the_command_wants_an_encoder_or_such_a_folder(tmp_path: Path) -> None:
    """Files of passages without an encoder, and Ray with one, are refused before anything is opened."""
    for arguments in (["texts.jsonl"], [str(tmp_path)], ["texts.jsonl", "--encoder", "a:1", "--engine", "ray"]):
        with pytest.raises(RequestInvalid, match="encoder"):
            CliRunner().invoke(cli, ["weaviate", "import", "Article", *arguments], catch_exceptions=False)


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Queries, texts left out, another form than the collection's, and a folder that is not complete."""
    with pytest.raises(DataInvalid, match="as queries"):
        open_folder(embedded(tmp_path / "a", role="query"))
    with pytest.raises(DataInvalid, match="no texts"):
        open_folder(embedded(tmp_path / "b", with_text=False))
    with pytest.raises(RequestInvalid, match="--long-texts slices"):
        imported(embedded(tmp_path / "c"), pinned(long_texts="windows"), tmp_path / "state")
    assert is_embedded(str(tmp_path / "c" / "out")) and not is_embedded(str(tmp_path / "c"))
