"""Builds: the exported graph in the forms that runtimes are fast on, each behind its gate.

A build that misses its gate is reported and not written. The gates are those of the blueprint: fp32 at most
1e-6, bf16 at most 2e-4 in 1 - cos; int8 may lose at most 0.5 points of nDCG@10 on data that the user names.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..artifact import Measured
from ..errors import BuildUnavailable, ExtraMissing, GateFailed, ModelUnsupported, SamespaceError
from ..runtime import Session, openvino, session_of
from ..runtime.onnx import NAME as ONNXRUNTIME
from .checkpoint import Checkpoint
from .graph import OPSETS, to_onnx
from .parity import Reference, worst_distance

BUILDS: Final = ("fp32", "int8")
GATES: Final = {"fp32": 1e-6, "fp16": 1e-4, "bf16": 2e-4}
INT8_POINTS: Final = 0.5
"""The most nDCG@10 that an int8 build may lose, in points of 0.01."""


@dataclass(frozen=True, slots=True)
class BuildFile:
    """A build that agrees with torch: its bytes, their file in the artifact, and what was measured with what."""

    name: str
    file: str
    data: bytes
    opset: int
    measured: tuple[Measured, ...]


def build_fp32(checkpoint: Checkpoint, wanted: Reference) -> BuildFile:
    """The exact build, at the newest opset whose graph agrees with torch.

    Raises:
        ModelUnsupported: no opset exports.
        GateFailed: it exports, but no opset agrees.
    """
    failed: SamespaceError | None = None
    for opset in OPSETS:
        try:
            data = to_onnx(checkpoint, opset)
            exact = _measured(data, ONNXRUNTIME, "fp32", wanted)
            return BuildFile("fp32", "model.fp32.onnx", data, opset, (exact, *_on_openvino(data, "fp32", wanted)))
        except (ModelUnsupported, GateFailed, BuildUnavailable) as error:
            failed = failed or error
    assert failed is not None
    raise failed


def build_bf16(fp32: BuildFile, wanted: Reference) -> BuildFile | None:
    """The fp32 file run in bf16 by OpenVINO; None where OpenVINO or the CPU cannot, or the gate is missed."""
    measured = _on_openvino(fp32.data, "bf16", wanted)
    return BuildFile("bf16", fp32.file, fp32.data, fp32.opset, measured) if measured else None


def _on_openvino(data: bytes, precision: str, wanted: Reference) -> tuple[Measured, ...]:
    try:
        return (_measured(data, openvino.NAME, precision, wanted),)
    except (ExtraMissing, BuildUnavailable, GateFailed):
        return ()  # not installed, or this CPU or graph is not for it: the artifact goes without


def _measured(data: bytes, runtime: str, precision: str, wanted: Reference) -> Measured:
    with session_over(data, runtime, precision) as session:
        try:
            found = measure(session, wanted)
        except Exception as error:  # it loads, but fails on some batch; runtimes' exceptions share no base class
            raise BuildUnavailable(wanted=precision, available=(), reason=f"{runtime}: {error}") from error
    if found.worst > GATES[precision]:
        raise GateFailed(build=precision, measure="1 - cos to torch", measured=found.worst, gate=GATES[precision])
    return found


@contextmanager
def session_over(data: bytes, runtime: str, precision: str) -> Iterator[Session]:
    """A session over a build that is not in an artifact yet.

    Raises:
        BuildUnavailable: the runtime cannot load it.
        ExtraMissing: the runtime is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(data)
        yield session_of(file, runtime, precision)


def measure(session: Session, wanted: Reference) -> Measured:
    """How far *session* is from torch; its bound is the precision's gate, or what was seen and a little more."""
    worst = worst_distance(session, wanted)
    # A gate of int8 is in nDCG. What another machine may show is bounded by what this one showed, with
    # room for other kernels: the distance of a foreign encoder is tens of times larger.
    bound = GATES.get(session.precision, min(2.0, round(1.25 * worst + 1e-3, 4)))
    return Measured(
        runtime=session.runtime, precision=session.precision, version=session.version, worst=worst, bound=bound
    )


def build_int8(fp32: BuildFile, wanted: Reference) -> BuildFile:
    """Weights in 8 bits per output channel, activations quantised at run time; for onnxruntime on CPUs.

    Only matrix products with weights are quantised: onnxruntime's quantiser would rewrite opset 23's
    `Attention` wrongly, and embeddings lose more than they save. Its nDCG gate is the caller's to check.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(fp32.data)
        with _without_advice():
            quantize_dynamic(
                str(source), str(target), op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
            )
        measured = measure(session_of(target, ONNXRUNTIME, "int8"), wanted)
        return BuildFile("int8", "model.int8.onnx", target.read_bytes(), fp32.opset, (measured,))


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep onnxruntime's advice to preprocess, which fails on such graphs, off the root logger, and that as it was."""
    handler, root = logging.NullHandler(), logging.getLogger()
    others = root.handlers[:]
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = others
