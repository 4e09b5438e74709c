"""OpenVINO without what it does besides computing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_nobody_is_told_that_it_runs(tiny_artifact: Path, tmp_path: Path) -> None:
    """Running a build on OpenVINO loads no telemetry and leaves nothing in the home folder."""
    code = (
        "import sys; from samespace import Encoder;"
        f"Encoder.load({str(tiny_artifact)!r}, runtime='openvino').encode(['a list'], 'query');"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    path = ":".join(each for each in sys.path if each)
    environment = {"HOME": str(tmp_path), "PYTHONPATH": path, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    assert list(tmp_path.iterdir()) == []
