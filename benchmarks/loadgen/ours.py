"""samespace's own contestants: `samespace serve` with each build through each door, and the bare runtimes below it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

from .contestants import Contestant, Door, Group, Library
from .dialects import DIALECTS
from .measure import Target
from .processes import Running, start

DOORS: Final = {"HTTP": "vectors", "gRPC": "grpc", "stream": "stream"}


def served(artifact: Path, build: str, work: Path, clients: int, options: tuple[str, ...]) -> list[Contestant]:
    """One server with *build*, through each door; raises `NotStarted`."""
    command = [sys.executable, "-m", "samespace", "serve", str(artifact), "--http-port", "0", "--grpc-port", "0"]
    running = start([*command, "--build", build, *options], work / f"samespace-{build}.log")
    ready = json.loads(running.line)
    space = ready["spaces"][0]
    facts = {name: space[name] for name in ("build", "runtime", "precision")} | {"options": list(options)}
    found: list[Contestant] = []
    for name, dialect in DOORS.items():
        grpc = not DIALECTS[dialect].path
        target = Target(
            dialect=dialect,
            host="127.0.0.1",
            port=ready["grpc_port" if grpc else "http_port"],
            path="" if grpc else f"/e/{space['space_id']}{DIALECTS[dialect].path}",
            model=space["space_id"],
            pid=running.pid,
            metrics=f"http://127.0.0.1:{ready['http_port']}/metrics",
        )
        found.append(Door(f"samespace {build}, {name}", "samespace", running, target, clients, facts))
    return found


def in_process(name: str, group: Group, work: Path, *arguments: str) -> list[Contestant]:
    """What `inprocess` makes of *arguments*; raises `NotStarted`."""
    folder = work / name.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    running: Running = start(
        [sys.executable, "-m", "loadgen.inprocess", *arguments],
        folder / "log",
        environment={"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    return [Library(name, group, running, folder, json.loads(running.line))]
