"""NVIDIA GPUs: onnxruntime's CUDA provider, and TensorRT's kernels on top of it.

Not measured yet: no GPU was at hand when it was written. What a GPU computes is held against the probes like
everything else, and a device that does not start is an error with its reason, never a silent run on the CPU.

What it leaves to others: buffers, shapes and lanes (`bound`), which build (`choice`).
"""

from __future__ import annotations

import ctypes
import importlib.util
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any, Final

from ..artifact.graph_check import GraphFile
from ..errors import BuildUnavailable
from ..extras import check_install
from .bound import FINEST, BoundSession
from .folder import private_folder
from .onnx import import_onnxruntime, open_inference
from .session import Placement

BATCH_TOKENS: Final = 16_384
"""Padded tokens of the largest run that a GPU is warmed up for."""
STREAMS: Final = 2
"""Runs at once where nobody says otherwise: one computes while the other's vectors travel."""
_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_CUDA_SETTINGS: Final = {
    "device_id": "0",  # of those that CUDA_VISIBLE_DEVICES leaves
    "use_tf32": "0",  # else fp32 matrices are multiplied with 10 bits, which is no fp32 any more
    "arena_extend_strategy": "kSameAsRequested",  # else memory doubles at each growth
}


def open_gpu(file: GraphFile, precision: str, place: Placement) -> BoundSession:
    """*file* on the first GPU, warmed up.

    Raises:
        ExtraMissing: onnxruntime is not installed.
        BuildUnavailable: it has no such provider, there is no driver or GPU, or the provider does not start.
    """
    onnxruntime = import_onnxruntime()
    provider = _TENSORRT if place.device == "tensorrt" else _CUDA
    if provider not in onnxruntime.get_available_providers():
        remedy = check_install() or "pip uninstall onnxruntime, then pip install 'samespace[gpu]'"
        raise BuildUnavailable(
            wanted=file.name,
            available=tuple(onnxruntime.get_available_providers()),
            reason=f"onnxruntime has no {provider}; {remedy}",
        )
    if problem := driver_problem():
        raise BuildUnavailable(wanted=file.name, available=("cpu",), reason=problem)
    said = _load_libraries(onnxruntime, provider)
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    most_rows = max(1, BATCH_TOKENS // (place.longest or BATCH_TOKENS)) if provider == _TENSORRT else 0
    providers = [(_CUDA, _CUDA_SETTINGS)]
    if provider == _TENSORRT:
        providers.insert(0, (_TENSORRT, tensorrt_settings(precision, place, most_rows, file)))
    session = open_inference(onnxruntime, file, options, providers)
    if provider not in session.get_providers():  # it goes on without, with no more than a line on stderr
        raise BuildUnavailable(
            wanted=file.name,
            available=("cpu",),
            reason=f"{provider} did not start, most likely because a library of CUDA or cuDNN is missing or of "
            f"another version than onnxruntime {onnxruntime.__version__} wants{said and ': '}{said}",
        )
    place = replace(place, streams=place.streams or STREAMS)
    bound = BoundSession(onnxruntime, session, precision, place, memory="cuda", most_rows=most_rows)
    bound.warm_up(BATCH_TOKENS)
    return bound


def driver_problem(load: Callable[[str], Any] = ctypes.CDLL) -> str | None:
    """Why the NVIDIA driver has no GPU for us, in words; None where it has one. onnxruntime only warns.

    Source: CUDA driver API, cuInit and cuDeviceGetCount.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return "this machine has no NVIDIA driver (libcuda.so.1); in a container, start it with --gpus all"
    if error := driver.cuInit(0):
        return f"the NVIDIA driver does not start: cuInit gives {error} (100: no GPU, 803: older than its libraries)"
    count = ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver sees no GPU; is CUDA_VISIBLE_DEVICES empty?"
    return None


def tensorrt_settings(precision: str, place: Placement, most_rows: int, file: GraphFile) -> dict[str, str]:
    """TensorRT's options: one profile for all shapes, and built engines kept for the next start, which takes minutes.

    An engine is machine code, so it is kept only in a folder that nobody else can write to; where there is none,
    engines are built at each start. The folder is named by the file's own digest, and TensorRT tells versions and
    GPUs apart itself. A wrong engine would not pass the probes.
    """
    longest = place.longest or 512

    def profile(rows: int, tokens: int) -> str:
        return ",".join(f"{name}:{rows}x{tokens}" for name in ("input_ids", "attention_mask"))

    settings = {
        "device_id": "0",
        "trt_fp16_enable": "1" if precision == "fp16" else "0",
        "trt_profile_min_shapes": profile(1, min(FINEST, longest)),
        "trt_profile_opt_shapes": profile(max(1, most_rows // 2), min(128, longest)),
        "trt_profile_max_shapes": profile(most_rows, longest),
    }
    if (folder := private_folder("tensorrt", file.sha256)) is not None:
        settings |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    return settings


def _load_libraries(onnxruntime: Any, provider: str) -> str:
    """Load CUDA and cuDNN from pip's packages where they are installed so; what onnxruntime said about it.

    It prints what it does not find, and stdout belongs to results.
    """
    said = io.StringIO()
    with redirect_stdout(said):
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls(directory="")  # pip's packages, then the system's; not those of torch
    if provider == _TENSORRT and importlib.util.find_spec("tensorrt") is not None:
        importlib.import_module("tensorrt")  # its import loads its libraries
    return " ".join(said.getvalue().split())[:500]
