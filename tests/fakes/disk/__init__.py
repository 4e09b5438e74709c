"""A disk that fails at the n-th write, for every n: on the real command, in a process into which `faults.c` is loaded.

What is counted are the calls of the process to its C library, so libraries in C++ and Rust are met as Python is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parent / "faults.c"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a command did whose n-th write failed.

    Attributes:
        n: the write.
        fired: whether there were so many.
        code: exit code.
        error: what it raised beside; "" for nothing, as it should be.
        lines: what it said on stderr.
        left: names of all files below its folder afterwards.
        again: exit code of the same command on a disk that works, in the same folder; None where it was not asked for.
        whole: names of all files after that.
    """

    n: int
    fired: bool
    code: int
    error: str
    lines: tuple[str, ...]
    left: tuple[str, ...]
    again: int | None = None
    whole: tuple[str, ...] = ()


def library(folder: Path) -> Path:
    """`faults.c`, compiled into *folder*; skips where there is no compiler, or no Linux."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler for a disk that fails")
    made = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, _SOURCE, "-ldl"], check=True)
    return made


def failing(
    library: Path,
    arguments: Sequence[str],
    folder: Path,
    *,
    error: int,
    once: bool = False,
    numbers: Sequence[int] = (),
    again: bool = False,
    before: Path | None = None,
) -> list[Failure]:
    """Run `samespace *arguments*` again and again in one process, each time with another write that fails.

    Args:
        arguments: "OUT" stands for the output, a name in a folder of each run's own.
        error: number that the failing calls leave in errno.
        once: only the n-th fails; otherwise all that follow it too.
        numbers: which n; () for 1, 2, ... until there are no more writes.
        again: run it a second time without faults, in the same folder.
        before: what is copied to OUT beforehand.
    """
    asked = {
        "arguments": list(arguments), "folder": str(folder), "error": error, "once": once, "numbers": list(numbers),
        "again": again, "before": str(before) if before else "",
    }  # fmt: skip
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "fakes.disk.child", json.dumps(asked)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
    assert process.returncode == 0
    return [
        Failure(**{name: tuple(value) if isinstance(value, list) else value for name, value in line.items()})
        for line in lines
    ]
