"""Parquet files that claim, or unpack to, far more than they are: refused by every command that reads them."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

pa = pytest.importorskip("pyarrow", reason="needs the extra arrow")
import pyarrow.parquet as pq  # noqa: E402 - after the skip

LIMIT_BYTES = 3 << 30  # of addresses, of which libraries take more than a gigabyte; the files unpack to more
REFUSAL_S = 20.0  # a refusal takes milliseconds; two shared cores may be busy with starting Python
ROWS = 12_345


def _number(value: int) -> bytes:
    """As Thrift's compact protocol writes an i64."""
    value, found = value << 1, bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def claiming(folder: Path, rows: int) -> Path:
    """A small file whose footer says in every place that it has *rows* rows."""
    path = folder / "claims.parquet"
    pq.write_table(pa.table({"id": ["1"] * ROWS, "text": ["one"] * ROWS}), path, compression="none")
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    i64 = b"\x16"  # the next field, of type i64
    footer = data[start:-8].replace(i64 + _number(ROWS), i64 + _number(rows))
    path.write_bytes(data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert pq.read_metadata(path).num_rows == rows
    return path


def bomb(folder: Path, size: int) -> Path:
    """A file of a few kilobytes with one text of *size* bytes."""
    path = folder / "bomb.parquet"
    pq.write_table(pa.table({"id": ["1"], "text": ["a" * size]}), path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < size / 10_000
    return path


def refused(arguments: list[str], reason: str) -> None:
    """The command, with little memory, says *reason* in one line, soon."""
    began = time.monotonic()
    limit = (LIMIT_BYTES, LIMIT_BYTES)
    done = subprocess.run(
        [sys.executable, "-m", "samespace", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )  # fmt: skip
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert done.stderr.splitlines()[-1].startswith("error: ") and reason in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < REFUSAL_S


def commands(path: Path, folder: Path) -> list[list[str]]:
    """Whatever reads Parquet of others."""
    (folder / "set").mkdir()
    (folder / "set" / "corpus.parquet").write_bytes(path.read_bytes())
    (folder / "set" / "queries.jsonl").write_text('{"_id": "1", "text": "one"}\n')
    (folder / "set" / "qrels").mkdir()
    (folder / "set" / "qrels" / "test.tsv").write_text("1\t1\t1\n")
    return [
        ["embed", str(path), "--out", str(folder / "out"), "--encoder", "0" * 64],
        ["evaluate", "bm25", str(folder / "set")],
        ["doctor", "data", str(path)],
    ]


@pytest.mark.parametrize("place", range(3), ids=["embed", "evaluate", "doctor"])
def test_a_footer_of_billions_of_rows_is_not_believed(tmp_path: Path, place: int) -> None:
    """A job of so many rows would be planned for days."""
    path = claiming(tmp_path, 1 << 40)
    refused(commands(path, tmp_path)[place], f"says that it holds {1 << 40} rows")


@pytest.mark.parametrize("place", range(3), ids=["embed", "evaluate", "doctor"])
def test_a_page_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path, place: int) -> None:
    """Half a gigabyte in a few kilobytes is no text."""
    refused(commands(bomb(tmp_path, 600 << 20), tmp_path)[place], "says that it holds 6291")


def test_importing_has_the_same_bounds(tmp_path: Path) -> None:
    """Passages for Weaviate are read by another reader, before any connection."""
    from samespace.errors import DataInvalid
    from samespace_weaviate.importing.sources import read_passages

    for path in (claiming(tmp_path, 1 << 40), bomb(tmp_path, 600 << 20)):
        with pytest.raises(DataInvalid, match="says that it holds"):
            next(iter(read_passages(path)))


def test_repetitive_texts_are_taken(tmp_path: Path) -> None:
    """A million times the same text is stored once; it is no attack."""
    from samespace.bulk.files import place_of
    from samespace.bulk.parquet_rows import count_rows

    path = tmp_path / "same.parquet"
    text = pa.chunked_array([pa.array(["the same text, again and again"] * 1_000_000)])
    pq.write_table(pa.table({"text": text}), path, compression="zstd")
    assert count_rows(place_of(str(path))) == 1_000_000
