"""onnxruntime sessions on the CPU, and what those on GPUs (`cuda`) share with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..artifact.graph_check import GraphFile
from ..errors import BuildUnavailable, ExtraMissing
from ..text import Int64
from ..vectors import Float32
from .cpu import streams_of, this_cpu
from .session import Placement

NAME = "onnxruntime"
INPUTS = ["attention_mask", "input_ids"]


def installed() -> bool:
    """Whether onnxruntime can be imported."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


class OnnxSession:
    """One ONNX file on onnxruntime's CPU kernels."""

    runtime = NAME

    def __init__(self, file: GraphFile, precision: str, place: Placement) -> None:
        """Load *file*.

        Raises:
            ExtraMissing: onnxruntime is not installed.
            BuildUnavailable: it cannot load the file.
        """
        onnxruntime = import_onnxruntime()
        self.precision = precision
        self.version: str = onnxruntime.__version__
        threads = place.threads or this_cpu().cores
        self.streams = place.streams or streams_of(threads)
        options = onnxruntime.SessionOptions()
        # Every caller computes in its own thread too, and all share one pool of helpers beside them.
        options.intra_op_num_threads = max(1, threads - self.streams + 1)
        options.inter_op_num_threads = 1
        self._session = open_inference(onnxruntime, file, options, [("CPUExecutionProvider", {})])

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
        (vectors,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def import_onnxruntime() -> Any:
    """The package; raises `ExtraMissing` where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ExtraMissing(feature="running an ONNX build", extra="cpu", module="onnxruntime") from error
    return onnxruntime


def open_inference(
    onnxruntime: Any, file: GraphFile, options: Any, providers: Sequence[tuple[str, Mapping[str, str]]]
) -> Any:
    """onnxruntime's own session, with the inputs that every build has.

    Raises:
        BuildUnavailable: it cannot be loaded by the first of *providers*, or takes other inputs.
    """
    options.log_severity_level = 3  # errors only: warnings about folded constants help nobody here
    try:
        # By itself it would go on with the CPU where a GPU fails, at load or in the middle of its work, and say so
        # on stdout, which belongs to results.
        session = onnxruntime.InferenceSession(file.data, options, providers=list(providers), enable_fallback=False)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise BuildUnavailable(
            wanted=file.name, available=(), reason=f"onnxruntime {onnxruntime.__version__} cannot load it: {error}"
        ) from error
    found = sorted(each.name for each in session.get_inputs())
    if found != INPUTS:
        raise BuildUnavailable(wanted=file.name, available=(), reason=f"its inputs are {found}")
    return session
