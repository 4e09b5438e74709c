"""OpenVINO without what it does besides computing: telemetry, and holding on to cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from samespace import Encoder


def test_nobody_is_told_that_it_runs(tiny_artifact: Path, tmp_path: Path) -> None:
    """Running a build on OpenVINO loads no telemetry; in the home folder is only our own cache."""
    code = (
        "import sys; from samespace import Encoder;"
        f"Encoder.load({str(tiny_artifact)!r}, runtime='openvino').encode(['a list'], 'query');"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    path = ":".join(each for each in sys.path if each)
    environment = {"HOME": str(tmp_path), "PYTHONPATH": path, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    kept = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")}
    assert all(".cache/samespace".startswith(each) or each.startswith(".cache/samespace") for each in kept)


def test_a_run_is_not_tied_to_a_core(tiny_artifact: Path) -> None:
    """The thread that runs may be on every core that the process has: two processes do not meet on the first one."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this process has one core only")
    with Encoder.load(tiny_artifact, runtime="openvino", threads=1) as encoder:
        done, seen = threading.Event(), set[frozenset[int]]()

        def run() -> None:
            while not done.is_set():
                encoder.encode(["a list of many words " * 20] * 64, "passage")

        runner = threading.Thread(target=run)
        runner.start()
        try:
            assert runner.native_id is not None
            for _ in range(200):
                seen.add(frozenset(os.sched_getaffinity(runner.native_id)))
                time.sleep(0.002)
        finally:
            done.set()
            runner.join()
    assert seen == {frozenset(os.sched_getaffinity(0))}
