"""The comparison with other servers: what is concluded from a record, and how processes are handled."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loadgen.agreement import compare
from loadgen.goals import CONTAINER, KINDS, Row, goals, ratio
from loadgen.others import CONTAINER_MODES, INFINITY_MODES, TEI_MODES, Installed, container, infinity, tei
from loadgen.plot import draw
from loadgen.processes import NotStarted, start
from loadgen.summary import summary
from loadgen.texts import Text


def contestant(name: str, *rates: float, **more: Any) -> dict[str, Any]:
    rounds = {kind: [{"texts_per_s": rate} for rate in rates] for kind in KINDS}
    facts = {"build": "fp32", "runtime": "onnxruntime 1.2.3"}
    vectors = {"worst_distance": 1e-9}
    return {"name": name, "rounds": rounds, "facts": facts, "vectors": vectors, "alone": [], **more}


def soon(true: Callable[[], bool]) -> bool:
    """Whether it comes true: signals are delivered a moment after they are sent."""
    end = time.monotonic() + 20
    while not (found := true()) and time.monotonic() < end:
        os.sched_yield()
    return found


def row(rows: list[Row], beginning: str) -> Row:
    return next(each for each in rows if each.goal.startswith(beginning))


def test_a_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    """A machine that was twice as fast in one round was so for both."""
    assert ratio(contestant("a", 10, 40, 30), contestant("b", 5, 20, 10), "short") == 2.0
    assert ratio(contestant("a", 10), None, "short") is None


def test_goals_are_reached_only_where_all_classes_of_texts_reach_them() -> None:
    """8 times on short texts and 3 on the others: 5 times is not enough for all."""
    server = {"ready_s": 2.0, "peak_rss_bytes": 500e6}
    rows = goals({"contestants": [contestant("samespace fp32, HTTP", 50, **server), contestant(CONTAINER, 10)]})
    against = row(rows, "fp32 by HTTP, times")
    assert (against.wanted, against.found, against.passed) == (">= 8.0 / 3.0 / 3.0", "5.0 / 5.0 / 5.0", False)
    assert row(rows, "fp32: from start").passed is True
    assert row(rows, "fp32: memory").passed is False
    assert row(rows, "fp32: worst").passed is True


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    """A goal without its measurement says so."""
    rows = goals({"contestants": [contestant(CONTAINER, 10)]})
    assert {each.passed for each in rows} == {None}


def test_the_bare_runtime_of_a_server_is_the_one_that_it_runs_on() -> None:
    """Of two bare runtimes of one build, the server's own is the measure."""
    server = contestant("samespace fp32, HTTP", 9, ready_s=1.0, peak_rss_bytes=1)
    bare = [contestant("bare openvino fp32", 20), contestant("bare onnxruntime fp32", 10)]
    found = row(goals({"contestants": [server, *bare]}), "fp32 by HTTP, share").found
    assert found == "90% / 90% / 90%"


def test_processes_sleep_except_when_they_are_awake(tmp_path: Path) -> None:
    """A process that is not measured cannot take CPU time from the one that is."""
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('ready', flush=True); sys.stdin.read()"
    running = start([sys.executable, "-c", code], tmp_path / "log")
    try:
        processes = running.tree.processes()
        assert running.line == b"ready\n"
        assert len(processes) == 2
        assert soon(lambda: {each.status() for each in processes} == {psutil.STATUS_STOPPED})
        with running.awake():
            assert soon(lambda: psutil.STATUS_STOPPED not in {each.status() for each in processes})
        assert soon(lambda: {each.status() for each in processes} == {psutil.STATUS_STOPPED})
    finally:
        running.stop()
    assert psutil.wait_procs(processes, timeout=20)[1] == []


