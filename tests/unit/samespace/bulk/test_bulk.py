"""Files of texts become files of vectors: the right ones, in order, whole, and not made twice."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from samespace import Encoder, read_vectors
from samespace.bulk import BulkJob, Columns, Options, run
from samespace.bulk.files import place_of
from samespace.bulk.job import plan_job
from samespace.bulk.local import run_here
from samespace.bulk.parts import check_whole
from samespace.bulk.plan import CHUNK_ROWS
from samespace.cli import cli
from samespace.errors import DataInvalid, RequestInvalid, SamespaceError, SpaceMismatch
from samespace.text import LongTexts

WORDS = ["how", "do", "i", "reset", "the", "password", "of", "user", "name", "in", "file", "index", "value"]
ROWS = 2500  # more than two chunks


def text_of(number: int) -> str:
    """Texts of many lengths, some beyond the token limit of 32."""
    return " ".join(WORDS[(number + place) % len(WORDS)] for place in range(1 + number % 40))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file with row groups that fit neither chunks nor parts."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.parquet"
    table = pa.table(
        {
            "_id": [f"d{number}" for number in range(ROWS)],
            "text": [text_of(number) for number in range(ROWS)],
            "year": pa.array([2000 + number % 20 if number % 7 else None for number in range(ROWS)], pa.int16()),
        }
    )
    pq.write_table(table, path, row_group_size=700)
    return path


@pytest.fixture(scope="module")
def encoder(tiny_artifact: Path) -> Encoder:
    return Encoder.load(tiny_artifact, build="fp32", runtime="onnxruntime")


def embed(
    corpus: Path,
    out: Path,
    artifact: Path,
    *,
    cores: int = 1,
    part_rows: int = 1000,
    progress: Any = None,
    **given: Any,
) -> Any:
    """Run a job in this process."""
    options = Options(Encoder.load(artifact).space_id, **given) if "space_id" not in given else Options(**given)
    job = BulkJob((str(corpus),), str(out), options, "tiny", part_rows)

    def opened(streams: int) -> Encoder:
        return Encoder.load(artifact, build="fp32", runtime="onnxruntime", threads=streams, streams=streams)

    engine = partial(_here, opened, cores)
    return run(job, plan_job(job), engine, progress or (lambda rows: None))


def _here(opened: Any, cores: int, parts: Any, options: Options, out: str, progress: Any) -> Any:
    return run_here(parts, options, out, opened, cores=cores, progress=progress)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read(folder: Path) -> pa.Table:
    """All rows of a folder, in the order of the parts' names."""
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))])


