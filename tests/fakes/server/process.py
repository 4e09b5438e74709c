"""A real `samespace serve` process on free ports, for tests that talk to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    process: subprocess.Popen[str]
    told: dict[str, Any]
    log: Path

    @property
    def http(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.told['http_port']}"

    @property
    def grpc(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.told['grpc_port']}"

    @property
    def admin(self) -> str:
        """The address of the admin port, for servers that were given one."""
        return f"127.0.0.1:{self.told['admin_port']}"

    @property
    def space_ids(self) -> list[str]:
        """In the order of the artifacts."""
        return [space["space_id"] for space in self.told["spaces"]]

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels, 0 where it was never counted."""
        page = httpx.get(f"{self.http}/metrics").text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def serving(
    *artifacts: Path,
    options: tuple[str, ...] = (),
    runtime: str = "onnxruntime",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Start a server, wait for its ready line, and end it whatever happens."""
    command = [sys.executable, "-m", "samespace", "serve", *map(str, artifacts), "--http-port", "0", "--grpc-port", "0"]
    command += ["--runtime", runtime, "--build", "fp32", *options]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".log") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(environment or {})}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # ends with the process, if that fails
            if not line:
                raise AssertionError(f"the server did not start: {Path(log.name).read_text()}")
            yield Running(process, json.loads(line), Path(log.name))
        finally:
            if process.poll() is None:
                process.kill()
