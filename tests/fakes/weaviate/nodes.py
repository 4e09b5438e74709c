"""Real Weaviate nodes on loopback, one or several that form a cluster; they may be killed, stopped and started again.

They run a binary that is on this machine already (WEAVIATE_BINARY); nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from samespace_weaviate.access.address import Address
from samespace_weaviate.access.environment import variables

READY_TIMEOUT_S = 120
_PORTS = 7  # REST, gRPC, gossip, data (the one behind gossip), raft, raft's own RPC, profiling


class Node:
    """One Weaviate process and its folder of data."""

    def __init__(self, binary: Path, folder: Path, name: str, first_port: int, more: Mapping[str, str]) -> None:
        self.name, self.folder = name, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        rest, grpc, gossip, data, raft, raft_rpc, profiling = range(first_port, first_port + _PORTS)
        self.url, self.rest_port, self.grpc_port = f"http://127.0.0.1:{rest}", rest, grpc
        self.address = Address("127.0.0.1", rest, False, grpc)
        key = more.get("AUTHENTICATION_APIKEY_ALLOWED_KEYS", "").partition(",")[0]
        self.headers = {"authorization": f"Bearer {key}"} if key else {}
        self.gossip = gossip
        self.peers: list[int] = []
        """Gossip ports of the other nodes."""
        self._command = [str(binary), "--host", "127.0.0.1", "--port", str(rest), "--scheme", "http"]
        self._environment = {
            **os.environ,
            **{variable.name: variable.value for variable in variables("http://127.0.0.1:9", cohere=True)},
            "PERSISTENCE_DATA_PATH": str(folder / "data"),
            "GRPC_PORT": str(grpc),
            "CLUSTER_HOSTNAME": name,
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(raft_rpc),
            "RAFT_TIMEOUTS_MULTIPLIER": "1",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",
            "GO_PROFILING_PORT": str(profiling),
            "GOMAXPROCS": "2",
            "LIMIT_RESOURCES": "false",
            **more,
        }

    def start(self) -> None:
        """Start the process, which joins the nodes that run; it is not ready yet."""
        assert not self.runs, f"{self.name} runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        join = ",".join(f"127.0.0.1:{port}" for port in self.peers if _listens(port))
        environment = {**self._environment, **({"CLUSTER_JOIN": join} if join else {})}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)
        self.starts += 1

    @property
    def runs(self) -> bool:
        """Whether there is a process, also one that is paused."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a lost machine."""
        self._end(kill=True)

    def stop(self) -> None:
        """SIGTERM, as in a rolling restart."""
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        if self.process is not None and self.runs:
            self.process.kill() if kill else self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def pause(self) -> None:
        """Stop it in the middle of whatever it does (SIGSTOP), as a partition or a stalled machine."""
        assert self.process is not None
        os.kill(self.process.pid, 19)

    def resume(self) -> None:
        """Let a paused node go on."""
        assert self.process is not None
        os.kill(self.process.pid, 18)

    @property
    def is_ready(self) -> bool:
        """Whether its readiness probe answers."""
        try:
            return httpx.get(f"{self.url}/v1/.well-known/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when it is ready."""
        until = time.monotonic() + timeout_s
        while not self.is_ready:
            assert self.process is not None
            ended = self.process.poll()
            assert ended is None, f"{self.name} ended with {ended}: {self.log_end()}"
            assert time.monotonic() < until, f"{self.name} is not ready after {timeout_s} s: {self.log_end()}"
            time.sleep(0.2)

    def log_end(self) -> str:
        """The last lines that it wrote."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]


class Nodes:
    """The nodes of one cluster."""

    def __init__(self, nodes: list[Node]) -> None:
        self.all = nodes

    def __getitem__(self, place: int) -> Node:
        return self.all[place]

    def __len__(self) -> int:
        return len(self.all)

    @property
    def urls(self) -> list[str]:
        """REST addresses."""
        return [node.url for node in self.all]

    def start(self) -> None:
        """Start all that do not run, and wait until each is ready and sees every other."""
        for node in self.all:
            if not node.runs:
                node.start()
                _wait_for_port(node)  # older versions end where nobody answers whom they could join
        for node in self.all:
            node.wait()
        self.wait_whole()

    def wait_whole(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Return when every node sees all nodes as healthy."""
        until = time.monotonic() + timeout_s
        while not all(self._healthy(node) == len(self.all) for node in self.all):
            for node in self.all:
                assert node.runs, f"{node.name} ended: {node.log_end()}"
            assert time.monotonic() < until, f"not whole after {timeout_s} s"
            time.sleep(0.2)

    @staticmethod
    def _healthy(node: Node) -> int:
        try:
            told = httpx.get(f"{node.url}/v1/nodes", headers=node.headers, timeout=5).json().get("nodes") or []
        except (httpx.HTTPError, ValueError):
            return 0
        return sum(each["status"] == "HEALTHY" for each in told)

    def leader(self) -> Node:
        """The node that leads the schema's consensus."""
        for node in self.all:
            with contextlib.suppress(httpx.HTTPError):
                told = httpx.get(f"{node.url}/v1/cluster/statistics", headers=node.headers, timeout=5).json()
                for each in told.get("statistics") or []:
                    named = str(each.get("leaderId") or "")
                    found = [other for other in self.all if other.name == named]
                    if found:
                        return found[0]
        raise AssertionError("no node knows a leader")


@contextmanager
def weaviate_nodes(
    binary: Path, folder: Path, count: int = 1, *, environment: Mapping[str, str] | None = None
) -> Iterator[Nodes]:
    """*count* nodes that form a cluster, started and ready; killed at the end."""
    first = free_ports(_PORTS * count)
    places = [first + _PORTS * row for row in range(count)]
    names = [f"node{row + 1}" for row in range(count)]
    joined = {
        "RAFT_JOIN": ",".join(f"{name}:{place + 4}" for name, place in zip(names, places, strict=True)),
        "RAFT_BOOTSTRAP_EXPECT": str(count),
        **(environment or {}),
    }
    nodes = Nodes([Node(binary, folder / name, name, place, joined) for name, place in zip(names, places, strict=True)])
    for node in nodes.all:
        node.peers = [other.gossip for other in nodes.all if other is not node]
    try:
        nodes.start()
        yield nodes
    finally:
        for node in nodes.all:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                node.resume()
            node.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for_port(node: Node, timeout_s: float = 30) -> None:
    until = time.monotonic() + timeout_s
    while not _listens(node.gossip):
        assert node.runs and time.monotonic() < until, f"{node.name} does not listen on its gossip port"
        time.sleep(0.05)


def free_ports(count: int) -> int:
    """The first of so many free ports in a row.

    Each process looks in a place of its own first: a node that is killed and started again must find its ports free.
    """
    places = range(20_000, 30_000, count)
    start = os.getpid() * 17 % len(places)
    for first in (*places[start:], *places[:start]):
        with ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")