def test_rows_come_out_in_order_with_their_vectors(
    corpus: Path, tiny_artifact: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Each row has its id, text, kept columns in their own type, counts, and the vector that the encoder gives."""
    done: list[int] = []
    finished = embed(corpus, tmp_path / "out", tiny_artifact, progress=done.append, columns=Columns(keep=("year",)))
    table = read(tmp_path / "out")
    assert table.column("id").to_pylist() == [f"d{number}" for number in range(ROWS)]
    assert table.column("text").to_pylist() == [text_of(number) for number in range(ROWS)]
    assert table.column("year").equals(pq.read_table(corpus).column("year"))
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 32)
    rows = [0, 1, 39, 999, 1000, 1023, 1024, ROWS - 1]
    right = encoder.encode_detailed([text_of(row) for row in rows], "passage")
    found = np.stack([table.column("vector")[row].as_py() for row in rows])
    assert np.abs(found - np.asarray(right.vectors)).max() < 1e-5  # other batches; float32 on a CPU
    assert [table.column("tokens")[row].as_py() for row in rows] == list(right.tokens)
    assert [table.column("windows")[row].as_py() for row in rows] == list(right.windows)
    assert (finished.rows, finished.texts, finished.made, finished.kept, sum(done)) == (ROWS, ROWS, 3, 0, ROWS)
    summary = json.loads((tmp_path / "out" / "embed.json").read_text())
    assert summary["space_id"] == encoder.space_id and summary["dims"] == 32 and len(summary["parts"]) == 3


def test_a_part_is_a_file_of_vectors(corpus: Path, tiny_artifact: Path, encoder: Encoder, tmp_path: Path) -> None:
    """`Vectors.load` reads it in float32 and in float16, with its space; its pages have checksums."""
    for dtype, close in (("float32", 1e-5), ("float16", 1e-3)):
        out = tmp_path / dtype
        embed(corpus, out, tiny_artifact, dtype=dtype)
        path = out / "part-00000-000001.parquet"
        vectors = read_vectors(path, expect=encoder.space_id).vectors
        assert (
            np.abs(
                np.asarray(vectors)[:3] - np.asarray(encoder.encode([text_of(n) for n in range(1000, 1003)], "passage"))
            ).max()
            < close
        )
        check_whole(place_of(str(path)))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataInvalid, match="damaged"):
            check_whole(place_of(str(path)))


def test_bytes_depend_on_nothing_but_the_part(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """One core and three give the same bytes; so does the same corpus as JSONL, but for what a summary says of it."""
    embed(corpus, tmp_path / "one", tiny_artifact, part_rows=300)
    embed(corpus, tmp_path / "three", tiny_artifact, part_rows=300, cores=3)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "three")
    lines = tmp_path / "corpus.jsonl"
    lines.write_text("".join(json.dumps({"_id": f"d{n}", "text": text_of(n)}) + "\n" for n in range(ROWS)))
    embed(lines, tmp_path / "lines", tiny_artifact, part_rows=300)
    one, other = bytes_of(tmp_path / "one"), bytes_of(tmp_path / "lines")
    del one["embed.json"], other["embed.json"]
    assert one == other


def test_complete_parts_are_kept(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """Again: nothing is made. A lost, a cut off and a stale part are made again, the others are not touched."""
    out = tmp_path / "out"
    embed(corpus, out, tiny_artifact, part_rows=500)
    right = bytes_of(out)
    assert embed(corpus, out, tiny_artifact, part_rows=500).kept == 5
    (out / "part-00000-000001.parquet").unlink()
    (out / "part-00000-000002.parquet").write_bytes(right["part-00000-000002.parquet"][:-100])
    finished = embed(corpus, out, tiny_artifact, part_rows=500, cores=2)
    assert (finished.made, finished.kept) == (2, 3)
    assert bytes_of(out) == right
    table = pq.read_table(corpus).to_pydict()
    table["text"][1700] = "other text"
    changed = tmp_path / "changed" / "corpus.parquet"
    changed.parent.mkdir()
    pq.write_table(pa.table(table), changed)
    finished = embed(changed, out, tiny_artifact, part_rows=500)
    assert (finished.made, finished.kept) == (1, 4)
    finished = embed(changed, out, tiny_artifact, part_rows=500, dtype="float16")
    assert (finished.made, finished.kept) == (5, 0)


def test_another_space_is_refused(corpus: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """A folder of one space takes no vectors of another, and an encoder of another space than the job's gives none."""
    out = tmp_path / "out"
    embed(corpus, out, tiny_artifact)
    before = bytes_of(out)
    with pytest.raises(SpaceMismatch):
        embed(corpus, out, other_artifact)
    assert bytes_of(out) == before
    with pytest.raises(SpaceMismatch):
        embed(corpus, tmp_path / "new", other_artifact, space_id=Encoder.load(tiny_artifact).space_id)
    assert not list((tmp_path / "new").glob("*"))


def test_parts_of_another_job_are_not_left_among_ours(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """Larger parts make fewer files; the old ones would be read as rows a second time."""
    out = tmp_path / "out"
    embed(corpus, out, tiny_artifact, part_rows=500)
    with pytest.raises(DataInvalid, match="not a part of this job"):
        embed(corpus, out, tiny_artifact, part_rows=1000)


@pytest.mark.parametrize("form", ["windows", "slices"])
def test_windows_have_rows_of_their_own(
    corpus: Path, tiny_artifact: Path, encoder: Encoder, tmp_path: Path, form: LongTexts
) -> None:
    """With their number, their characters, and the text between them; slices alike."""
    embed(corpus, tmp_path / "out", tiny_artifact, long_texts=form)
    rows = read(tmp_path / "out").to_pylist()
    right = encoder.encode_detailed([text_of(39)], "passage", long_texts=form)
    mine = [row for row in rows if row["id"] == "d39"]
    assert len(mine) == right.windows[0] > 1
    assert [(row["start"], row["end"]) for row in mine] == [span[1:] for span in right.spans]
    assert [row["window"] for row in mine] == list(range(len(mine)))
    assert all(row["text"] == text_of(39)[row["start"] : row["end"]] for row in mine)
    assert np.abs(np.array([row["vector"] for row in mine]) - np.asarray(right.vectors)).max() < 1e-5
    assert [row["window"] for row in rows if row["id"] == "d0"] == [0]


def test_a_long_text_ends_a_job_that_rejects_them(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """With file and row; what was complete stays, and nothing half is left."""
    with pytest.raises(DataInvalid, match=r"corpus.parquet, row \d+: \d+ tokens"):
        embed(corpus, tmp_path / "out", tiny_artifact, long_texts="reject", cores=2, part_rows=500)
    assert [path for path in (tmp_path / "out").iterdir() if "partial" in path.name or path.name == "embed.json"] == []


def test_rows_without_a_text(tiny_artifact: Path, tmp_path: Path) -> None:
    """They end the job, or are left out and counted; a part of none but such rows is empty and complete."""
    path = tmp_path / "texts.jsonl"
    rows = [{"id": n, "title": "", "text": "" if n < CHUNK_ROWS + 3 else "file"} for n in range(CHUNK_ROWS + 10)]
    path.write_text("\n".join(map(json.dumps, rows)))
    columns = Columns(text=("title", "text"))
    with pytest.raises(DataInvalid, match=r"row (1|1001): has no title or text"):
        embed(path, tmp_path / "out", tiny_artifact, columns=columns)
    finished = embed(path, tmp_path / "out", tiny_artifact, columns=columns, skip_empty=True, part_rows=CHUNK_ROWS)
    assert (finished.rows, finished.skipped) == (7, CHUNK_ROWS + 3)
    assert (
        embed(path, tmp_path / "out", tiny_artifact, columns=columns, skip_empty=True, part_rows=CHUNK_ROWS).kept == 2
    )


def test_what_killed_processes_left_is_removed(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """Partial files of dead processes of this machine; those of other machines may be in use."""
    import socket

    out = tmp_path / "out"
    out.mkdir()
    dead = out / f".part-00000-000000.parquet.{socket.gethostname()}-999999999-aa.partial"
    other = out / ".part-00000-000000.parquet.elsewhere-999999999-aa.partial"
    dead.touch()
    other.touch()
    embed(corpus, out, tiny_artifact)
    assert not dead.exists() and other.exists()


def test_filesystems_without_names_of_folders(corpus: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """An fsspec filesystem in memory stands for object stores: input and output go through it, bytes are the same."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bulk/in/corpus.parquet", corpus.read_bytes())
    options = Options(Encoder.load(tiny_artifact).space_id)
    job = BulkJob(("memory://bulk/in",), "memory://bulk/out", options, "tiny", 1000)
    opened = partial(Encoder.load, tiny_artifact, build="fp32", runtime="onnxruntime", threads=1)
    engine = partial(_here, lambda streams: opened(streams=streams), 1)
    assert run(job, plan_job(job), engine, lambda rows: None).made == 3
    assert run(job, plan_job(job), engine, lambda rows: None).kept == 3
    embed(corpus, tmp_path / "out", tiny_artifact)
    for name, data in bytes_of(tmp_path / "out").items():
        if name != "embed.json":
            assert memory.cat(f"/bulk/out/{name}") == data


def test_the_command(corpus: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """It says what it made, keeps it the second time, and refuses what makes no sense."""
    common = ["embed", str(corpus), "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(cli, [*common, "--encoder", str(tiny_artifact), "--cores", "2"], catch_exceptions=False)
    assert first.exit_code == 0 and f"{ROWS} vectors of {ROWS} texts" in first.stdout
    again = CliRunner().invoke(cli, [*common, "--encoder", str(tiny_artifact)], catch_exceptions=False)
    assert "0 parts made, 1 were there" in again.stderr
    for arguments, error in (
        (["--encoder", str(other_artifact)], SpaceMismatch),
        (["--encoder", str(tiny_artifact), "--workers", "2"], RequestInvalid),
        (["--encoder", str(tiny_artifact), "--keep", "nothing"], DataInvalid),
        (["--encoder", str(tiny_artifact), "--dims", "7"], RequestInvalid),
    ):
        with pytest.raises(error):
            CliRunner().invoke(cli, [*common, *arguments], catch_exceptions=False)


def test_errors_travel_between_processes() -> None:
    """Every field and the message survive pickling, as engines with processes need it."""
    import pickle

    error = DataInvalid(path="a.csv, row 3", reason="has no text")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is DataInvalid and str(copy) == str(error) and copy.path == error.path
    assert str(pickle.loads(pickle.dumps(SamespaceError("plain")))) == "plain"


def test_a_key_or_column_that_is_there_twice_is_refused(tiny_artifact: Path, tmp_path: Path) -> None:
    """One of two texts would win in silence."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    twice = tmp_path / "texts.jsonl"
    twice.write_text('{"id": "1", "text": "file", "text": "list"}\n')
    with pytest.raises(DataInvalid, match="'text' twice, with 'file' and 'list'"):
        embed(twice, tmp_path / "out", tiny_artifact)
    table = tmp_path / "texts.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array(["1"]), *[pa.array(["a"])] * 2], ["id", "text", "text"]), table)
    with pytest.raises(DataInvalid, match="the column 'text' 2 times"):
        embed(table, tmp_path / "other", tiny_artifact)
