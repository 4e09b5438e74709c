"""How long `samespace serve` takes to be ready, cold and warm, and the memory that it holds then.

    python benchmarks/start.py artifacts/minilm --out benchmarks/results/start.json

Cold means that the kernel has forgotten the artifact and the Python packages; what another process has mapped, it
cannot forget, so stop other Pythons first. CPU seconds are what to compare on a busy machine: with one thread waiting
for the other, they are the most that a start takes on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from loadgen.machine import command_line, machine
from loadgen.processes import start

FORGET_BYTES: Final = 1 << 16  # smaller files are not worth the calls


def main() -> None:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--builds", default="int8,bf16,fp32", help="names, with commas between")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--runs", type=int, default=5, help="of each build, cold and warm")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = [
        measure(asked.artifact, build, asked.runtime, cold=cold, runs=asked.runs)
        for build in asked.builds.split(",")
        for cold in (True, False)
    ]
    for row in rows:
        sys.stdout.write(
            f"{row['build']:6} {row['runtime']:22} {'cold' if row['cold'] else 'warm':5} ready {row['ready_s']:.2f} s  "
            f"CPU {row['cpu_s']:.2f} s  memory {row['rss_bytes'] / 1e6:.0f} MB\n"
        )
    if asked.out is not None:
        told = {"command": command_line(), "machine": machine(), "runs": asked.runs, "starts": rows}
        asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measure(artifact: Path, build: str, runtime: str, *, cold: bool, runs: int) -> dict[str, Any]:
    """Medians over *runs* starts."""
    command = [sys.executable, "-m", "samespace", "serve", str(artifact), "--http-port", "0", "--grpc-port", "0"]
    command += ["--build", build, "--runtime", runtime]
    ready_s, cpu_s, rss_bytes, told = [], [], [], {}
    for _ in range(runs):
        if cold:
            forget([artifact, Path(sysconfig.get_path("purelib"))])
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            running = start(command, Path(log.name))
            try:
                ready_s.append(running.ready_s)
                cpu_s.append(running.tree.cpu_seconds())
                rss_bytes.append(running.tree.rss_bytes())
                told = json.loads(running.line)["spaces"][0]
            finally:
                running.stop()
    return {
        "build": told["build"],
        "runtime": told["runtime"],
        "cold": cold,
        "ready_s": statistics.median(ready_s),
        "cpu_s": statistics.median(cpu_s),
        "rss_bytes": int(statistics.median(rss_bytes)),
        "all_ready_s": ready_s,
    }


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
