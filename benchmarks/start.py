"""How long `samespace serve` takes to be ready, for the first time, cold and warm, and the memory that it holds then.

    python benchmarks/start.py artifacts/minilm --out benchmarks/results/start.json

A first start finds nothing that an earlier one kept (`~/.cache/samespace`; here a folder of the benchmark's own).
Cold means that the kernel has forgotten the artifact and the Python packages; what another process has mapped, it
cannot forget, so stop other Pythons first. CPU seconds are what to compare on a busy machine: with one thread waiting
for the other, they are the most that a start takes on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from loadgen.machine import command_line, machine
from loadgen.processes import start

STATES: Final = ("first", "cold", "warm")
FORGET_BYTES: Final = 1 << 16  # smaller files are not worth the calls


def main() -> None:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--builds", default="int8,bf16,fp32", help="names, with commas between")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--runs", type=int, default=5, help="of each build in each state")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = [
        measure(asked.artifact, build, asked.runtime, state, runs=asked.runs)
        for build in asked.builds.split(",")
        for state in STATES
    ]
    for row in rows:
        sys.stdout.write(
            f"{row['build']:6} {row['runtime']:22} {row['state']:5} ready {row['ready_s']:.2f} s  "
            f"CPU {row['cpu_s']:.2f} s  memory {row['rss_bytes'] / 1e6:.0f} MB\n"
        )
    if asked.out is not None:
        told = {"command": command_line(), "machine": machine(), "runs": asked.runs, "starts": rows}
        asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measure(artifact: Path, build: str, runtime: str, state: str, *, runs: int) -> dict[str, Any]:
    """Medians over *runs* starts in *state*, one of `STATES`."""
    with tempfile.TemporaryDirectory() as kept:
        if state != "first":
            _start(artifact, build, runtime, Path(kept))
        return _measure(artifact, build, runtime, state, Path(kept), runs=runs)


def _measure(artifact: Path, build: str, runtime: str, state: str, kept: Path, *, runs: int) -> dict[str, Any]:
    starts = []
    for _ in range(runs):
        if state == "cold":
            forget([artifact, Path(sysconfig.get_path("purelib")), kept])
        if state == "first":
            shutil.rmtree(kept / "samespace", ignore_errors=True)
        starts.append(_start(artifact, build, runtime, kept))
    ready_s, cpu_s, rss_bytes, told = zip(*starts, strict=True)
    return {
        "build": told[-1]["build"],
        "runtime": told[-1]["runtime"],
        "state": state,
        "ready_s": statistics.median(ready_s),
        "cpu_s": statistics.median(cpu_s),
        "rss_bytes": int(statistics.median(rss_bytes)),
        "all_ready_s": list(ready_s),
    }


def _start(artifact: Path, build: str, runtime: str, kept: Path) -> tuple[float, float, int, dict[str, Any]]:
    """Seconds until it was ready, CPU seconds, resident bytes, and what the ready line says of the space."""
    command = [sys.executable, "-m", "samespace", "serve", str(artifact), "--http-port", "0", "--grpc-port", "0"]
    command += ["--build", build, "--runtime", runtime]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        running = start(command, Path(log.name), environment={"XDG_CACHE_HOME": str(kept)})
        try:
            told = json.loads(running.line)["spaces"][0]
            return running.ready_s, running.tree.cpu_seconds(), running.tree.rss_bytes(), told
        finally:
            running.stop()


def forget(folders: Iterable[Path]) -> None:
    """Let the kernel drop the files below *folders* from its memory."""
    os.sync()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= FORGET_BYTES:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)


if __name__ == "__main__":
    main()
