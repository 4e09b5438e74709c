"""The engine with its threads and its event loop, over a model whose time is virtual: overload without a stopwatch."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from fakes.server.simulation import percentile
from samespace.artifact import open_artifact
from samespace.errors import Overloaded
from samespace.runtime import load_build
from samespace.text import Int64
from samespace.vectors import Float32
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.engine import Engine
from samespace_server.settings import Limits

US_PER_TOKEN = 500
TEXT, TOKENS = "the list of the user is in the file of the encoder", 13
CAPACITY_PER_S = 1_000_000 / US_PER_TOKEN / TOKENS


class VirtualModel:
    """Takes 500 us of virtual time for each padded token; a run ends when it is let go."""

    runtime, precision, version, streams = "onnxruntime", "fp32", "0", 1

    def __init__(self, dims: int) -> None:
        self.now_us = 1
        self.ends_us: int | None = None  # of the run that is under way
        self._go = threading.Semaphore(0)
        self._row = np.full(dims, 1 / np.sqrt(dims), dtype=np.float32)

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        self.ends_us = self.now_us + ids.size * US_PER_TOKEN
        self._go.acquire()
        return np.tile(self._row, (len(ids), 1))

    def end(self) -> None:
        """Let the run end, and the clock be there."""
        assert self.ends_us is not None
        self.now_us, self.ends_us = self.ends_us, None
        self._go.release()


async def offer(artifact: Path, per_s: float, until_us: int) -> tuple[list[int], list[Overloaded], int]:
    """Send queries at random virtual times; the latencies of the answers, the refusals, and the longest queue."""
    loaded = load_build(open_artifact(artifact), build="fp32", runtime="onnxruntime", threads=1)
    model = VirtualModel(loaded.artifact.manifest.identity.dims)
    engine = Engine(
        replace(loaded, session=model), Limits(max_queue_ms=500), Telemetry(), clock_us=lambda: model.now_us
    )
    for size in range(12):  # what warming up would have learnt
        engine._speed.observe(1 << size, (1 << size) * US_PER_TOKEN)
    latencies: list[int] = []
    refusals: list[Overloaded] = []
    queued = 0

    async def ask(at_us: int) -> None:
        try:
            await engine.embed([TEXT], "query")
        except Overloaded as refusal:
            refusals.append(refusal)
        else:
            latencies.append(model.now_us - at_us)

    dice, at_us = random.Random(1), 1.0
    tasks: list[asyncio.Task[None]] = []
    while at_us < until_us or engine._admission.queued_tokens:
        end_us = model.ends_us
        if at_us < until_us and (end_us is None or at_us <= end_us):
            if end_us is None and engine._admission.queued_tokens:  # the next run is about to begin
                await asyncio.sleep(0)
                continue
            model.now_us = max(model.now_us, int(at_us))
            tasks.append(asyncio.create_task(ask(model.now_us)))
            await asyncio.sleep(0)
            queued = max(queued, engine._admission.queued_tokens)
            at_us += dice.expovariate(per_s) * 1e6
        elif end_us is not None:
            model.end()
        else:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    engine.close()
    return latencies, refusals, queued


def test_overload_is_refused_and_what_is_accepted_is_quick(tiny_artifact: Path) -> None:
    """At 5 times capacity: answers within the queue's bound and two runs, refusals that say when, the model busy."""
    until_us = 2_000_000
    latencies, refusals, queued = asyncio.run(offer(tiny_artifact, 5 * CAPACITY_PER_S, until_us))
    longest_run_us = 2048 * US_PER_TOKEN
    assert percentile(latencies, 99) <= 500_000 + longest_run_us
    assert len(latencies) >= 0.9 * CAPACITY_PER_S * until_us / 1e6
    assert len(refusals) >= 3 * CAPACITY_PER_S * until_us / 1e6
    assert all(100 <= refusal.retry_after_ms <= 1000 for refusal in refusals)
    assert queued * US_PER_TOKEN <= 500_000 + longest_run_us


def test_below_capacity_nobody_is_refused(tiny_artifact: Path) -> None:
    """At 0.7 times capacity every query is answered, in a fraction of the bound."""
    latencies, refusals, _ = asyncio.run(offer(tiny_artifact, 0.7 * CAPACITY_PER_S, 1_000_000))
    assert not refusals
    assert percentile(latencies, 99) < 200_000
