"""What is killed in the middle of a bulk job, and that nothing is lost, doubled or of another space afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fakes.server.process import serving
from samespace import Encoder
from samespace.bulk import BulkJob, Options, run
from samespace.bulk.job import plan_job
from samespace.bulk.local import run_here
from samespace.cli import cli
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
ROWS, PART_ROWS = 12_000, 1000
# The command itself, in a process that sends itself SIGKILL where a third of the rows are done.
DIES = f"""
import os, signal
from contextlib import contextmanager
import samespace.cli.serving.embed as module

@contextmanager
def progress(label, total):
    done = 0
    def advance(rows):
        nonlocal done
        done += rows
        if done > {ROWS // 3}:
            os.kill(os.getpid(), signal.SIGKILL)
    yield advance

module.progress = progress
module.embed.main(__import__("sys").argv[2:])
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.parquet"
    texts = [" ".join(["file", "index", "value", str(number)] * (1 + number % 5)) for number in range(ROWS)]
    pq.write_table(pa.table({"id": [str(number) for number in range(ROWS)], "text": texts}), path)
    return path


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one command makes without any trouble."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    result = CliRunner().invoke(cli, command(corpus, out, str(tiny_artifact)), catch_exceptions=False)
    assert result.exit_code == 0
    return out


def command(corpus: Path, out: Path, encoder: str) -> list[str]:
    options = ["--part-rows", str(PART_ROWS), "--build", "fp32", "--runtime", "onnxruntime", "--cores", "2"]
    return ["embed", str(corpus), "--out", str(out), "--encoder", encoder, *options]


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*.parquet"))}


def read(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))])


def test_a_killed_command_goes_on_where_it_was(
    corpus: Path, tiny_artifact: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """kill -9 after some parts: nothing half is left under a part's name, the same command makes the rest alone."""
    out = tmp_path / "out"
    arguments = command(corpus, out, str(tiny_artifact))
    process = subprocess.run([sys.executable, "-c", DIES, *arguments], stderr=subprocess.DEVNULL, check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (out / "embed.json").exists()
    whole = parts_of(out)
    right = parts_of(undisturbed)
    assert 1 < len(whole) < len(right)
    assert all(right[name] == data for name, data in whole.items())
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert f"{len(right) - len(whole)} parts made, {len(whole)} were there" in result.stderr
    assert parts_of(out) == right
    assert not list(out.glob(".*.partial"))


def test_a_killed_replica_costs_nothing(corpus: Path, tiny_artifact: Path, undisturbed: Path, tmp_path: Path) -> None:
    """One of two servers is killed in the middle: row by row the same texts, and the same vectors to 1e-6."""
    out = tmp_path / "out"
    killed = threading.Event()
    with serving(tiny_artifact) as one, serving(tiny_artifact) as other:
        address = f"{one.grpc},{other.grpc}"
        with Encoder.connect(address) as encoder:
            job = BulkJob((str(corpus),), str(out), Options(encoder.space_id), encoder.name, PART_ROWS)
        done = 0

        def kill(rows: int) -> None:
            nonlocal done
            done += rows
            if done > ROWS // 4 and not killed.is_set():
                other.process.kill()
                killed.set()

        def engine(parts: Any, options: Options, folder: str, progress: Any) -> Any:
            return run_here(
                parts, options, folder, lambda streams: Encoder.connect(address), cores=2, progress=progress
            )

        finished = run(job, plan_job(job), engine, kill)
        assert killed.is_set() and other.process.wait() == -signal.SIGKILL
    assert finished.rows == ROWS
    found, right = read(out), read(undisturbed)
    for name in ("id", "text", "tokens", "windows"):
        assert found.column(name).equals(right.column(name))
    assert cosine_distance(_vectors(found), _vectors(right)).max() <= FP32_CPU
    spaces = {pq.read_schema(path).metadata[b"samespace.space_id"].decode() for path in out.glob("part-*.parquet")}
    assert spaces == {json.loads((undisturbed / "embed.json").read_text())["space_id"]}


def _connected(address: str, streams: int) -> Encoder:
    return Encoder.connect(address)


def _vectors(table: pa.Table) -> np.ndarray:
    return np.stack(table.column("vector").to_numpy())
