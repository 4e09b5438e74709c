"""A `samespace serve` process for the length of a `with`. (tests/weaviate is no package: it would hide `weaviate`.)"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Server:
    """Where a running server answers, and the first space that it serves."""

    http: str
    grpc: str
    space_id: str


@contextmanager
def serving(artifact: Path, *others: Path, token: str | None = None) -> Iterator[Server]:
    """Serve *artifact*, beside *others*, on free ports of loopback; to everybody, or to those who have the *token*."""
    served = [str(artifact), *map(str, others)]
    command = [sys.executable, "-m", "samespace", "serve", *served, "--http-port", "0", "--grpc-port", "0"]
    environment = {**os.environ, **({} if token is None else {"SAMESPACE_TOKENS": token})}
    with subprocess.Popen([*command, "--threads", "1"], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # comes when the server is ready, and is empty when it has ended
            assert line, f"samespace serve ended with {process.wait(STOP_TIMEOUT_S)} before it was ready"
            ready = json.loads(line)
            yield Server(
                http=f"http://127.0.0.1:{ready['http_port']}",
                grpc=f"127.0.0.1:{ready['grpc_port']}",
                space_id=ready["spaces"][0]["space_id"],
            )
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT_S)
