"""What `benchmarks/peers.py` measures in turn: servers through their doors, and libraries in processes of their own.

A contestant is one way to get vectors: one door of a server, or one library. Those of one server share its process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, Protocol

import numpy as np

from samespace.rpc.client import Client

from .dialects import Float32
from .loops import Window
from .measure import Load, Target, measure
from .meters import own_cpu_seconds
from .processes import Running
from .texts import Text

Group = Literal["samespace", "bare", "library", "peer"]
STREAM_BATCH: Final = 64
STREAM_DEPTH: Final = 4
_ROUNDS: Final = 2  # of all clients that a slow server is given, so that its bursts even out
_MOST: Final = 3.0  # times the measured seconds that this may take


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: numbers for JSON, and the vectors that came, by text."""

    numbers: dict[str, Any]
    answered: Sequence[int]
    vectors: Float32


class Contestant(Protocol):
    """One way to get vectors."""

    name: str
    group: Group
    running: Running
    facts: Mapping[str, Any]

    def load(self, kind: str, texts: Sequence[Text], seconds: float, seed: int) -> Cell:
        """Texts a second of one class of texts, and what comes with it."""

    def alone(self, kind: str, texts: Sequence[Text], seconds: float) -> dict[str, float] | None:
        """The latency of one client alone; None where it says nothing."""


@dataclass(slots=True)
class Door:
    """A server, through one of its doors."""

    name: str
    group: Group
    running: Running
    target: Target
    clients: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def load(self, kind: str, texts: Sequence[Text], seconds: float, seed: int) -> Cell:
        """*clients* that send one text at a time; by stream, one that sends 64 and has 4 such batches under way."""
        stream = self.target.dialect == "stream"
        clients = 1 if stream else self.clients
        depth = STREAM_DEPTH if stream else 1
        window = Window(
            warmup_s=0.3 * seconds, measure_s=seconds, least=_ROUNDS * clients * depth + 1, most_s=_MOST * seconds
        )
        batch = STREAM_BATCH if stream else 1
        measured = measure(self.target, texts, Load(window, clients=clients, batch=batch, depth=depth, seed=seed))
        return Cell(measured.numbers, measured.answered, measured.vectors)

    def alone(self, kind: str, texts: Sequence[Text], seconds: float) -> dict[str, float] | None:
        """One client, one text at a time."""
        if self.target.dialect == "stream":
            return None
        measured = measure(self.target, texts, Load(Window(0.2 * seconds, seconds), clients=1))
        found = {name: value for name, value in measured.numbers.items() if name.startswith("latency")}
        if self.target.dialect == "grpc":
            found["latency_p50_ms_of_python_client"] = self._by_client(texts, seconds)
        return found

    def _by_client(self, texts: Sequence[Text], seconds: float) -> float:
        """The median through samespace's own client, with all that Python and grpcio cost there."""
        times: list[float] = []
        with Client(f"{self.target.host}:{self.target.port}") as client:
            began = time.perf_counter()
            while time.perf_counter() - began < seconds:
                start = time.perf_counter()
                client.embed(self.target.model, "passage", [texts[len(times) % len(texts)].text])
                times.append(time.perf_counter() - start)
        return 1000 * median(times[len(times) // 5 :])


@dataclass(slots=True)
class Library:
    """What `inprocess` runs."""

    name: str
    group: Group
    running: Running
    work: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    _vectors: dict[str, Float32] = field(default_factory=dict)

    def load(self, kind: str, texts: Sequence[Text], seconds: float, seed: int) -> Cell:
        """In the best batches."""
        self._know(kind, texts)
        before = self.running.tree.cpu_seconds(), own_cpu_seconds()
        numbers = self._ask(do="load", kind=kind, seconds=seconds)
        numbers["server_rss_bytes"] = self.running.tree.rss_bytes()
        numbers["server_cpu_s"] = self.running.tree.cpu_seconds() - before[0]
        return Cell(numbers, range(len(texts)), self._vectors[kind])

    def alone(self, kind: str, texts: Sequence[Text], seconds: float) -> dict[str, float] | None:
        """One text at a time."""
        self._know(kind, texts)
        found: dict[str, float] = self._ask(do="alone", kind=kind, seconds=seconds)
        return found

    def _know(self, kind: str, texts: Sequence[Text]) -> None:
        if kind not in self._vectors:
            file = self.work / f"{kind}.npy"
            self._ask(do="texts", kind=kind, texts=[text.text for text in texts], file=str(file))
            self._vectors[kind] = np.load(file)

    def _ask(self, **command: object) -> dict[str, Any]:
        pipe_in, pipe_out = self.running.process.stdin, self.running.process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(command).encode() + b"\n")
        pipe_in.flush()
        found: dict[str, Any] = json.loads(pipe_out.readline())
        return found
