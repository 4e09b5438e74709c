"""An engine over the real model behind a gate: nothing depends on how fast a machine is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from samespace.runtime import LoadedBuild
from samespace.text import Int64
from samespace.vectors import Float32
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.engine import Engine
from samespace_server.settings import Limits


class GatedModel:
    """Runs the real model while its gate is open, and notes the shape of each batch."""

    runtime, precision, version, streams = "onnxruntime", "fp32", "0", 1

    def __init__(self, loaded: LoadedBuild) -> None:
        self._model = loaded.session
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.shapes: list[tuple[int, ...]] = []
        self.spoil: Callable[[Float32], Float32] = lambda vectors: vectors

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        self.shapes.append(ids.shape)
        self.entered.release()
        assert self.gate.wait(60)
        return self.spoil(self._model(ids, mask))


@asynccontextmanager
async def engine_of(
    loaded: LoadedBuild, *, runners: int = 1, **limits: int
) -> AsyncIterator[tuple[Engine, GatedModel]]:
    model = GatedModel(loaded)
    model.streams = runners
    engine = Engine(replace(loaded, session=model), Limits(**limits), Telemetry())
    try:
        yield engine, model
    finally:
        model.gate.set()
        engine.close()


async def until_running(model: GatedModel) -> None:
    """Return when the worker is inside the model."""
    await asyncio.to_thread(model.entered.acquire)


async def until_queued(engine: Engine, windows: int) -> None:
    """Return when that many windows wait behind the one that runs."""
    while engine._workers.waiting < windows:
        await asyncio.sleep(0)
