"""A real Weaviate of one node, started from a binary (WEAVIATE_BINARY), on loopback alone, that may be killed."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from samespace_weaviate.access.address import Address
from samespace_weaviate.access.environment import variables
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.access.rest import Rest

_STARTS_IN_S = 60.0


@dataclass
class WeaviateProcess:
    """A Weaviate that can be killed and started again with its data.

    Attributes:
        binary: of Weaviate.
        data: folder.
        first_port: of six in a row.
        started: all processes so far.
    """

    binary: str
    data: Path
    first_port: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.first_port, False, self.first_port + 1)

    def start(self) -> None:
        """Start it; it is not ready yet."""
        first = self.first_port
        environment = {
            **os.environ,
            **{each.name: each.value for each in variables("http://127.0.0.1:9", cohere=True)},
            "PERSISTENCE_DATA_PATH": str(self.data),
            "GRPC_PORT": str(first + 1),
            "CLUSTER_GOSSIP_BIND_PORT": str(first + 2),
            "CLUSTER_DATA_BIND_PORT": str(first + 3),
            "RAFT_PORT": str(first + 4),
            "RAFT_INTERNAL_RPC_PORT": str(first + 5),
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "RAFT_TIMEOUTS_MULTIPLIER": "1",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",
            "LOG_LEVEL": "error",
        }
        command = [self.binary, "--host", "127.0.0.1", "--port", str(first), "--scheme", "http"]
        quiet = subprocess.DEVNULL
        self.started.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))

    def wait(self) -> None:
        """Until it says that it is ready."""
        rest = Rest.open(self.address, Patience(_STARTS_IN_S, first_s=0.2, longest_s=0.5))
        try:
            rest.ask("GET", "/.well-known/ready")
        finally:
            rest.web.close()

    def kill(self) -> None:
        """SIGKILL; what was not on the disk is lost."""
        self.started[-1].kill()
        self.started[-1].wait()


@contextmanager
def weaviate_process(binary: str, data: Path) -> Iterator[WeaviateProcess]:
    """A Weaviate that is ready; killed at the end."""
    made = WeaviateProcess(binary, data, free_ports(6))
    try:
        made.start()
        made.wait()
        yield made
    finally:
        for each in made.started:
            each.kill()
            each.wait()


def free_ports(count: int) -> int:
    """The first of so many free ports in a row: Weaviate takes its data port to be the one behind the gossip port."""
    for first in range(20_000, 30_000, count):
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")
