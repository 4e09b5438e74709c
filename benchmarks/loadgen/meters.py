"""What a load costs: CPU and memory of the server's processes, our own CPU, and where the server's time went."""

from __future__ import annotations

import contextlib
import resource
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from samespace.rpc.v1 import encoder_pb2 as pb


def listener(port: int) -> int | None:
    """The process that listens on *port* of this machine, or None where that cannot be seen."""
    with contextlib.suppress(psutil.AccessDenied):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                return each.pid
    return None


class ProcessTree:
    """A process and its children."""

    def __init__(self, pid: int) -> None:
        """Watch the tree below *pid*."""
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """User and system time that the living processes have used."""
        return sum(each.cpu_times().user + each.cpu_times().system for each in self.processes())

    def rss_bytes(self) -> int:
        """Resident memory; pages that processes share count once for each."""
        return sum(each.memory_info().rss for each in self.processes())

    def peak_rss_bytes(self) -> int:
        """The most that was ever resident, where Linux tells it; else what is resident now."""
        total = 0
        for each in self.processes():
            try:
                with open(f"/proc/{each.pid}/status", encoding="ascii") as file:  # noqa: PTH123 - not a path of ours
                    total += next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))
            except (OSError, StopIteration):
                total += each.memory_info().rss
        return total

    def processes(self) -> list[psutil.Process]:
        """Parents before children."""
        return [self._root, *self._root.children(recursive=True)]


def own_cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load of *seconds* cost; of the server None where its process is not known."""

    own_cpu_s: float
    server_cpu_s: float | None
    server_rss_bytes: int | None
    server_peak_rss_bytes: int | None


class CostMeter:
    """From `begin` to `end`."""

    def __init__(self, pid: int | None) -> None:
        """Watch the server *pid*, if it is known."""
        self._tree = None if pid is None else ProcessTree(pid)

    def begin(self) -> None:
        """Start to count."""
        self._own = own_cpu_seconds()
        self._server = self._tree.cpu_seconds() if self._tree else 0.0

    def end(self) -> Cost:
        """What was used since `begin`."""
        own = own_cpu_seconds() - self._own
        if self._tree is None:
            return Cost(own, None, None, None)
        used = self._tree.cpu_seconds() - self._server
        return Cost(own, used, self._tree.rss_bytes(), self._tree.peak_rss_bytes())


# -- where the time of a request went, by the server's word

STAGES = ("tokenize", "queue", "run")


def reply_stages(bodies: Sequence[bytes]) -> dict[str, dict[str, float]]:
    """Milliseconds of each stage (p50, p99) out of gRPC replies."""
    timings = [pb.EmbedReply.FromString(body).timings for body in bodies]
    if not timings:
        return {}
    rows = np.array([(each.tokenize_us, each.queue_us, each.run_us) for each in timings]) / 1000
    low, high = np.percentile(rows, (50, 99), axis=0)
    return {stage: {"p50_ms": float(low[at]), "p99_ms": float(high[at])} for at, stage in enumerate(STAGES)}


def scrape(url: str) -> dict[str, float]:
    """Prometheus' numbers at *url* by name and labels; empty where there is no such page."""
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            page = reply.read().decode("utf-8")
    except OSError:
        return {}
    numbers = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            numbers[name] = float(value)
    return numbers


def metrics_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Mean milliseconds of each stage, windows of a run, and the share of padding, out of two pages of samespace's."""

    def grown(name: str, label: str = "") -> float:
        return sum(
            value - before.get(key, 0.0)
            for key, value in after.items()
            if key.partition("{")[0] == name and label in key
        )

    found = {}
    for stage in STAGES:
        label = f'stage="{stage}"'
        if count := grown("samespace_stage_seconds_count", label):
            found[f"{stage}_mean_ms"] = 1000 * grown("samespace_stage_seconds_sum", label) / count
    if runs := grown("samespace_batch_rows_count"):
        found["rows_a_run"] = grown("samespace_batch_rows_sum") / runs
    tokens, padding = grown("samespace_tokens_total"), grown("samespace_padding_tokens_total")
    if tokens:
        found["padding_share"] = padding / (tokens + padding)
    return found
