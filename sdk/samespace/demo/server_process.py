"""A `samespace serve` of one's own: started, waited for, and ended with the block that it serves."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ServerUnavailable

READY_TIMEOUT_S: Final = 120
_STOP_TIMEOUT_S: Final = 60
# A module that is None in sys.modules cannot be imported: the server proves that it needs neither.
_WITHOUT_TORCH: Final = (
    "import sys; sys.modules.update(torch=None, transformers=None); from samespace.cli import main; main()"
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that said it is ready; *ready* is the JSON line that it printed."""

    ready: dict[str, Any]
    connect_host: str

    @property
    def grpc(self) -> str:
        """host:port of its gRPC side."""
        return f"{self.connect_host}:{self.ready['grpc_port']}"

    @property
    def http(self) -> str:
        """http://host:port of its HTTP side."""
        return f"http://{self.connect_host}:{self.ready['http_port']}"


@contextmanager
def running_server(artifacts: Sequence[Path], log: Path, *, host: str = "127.0.0.1") -> Iterator[RunningServer]:
    """Serve *artifacts* on free ports in a process in which torch cannot be imported; its log goes to *log*.

    Raises:
        ServerUnavailable: it ended, or was not ready in time; the last lines of the log are in the message.
    """
    command = [sys.executable, "-c", _WITHOUT_TORCH, "serve", *map(str, artifacts)]
    command += ["--host", host, "--http-port", "0", "--grpc-port", "0"]
    with log.open("wb") as sink, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink) as process:
        try:
            assert process.stdout is not None
            lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
            try:
                line = lines.get(timeout=READY_TIMEOUT_S)
            except queue.Empty:
                raise ServerUnavailable(address=host, reason=f"not ready in {READY_TIMEOUT_S} s; {_end(log)}") from None
            if not line:
                raise ServerUnavailable(address=host, reason=f"ended before it was ready; {_end(log)}")
            yield RunningServer(json.loads(line), "127.0.0.1" if host == "0.0.0.0" else host)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _end(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    return f"the end of {log}: " + " | ".join(lines)
