"""Nothing that is decided depends on the time of day: clocks are set, jump and go back."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("inference_server/samespace_server", "sdk/samespace/rpc", "sdk/samespace/runtime")
OF_DAY = {
    ("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"), ("datetime", "now"),
    ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip
ALLOWED = {("logs.py", "time", "gmtime"), ("observe.py", "time", "time_ns")}  # tell people when something happened


def calls(file: Path) -> Iterator[tuple[str, str]]:
    """(what it is called on, name) of every call in *file*, and imports that would hide one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            for name in node.names:
                yield node.module, name.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_only_monotonic_clocks_are_read(folder: str) -> None:
    """Deadlines, pauses, latencies and rates are measured by a clock that nobody sets."""
    files = [file for file in sorted((ROOT / folder).rglob("*.py")) if "v1" not in file.parts]
    assert len(files) > 5
    found = {(file.name, *call) for file in files for call in calls(file) if call in OF_DAY}
    assert found <= ALLOWED


def test_a_clock_that_jumps_disturbs_nobody(tiny_artifact: Path) -> None:
    """With a time of day that jumps by days at each look, in the client and the server, every request is answered."""
    code = """
import json, random, sys, threading, time
true = time.time
def jumping():
    # gRPC's core reads the system's clock by itself, and its Python part, which is compiled and so has no frame of its
    # own below its callers, has to agree with it.
    if sys._getframe(1).f_globals.get("__name__", "").startswith(("grpc", "samespace_server.rpc")):
        return true()
    return true() + random.choice((-864000, 0, 864000))
time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
import queue, os
from samespace.rpc.client import Client
from samespace_server.app import run
from samespace_server.settings import Choice, Settings
from pathlib import Path

told = queue.Queue()
def talk():
    ready = told.get(timeout=60)
    try:
        with Client(f"127.0.0.1:{ready['grpc_port']}", timeout_ms=20000) as client:
            space = ready["spaces"][0]["space_id"]
            rows = sum(len(client.embed(space, "query", ["a list"]).vectors) for _ in range(100))
            rows += sum(len(reply.vectors) for reply in client.embed_stream(space, "query", [["a"] * 8] * 50))
        print(rows, flush=True)
    finally:
        os.kill(os.getpid(), 15)

threading.Thread(target=talk).start()
settings = Settings(artifacts=(Path(sys.argv[1]),), http_port=0, grpc_port=0, choice=Choice("fp32", "onnxruntime"))
sys.exit(run(settings, told.put))
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(each for each in sys.path if each)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_artifact)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "500", done.stderr
    assert done.returncode == 0, done.stderr
