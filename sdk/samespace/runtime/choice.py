"""Which builds of an artifact this machine can run, in the order of what the machine is. Pure.

The order is that of measurements elsewhere (benchmarks/results/builds.md, benchmarks/runtimes.py). It decides on GPUs,
and where nobody measures; on a CPU `auto` goes by what is measured there (`speeds`). What neither knows, the probes do:
a build whose vectors come out wrong here is not used, however fast it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..artifact import Build, Manifest, Measured
from . import onnx, openvino
from .cpu import Cpu
from .session import Device

Way = tuple[str, str]
"""A runtime and a precision."""

# int8 first only where the CPU multiplies bytes in one step. Without that it is no faster than what is exact, and
# sums of two products saturate at 16 bits.
_WITH_INT8: Final[tuple[Way, ...]] = (
    (openvino.NAME, "int8"),
    (openvino.NAME, "bf16"),
    (onnx.NAME, "int8"),
    (openvino.NAME, "fp32"),
    (onnx.NAME, "fp32"),
    (onnx.NAME, "fp16"),
)
_WITHOUT_INT8: Final[tuple[Way, ...]] = (
    (openvino.NAME, "bf16"),
    (openvino.NAME, "fp32"),
    (onnx.NAME, "fp32"),
    (openvino.NAME, "int8"),
    (onnx.NAME, "int8"),
    (onnx.NAME, "fp16"),
)
# fp16 moves half the bytes; that order is not measured. TensorRT multiplies fp32 in TF32, which is not fp32.
_CUDA: Final[tuple[Way, ...]] = ((onnx.NAME, "fp16"), (onnx.NAME, "fp32"))
_TENSORRT: Final[tuple[Way, ...]] = ((onnx.NAME, "fp16"),)


@dataclass(frozen=True, slots=True)
class BuildCandidate:
    """A build with one way of running it, and why it stands where it does in the order."""

    build: Build
    measured: Measured
    why: str


def order(device: Device, cpu: Cpu) -> tuple[Way, ...]:
    """All ways of running a build on *device*, from fast to slow."""
    if device == "cuda":
        return _CUDA
    if device == "tensorrt":
        return _TENSORRT
    # Where nothing is known of the CPU, the probes decide.
    return _WITH_INT8 if cpu.int8 or not cpu.known else _WITHOUT_INT8


def candidates(
    manifest: Manifest, *, build: str = "auto", runtime: str = "auto", device: Device = "cpu", cpu: Cpu
) -> list[BuildCandidate]:
    """The builds of *manifest* that fit the choice, from fast to slow; none if nothing does."""
    ways = order(device, cpu)
    found = [
        BuildCandidate(each, measured, _why(measured, device, cpu, chosen=build != "auto"))
        for each in manifest.builds
        for measured in each.measured
        if build in ("auto", each.name)
        and runtime in ("auto", measured.runtime)
        and (measured.runtime, measured.precision) in ways
    ]
    return sorted(found, key=lambda each: ways.index((each.measured.runtime, each.measured.precision)))


def _why(measured: Measured, device: Device, cpu: Cpu, *, chosen: bool) -> str:
    if chosen:
        return "asked for"
    if device != "cpu":
        return f"the first for {device}"
    if measured.precision == "int8" and cpu.int8:
        return f"the fastest for a CPU with {cpu.int8}"
    if measured.precision == "bf16" and cpu.bf16:
        return f"the fastest within 2e-4 of fp32 for a CPU with {cpu.bf16}"
    if cpu.known and not cpu.int8:
        return "this CPU has no instruction for int8 (VNNI, AMX), so what is exact comes first"
    return "the fastest that this machine can run"
