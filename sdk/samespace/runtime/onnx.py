"""onnxruntime sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import BuildUnavailable, ExtraMissing
from ..text import Int64
from ..vectors import Float32
from .session import Device

NAME = "onnxruntime"
# onnxruntime multiplies fp32 matrices on CUDA in TF32 unless told otherwise: 10 bits, no longer fp32.
_PROVIDERS: Final[Mapping[Device, tuple[str, dict[str, str]]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}


def installed() -> bool:
    """Whether onnxruntime can be imported."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


class OnnxSession:
    """One ONNX file on onnxruntime, on the CPU or, where the provider is there, on CUDA."""

    runtime = NAME

    def __init__(self, file: Path, precision: str, *, threads: int, device: Device = "cpu") -> None:
        """Load *file*; *threads* 0 lets onnxruntime take every core; *device* is "cpu" or "cuda"."""
        try:
            import onnxruntime
        except ImportError as error:
            raise ExtraMissing(feature="running an ONNX build", extra="cpu", module="onnxruntime") from error
        self.precision = precision
        self.version: str = onnxruntime.__version__
        provider, settings = _PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise BuildUnavailable(
                wanted=file.name,
                available=tuple(onnxruntime.get_available_providers()),
                reason=f"onnxruntime has no {provider}; pip install 'samespace[gpu]' in the place of samespace[cpu]",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings about folded constants help nobody here
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), options, providers=[(provider, settings)])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise BuildUnavailable(
                wanted=file.name, available=(), reason=f"onnxruntime {self.version} cannot load it: {error}"
            ) from error
        if provider not in self._session.get_providers():  # it falls back to the CPU with no more than a warning
            raise BuildUnavailable(
                wanted=file.name, available=("cpu",), reason=f"{provider} did not start; are its driver and CUDA there?"
            )
        found = sorted(each.name for each in self._session.get_inputs())
        if found != ["attention_mask", "input_ids"]:
            raise BuildUnavailable(wanted=file.name, available=(), reason=f"its inputs are {found}")

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
        (vectors,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)
