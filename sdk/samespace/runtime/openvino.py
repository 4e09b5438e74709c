"""OpenVINO sessions: the same ONNX files on the CPU, faster where it has the instructions."""

from __future__ import annotations

import os
import queue
import sys
from contextlib import suppress
from typing import Any, Final

import numpy as np

from ..artifact.graph_check import GraphFile
from ..errors import BuildUnavailable, ExtraMissing
from ..text import Int64
from ..vectors import Float32
from .compiled import CompiledModel
from .cpu import streams_of, this_cpu
from .session import Placement
from .shapes import padded, rounded, rounded_length

NAME = "openvino"
# What is not quantised in an int8 build runs in bf16 where the CPU has it: faster, and far below int8's own error.
_HINTS: Final = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
KERNELS_KEPT: Final = 256
"""Compiled kernels that OpenVINO, and oneDNN below it, may keep.

A kernel is made for one number of tokens (rows x length), so traffic of all lengths makes new ones without end: with
OpenVINO's own limit of 5000 an int8 MiniLM grew by 4 MB with every new shape, to 1.9 GB after 360 of them
(benchmarks/LOG.md). A shape takes about 12 kernels in int8 and 5 otherwise, and making them again about 10 ms.
"""


def installed() -> bool:
    """Whether OpenVINO can be imported."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


class OpenvinoSession:
    """One ONNX file compiled by OpenVINO for this CPU."""

    runtime = NAME

    def __init__(self, file: GraphFile, precision: str, place: Placement) -> None:
        """Compile *file*.

        Raises:
            ExtraMissing: OpenVINO is not installed.
            BuildUnavailable: it cannot load the file, or the CPU cannot compute in *precision*.
        """
        try:
            openvino = _imported()
        except ImportError as error:
            raise ExtraMissing(feature="the OpenVINO runtime", extra="openvino", module="openvino") from error
        self.precision = precision
        self.version: str = openvino.__version__.split("-")[0]
        self._longest = place.longest
        core = openvino.Core()
        hint = _HINTS.get(precision)
        if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            hint = "f32" if precision == "int8" else None
        if hint is None:
            raise BuildUnavailable(wanted=file.name, available=(), reason=f"this CPU has no {precision} instructions")
        threads = place.threads or this_cpu().cores
        self.streams = place.streams or streams_of(threads)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": self.streams,
            "CPU_RUNTIME_CACHE_CAPACITY": KERNELS_KEPT,
            # OpenVINO pins threads from the first core on, in every process: two processes of one thread each then
            # share that core. And whoever else works on a core, such as our event loop, makes the run wait.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._compiled: Any = _compile(core, file, settings, openvino.__version__, keep=place.keep)
        except RuntimeError as error:
            raise BuildUnavailable(
                wanted=file.name, available=(), reason=f"OpenVINO {self.version} cannot load it: {error}"
            ) from error
        self._output = self._compiled.output(0)
        # An infer request holds the buffers of one call; a caller takes a free one or makes another.
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
        rows, tokens = ids.shape
        if self._longest is not None:
            high, wide = rounded(rows, finest=1), rounded_length(tokens, self._longest)
            ids, mask = padded(ids, mask, rows=high, tokens=wide)
        try:
            request = self._requests.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            result = request.infer({"input_ids": ids, "attention_mask": mask})
            return np.array(result[self._output][:rows], dtype=np.float32)  # a copy: the buffer is used again
        finally:
            self._requests.put(request)


def _compile(core: Any, file: GraphFile, settings: dict[str, Any], version: str, *, keep: bool) -> Any:
    """The compiled model, if it may be from an earlier start; raises RuntimeError where OpenVINO cannot."""
    if not keep:
        return core.compile_model(core.read_model(file.data), "CPU", settings)
    kept = CompiledModel(file.sha256, version, settings)
    if (data := kept.read()) is not None:
        with suppress(RuntimeError):  # then it is compiled anew
            return core.import_model(data, "CPU", settings)
    compiled = core.compile_model(core.read_model(file.data), "CPU", settings)
    with suppress(RuntimeError):  # a graph that cannot be written down is compiled at every start
        kept.write(compiled.export_model().getvalue())
    return compiled


def _imported() -> Any:
    """The package, imported without telling Google Analytics of it, and with bounds to what it keeps.

    OpenVINO 2026.4 sends an event at every import, and keeps an id in the home folder, where openvino-telemetry is
    installed, which pip does with it. Where that cannot be imported, it takes a stub of its own.
    """
    # oneDNN reads this once, at its first kernel, and has no other way in; whoever set it knows better.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS_KEPT))
    name = "openvino_telemetry"
    hidden = "openvino" not in sys.modules and name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[name]
    return openvino
