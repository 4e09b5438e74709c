"""How much memory another process takes at most, and how long its event loop keeps people waiting."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx

LIMIT_BYTES: Final = 1 << 30
"""What docker/kubernetes.yaml gives a server."""


@dataclass
class Peak:
    """What a process took while it was watched.

    Attributes:
        before_bytes: resident when it began.
        bytes: resident at the most, as the kernel counts it.
    """

    before_bytes: int
    bytes: int = 0

    @property
    def more_bytes(self) -> int:
        """What was taken beyond what was there."""
        return self.bytes - self.before_bytes


def resident(pid: int, which: str = "VmRSS") -> int:
    """Bytes of a process that are in memory; "VmHWM" for the most since it was last reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {which} of process {pid}")


@contextmanager
def peak_of(pid: int) -> Iterator[Peak]:
    """Measure the most memory that process *pid* takes inside the block. Linux alone."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets VmHWM; proc(5)
    peak = Peak(resident(pid))
    try:
        yield peak
    finally:
        peak.bytes = resident(pid, "VmHWM")


@dataclass
class Waits:
    """How long a stranger waited for the simplest answer, again and again."""

    longest_ms: float = 0
    answered: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def asking(url: str, every_ms: int = 20) -> Iterator[Waits]:
    """GET *url* over one connection all the time, as a probe would, while the block does something else."""
    waits, stop = Waits(), threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.wait(every_ms / 1000):
                began = time.perf_counter()
                try:
                    status = client.get(url).status_code
                except httpx.HTTPError as error:
                    waits.failed.append(type(error).__name__)
                    continue
                waits.longest_ms = max(waits.longest_ms, (time.perf_counter() - began) * 1000)
                if status in (200, 204):
                    waits.answered += 1
                else:
                    waits.failed.append(str(status))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join(60)


class Lag:
    """How often the event loop of a server was more than 50 ms late while the block was at work.

    Attributes:
        late: timers.
        starved: how many of them may be so because other programs had the processor: the time that the kernel let the
            loop's thread wait for one, in pieces of 50 ms.
    """

    def __init__(self, url: str, pid: int) -> None:
        """*url* is the server's base; its loop runs in the first thread of *pid*."""
        self._url, self._schedule = url, Path(f"/proc/{pid}/task/{pid}/schedstat")
        self.late = self.starved = 0

    def _seen(self) -> int:
        page = httpx.get(f"{self._url}/metrics", timeout=60).text
        (in_time,) = re.findall(r'^samespace_loop_lag_seconds_bucket\{le="0.05"\} (\S+)$', page, re.MULTILINE)
        (all_,) = re.findall(r"^samespace_loop_lag_seconds_count (\S+)$", page, re.MULTILINE)
        return int(float(all_) - float(in_time))

    def _waited_ns(self) -> int:
        return int(self._schedule.read_text().split()[1]) if self._schedule.exists() else 0

    def __enter__(self) -> Self:
        self._before, self._waited_before = self._seen(), self._waited_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.late = self._seen() - self._before
        self.starved = (self._waited_ns() - self._waited_before) // 50_000_000
