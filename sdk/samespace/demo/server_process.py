"""A `samespace serve` of one's own: started, waited for, and ended with the block that it serves."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ProbesFailed, ServerUnavailable

if TYPE_CHECKING:
    from ..artifact import Artifact

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


def check_probes(server: RunningServer, artifact: Artifact) -> Iterator[str]:
    """Compare the probes over gRPC and over HTTP with the artifact's reference vectors; yield what was seen.

    Raises:
        ProbesFailed: vectors are beyond the bound of the build that is served.
    """
    import numpy as np

    from ..encoder import Encoder

    probes = artifact.probes()
    (space,) = server.ready["spaces"]
    build = artifact.manifest.build(space["build"])
    assert build is not None
    bound = next(each.bound for each in build.measured if space["runtime"].startswith(each.runtime))
    vectors = np.empty_like(probes.vectors)
    with Encoder.connect(server.grpc) as encoder:
        for role in ("query", "passage"):
            rows = [row for row, each in enumerate(probes.roles) if each == role]
            vectors[rows] = encoder.encode([probes.texts[row] for row in rows], role)
    worst = {"gRPC": probes.worst(vectors)}
    url = f"{server.http}/e/{artifact.space_id}/vectors"
    for row, (text, role) in enumerate(zip(probes.texts, probes.roles, strict=True)):
        body = json.dumps({"text": text, "config": {"task_type": role}}).encode()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            vectors[row] = json.load(reply)["vector"]
    worst["HTTP"] = probes.worst(vectors)
    for protocol, distance in worst.items():
        if not distance <= bound:
            raise ProbesFailed(build=build.name, runtime=f"the server over {protocol}", worst=distance, bound=bound)
        yield (f"{len(probes.texts)} probes over {protocol}: worst 1 - cos {distance:.1e}, bound {bound:.1e}")
    yield (f"it runs build {space['build']} on {space['runtime']}.")


def _end(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    return f"the end of {log}: " + " | ".join(lines)