def test_a_process_that_ends_tells_why(tmp_path: Path) -> None:
    """The end of its log is in the error."""
    with pytest.raises(NotStarted, match="no such model"):
        start([sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path / "log")


def test_servers_that_are_not_installed_are_not_measured(tmp_path: Path) -> None:
    """Nothing is assumed about a machine: without their interpreters they are not started, and the reason is told."""
    nobody = Installed(tmp_path, tmp_path, None, None, None)
    for name in CONTAINER_MODES:
        with pytest.raises(NotStarted, match="--container-python"):
            container(nobody, name, 32)
    for name in INFINITY_MODES:
        with pytest.raises(NotStarted, match="--infinity-python"):
            infinity(nobody, name, 32)
    for name in TEI_MODES:
        with pytest.raises(NotStarted, match="--tei"):
            tei(nobody, name, 32)
        with pytest.raises(NotStarted, match="onnx/model"):
            tei(replace(nobody, tei=tmp_path / "router"), name, 32)


STAND_IN = """#!{python}
import argparse, json, pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
parser = argparse.ArgumentParser()
parser.add_argument("--model-id", type=pathlib.Path)
parser.add_argument("--pooling", choices=["mean"])
parser.add_argument("--auto-truncate", action="store_true")
parser.add_argument("--hostname")
parser.add_argument("--port", type=int)
asked = parser.parse_args()
assert (asked.model_id / "model.onnx").read_bytes() == b"graph" and (asked.model_id / "config.json").is_file()
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def reply(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.reply(b"")
    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        self.reply(json.dumps([[0.0, float(len(text) > 3)] for text in texts]).encode())
    def log_message(self, *_):
        pass
ThreadingHTTPServer((asked.hostname, asked.port), Handler).serve_forever()
"""


def test_tei_is_started_as_its_makers_start_it_and_measured(tmp_path: Path) -> None:
    """Its model's folder holds the ONNX file where it looks for it; texts, vectors, memory, start and lone latency."""
    model, work, binary = tmp_path / "model", tmp_path / "work", tmp_path / "text-embeddings-router"
    (model / "onnx").mkdir(parents=True)
    work.mkdir()
    (model / "config.json").write_text("{}")
    (model / "onnx/model.onnx").write_bytes(b"graph")
    binary.write_text(STAND_IN.format(python=sys.executable))
    binary.chmod(0o755)
    (door,) = tei(Installed(model, work, None, None, None, binary), "TEI, fp32", 4)
    try:
        with door.running.awake():
            cell = door.load("short", [Text("a text", 3), Text("another", 3)], 0.3, 0)
            alone = door.alone("short", [Text("a text", 3)], 0.3)
        assert cell.numbers["texts_per_s"] > 0 and not cell.numbers["errors"]
        assert cell.vectors.tolist() == [[0.0, 1.0]] * len(cell.answered)
        assert alone is not None and alone["latency_p50_ms"] > 0
        assert door.running.ready_s > 0 and door.running.tree.peak_rss_bytes() > 0
    finally:
        door.running.stop()


def test_the_page_is_made_from_the_record() -> None:
    """Which CPU, one row for everybody, and who was not measured and why."""
    vectors = {"mean_distance": 1e-3}
    record = {
        "model": "tiny", "clients": 32, "written": "2026-01-02T03:04:05", "repetitions": 5,
        "machine": {"cores": 2, "processor": "Some CPU", "flags": ["avx2"]},
        "texts": {kind: {"mean_tokens": 15.0} for kind in KINDS},
        "not_measured": [{"name": "TEI, fp32", "reason": "not installed here (--tei)"}],
        "contestants": [
            contestant("a server", 10.0, 30.0, 20.0, peak_rss_bytes=250e6, ready_s=1.25)
            | {"vectors": vectors, "alone": [{"latency_p50_ms": 2.5}]}
        ],
    }  # fmt: skip
    page = summary(record, "peers.json")
    assert "2 cores, Some CPU (avx2)" in page
    assert "| a server | 20 | 20 | 20 | 2.5 | 250 | 1.2 | 1e-03 | 0% |" in page
    assert "Not measured: TEI, fp32" in page


def test_the_plot_shows_everybody_in_both_formats(tmp_path: Path) -> None:
    """A PNG, and an SVG whose text is text; the same record gives the same SVG."""
    vectors = {"mean_distance": 0.05}
    record = {
        "model": "tiny", "clients": 32, "written": "2026-01-02T03:04:05", "machine": {"cores": 2, "processor": "X"},
        "texts": {kind: {"mean_tokens": 15.0} for kind in KINDS},
        "contestants": [
            contestant("samespace fp32, HTTP", 1000.0, group="samespace") | {"vectors": {"mean_distance": 1e-9}},
            contestant("some server", 90.0, group="peer") | {"vectors": vectors},
        ],
    }  # fmt: skip
    png, svg = draw(record, tmp_path / "peers")
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    assert all(word in text for word in ("samespace fp32, HTTP", "some server", "1,000", "other servers"))
    assert draw(record, tmp_path / "again")[1].read_text() == text


def test_every_vector_of_every_round_is_compared() -> None:
    """One wrong answer in one round is the worst distance, and vectors of another length are told."""
    east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    reference = {"short": {0: [east], 1: [north]}}
    right = compare({"short": {0: [east, east], 1: [north]}}, reference)
    assert right == {"compared": 3, "mean_distance": 0.0, "worst_distance": 0.0, "unit": True}
    wrong = compare({"short": {0: [east, 2 * north], 7: [east]}}, reference)
    assert (wrong["compared"], wrong["worst_distance"], wrong["unit"]) == (2, pytest.approx(1.0), False)
