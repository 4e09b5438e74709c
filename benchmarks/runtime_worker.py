"""One runtime in a process of its own, measured on command: what `runtimes.py` interleaves.

Each variant has its own process, so that thread pools, arenas and spinning threads of one are not another's, and
memory can be told apart. A worker that is not asked does nothing.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np

from samespace.embed import length_batches
from samespace.runtime.shapes import padded, rounded_length

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
VOCABULARY: Final = (1000, 28000)
"""Ids are drawn from plain words of BERT's vocabulary; a runtime's speed does not depend on which."""


@dataclass(frozen=True)
class Variant:
    """One way to run a file.

    Attributes:
        runtime: "onnxruntime" or "openvino".
        options: passed to the runtime as they are. onnxruntime: fields of SessionOptions, and "config.KEY" for its
            session configuration. OpenVINO: properties of the CPU device.
        callers: threads that call the session at once, each with its own batches.
        budget: padded tokens of one batch.
        padding: share of a batch's own tokens that padding may add; None for no limit.
        rounded: lengths are rounded up as the sessions of samespace do it.
        static: lengths that are compiled one by one, with rows in powers of two; () for one dynamic shape.
        transform: how the OpenVINO model is changed before it is compiled: "", "int8_sym", "int8_asym", "int4_sym".
        environment: variables that the process starts with.
    """

    name: str
    file: str
    runtime: str
    options: Mapping[str, Any] = field(default_factory=dict)
    callers: int = 1
    budget: int = 1024
    padding: float | None = None
    rounded: bool = False
    static: tuple[int, ...] = ()
    transform: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """One pass over all texts of a class: seconds of the clock and of the processors."""

    wall_s: float
    cpu_s: float


class Worker:
    """A variant in its own process."""

    def __init__(self, variant: Variant) -> None:
        """Start it and wait until it is loaded."""
        self.variant = variant
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(variant, theirs), daemon=True)
        self._process.start()
        told = self._pipe.recv()
        if isinstance(told, str):
            raise RuntimeError(f"{variant.name}: {told}")
        self.load_s, self.rss_mb = told

    def measure(self, lengths: Sequence[int], budget: int | None = None) -> Pass:
        """One pass over random texts of *lengths* tokens."""
        self._pipe.send((tuple(lengths), budget or self.variant.budget))
        return Pass(*self._pipe.recv())

    def memory_mb(self) -> float:
        """What its process takes now, interpreter included."""
        self._pipe.send("memory")
        return float(self._pipe.recv())

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(timeout=20)


def _serve(variant: Variant, pipe: Any) -> None:
    os.environ.update(variant.environment)  # before the runtime is imported, which reads them once
    before = _rss_mb()
    began = time.perf_counter()
    try:
        run = open_raw(variant)
        run(*_batch([8, 8]))
    except Exception as error:  # noqa: BLE001 - whatever the runtime says is the result of this variant
        pipe.send(str(error).strip().splitlines()[-1][:300])
        return
    pipe.send((time.perf_counter() - began, _rss_mb() - before))
    batches: dict[Any, list[tuple[np.ndarray, np.ndarray]]] = {}
    with ThreadPoolExecutor(variant.callers) as pool:
        while (asked := pipe.recv()) is not None:
            if asked == "memory":
                pipe.send(_rss_mb())
                continue
            if asked not in batches:
                batches[asked] = [_batch([asked[0][i] for i in rows]) for rows in _rows(variant, *asked)]
            todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for batch in batches[asked]:
                todo.put(batch)
            wall, cpu = time.perf_counter(), time.process_time()
            if variant.callers == 1:
                _drain(run, todo)
            else:
                list(pool.map(_drain, [run] * variant.callers, [todo] * variant.callers))
            pipe.send((time.perf_counter() - wall, time.process_time() - cpu))


def _drain(run: Run, todo: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            batch = todo.get_nowait()
        except queue.Empty:
            return
        run(*batch)


def _rows(variant: Variant, lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows of each batch: like lengths together, within the budget and the padding that is allowed."""
    if variant.padding is None:
        return length_batches(lengths, budget)
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda each: lengths[each]):
        if batches:
            with_row = [*batches[-1], row]
            own, padded = sum(lengths[each] for each in with_row), len(with_row) * lengths[row]
            if padded <= budget and padded - own <= variant.padding * own:
                batches[-1].append(row)
                continue
        batches.append([row])
    return batches


def _batch(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return random.integers(*VOCABULARY, size=mask.shape) * mask, mask


def open_raw(variant: Variant) -> Run:
    """A function from ids and mask to vectors, made as the variant says."""
    run = _onnxruntime(variant) if variant.runtime == "onnxruntime" else _openvino(variant)
    if not variant.rounded:
        return run

    def run_rounded(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        rows, tokens = ids.shape
        return run(*padded(ids, mask, rows=rows, tokens=rounded_length(tokens, 512)))

    return run_rounded


def _onnxruntime(variant: Variant) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    for name, value in variant.options.items():
        if name.startswith("config."):
            options.add_session_config_entry(name.removeprefix("config."), value)
        elif name == "execution_mode":
            options.execution_mode = onnxruntime.ExecutionMode(value)
        else:
            setattr(options, name, value)
    session = onnxruntime.InferenceSession(variant.file, options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def _openvino(variant: Variant) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(variant.file)
    if variant.transform:
        import nncf

        modes = nncf.CompressWeightsMode
        model = nncf.compress_weights(model, mode=getattr(modes, variant.transform.upper()))
    settings = dict(variant.options)
    if not variant.static:
        return _requests(core.compile_model(model, "CPU", settings))
    compiled: dict[tuple[int, int], Run] = {}

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        rows, tokens = ids.shape
        length = min(each for each in variant.static if each >= tokens)
        height = 1 << (rows - 1).bit_length()
        shape = (height, length)
        if shape not in compiled:
            model.reshape({name: list(shape) for name in ("input_ids", "attention_mask")})
            compiled[shape] = _requests(core.compile_model(model, "CPU", settings))
        return compiled[shape](*padded(ids, mask, rows=height, tokens=length))[:rows]

    return run


def _requests(compiled: Any) -> Run:
    output, free = compiled.output(0), queue.SimpleQueue[Any]()

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        try:
            request = free.get_nowait()
        except queue.Empty:
            request = compiled.create_infer_request()
        result = np.array(request.infer({"input_ids": ids, "attention_mask": mask})[output])
        free.put(request)
        return result

    return run


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
