"""Builds: the exported graph in the forms that runtimes are fast on, each behind its gate.

A build that misses its gate is reported and not written. The gates are those of the blueprint: fp32 at most
1e-6, bf16 at most 2e-4 in 1 - cos; int8 may lose at most 0.5 points of nDCG@10 on data that the user names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..artifact import Measured
from ..errors import BuildUnavailable, ExtraMissing, GateFailed, ModelUnsupported, SamespaceError
from ..runtime import openvino
from ..runtime.onnx import OnnxSession
from ..runtime.session import Session
from .checkpoint import Checkpoint
from .graph import OPSETS, to_onnx
from .parity import Reference, worst_distance

BUILDS: Final = ("fp32", "int8")
GATES: Final = {"fp32": 1e-6, "fp16": 1e-4, "bf16": 2e-4}
INT8_POINTS: Final = 0.5
"""The most nDCG@10 that an int8 build may lose, in points of 0.01."""


@dataclass(frozen=True, slots=True)
class BuildFile:
    """A build that passed parity so far: its bytes and what was measured with which runtime."""

    name: str
    data: bytes
    opset: int
    measured: tuple[Measured, ...]

    @property
    def file(self) -> str:
        """Its name in the artifact."""
        return f"model.{self.name}.onnx"


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
            return BuildFile("fp32", data, opset, _measure_fp32(data, wanted))
        except (ModelUnsupported, GateFailed, BuildUnavailable) as error:
            failed = failed or error
    assert failed is not None
    raise failed


def _measure_fp32(data: bytes, wanted: Reference) -> tuple[Measured, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(data)
        try:
            exact = measure(OnnxSession(file, "fp32", threads=0), wanted)
        except RuntimeError as error:  # the graph loads, but fails on some batch
            raise BuildUnavailable(wanted="fp32", available=(), reason=f"onnxruntime: {error}") from error
        if exact.worst > GATES["fp32"]:
            raise GateFailed(build="fp32", measure="1 - cos to torch", measured=exact.worst, gate=GATES["fp32"])
        return (exact, *_measure_openvino(file, wanted))


def _measure_openvino(file: Path, wanted: Reference) -> tuple[Measured, ...]:
    """The same file on OpenVINO: f32, and bf16 where the CPU has it. Kept only where its gate passes."""
    passed = []
    for precision in ("fp32", "bf16"):
        try:
            found = measure(openvino.OpenvinoSession(file, precision, threads=0), wanted)
        except (ExtraMissing, BuildUnavailable, RuntimeError):
            continue  # not installed, or this CPU or graph is not for it: the build goes without that runtime
        if found.worst <= GATES[precision]:
            passed.append(found)
    return tuple(passed)


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
        quantize_dynamic(
            str(source), str(target), op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )
        measured = measure(OnnxSession(target, "int8", threads=0), wanted)
        return BuildFile("int8", target.read_bytes(), fp32.opset, (measured,))
