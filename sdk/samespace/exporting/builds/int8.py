"""int8: the calibrated file where it passes its gate, else the dynamic one, else none; always with the reason.

Calibrated comes first because one file serves both runtimes, scores closer to fp32, and gives a text the same
vector whatever else is in its batch. Dynamic is what is left where nncf is not installed, cannot read the graph, or
misses the gate. The gate is nDCG@10, runtime by runtime: a runtime on which a file loses too much is not claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ...artifact import Measured
from ...errors import BuildError, BuildUnavailable, ExtraMissing, SamespaceError
from ...runtime import openvino
from ...runtime.onnx import NAME as ONNXRUNTIME
from . import quantise
from .calibration import Calibration
from .exact import BuildFile, measure_int8, session_over
from .gate import gated, ndcg
from .parity import ParityReference

if TYPE_CHECKING:
    from ...evaluation import Dataset

FILE: Final = "model.int8.onnx"
LEAST: Final = 0.05
"""Where fp32 has less nDCG@10, half a point of loss is a large part of nothing."""
FEW: Final = 100
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Int8:
    """What became of int8.

    Attributes:
        build: the first that passed its gate, or None.
        failed: why what was tried before it, or a runtime of it, was not taken.
    """

    build: BuildFile | None
    failed: tuple[SamespaceError, ...]


def build_int8(fp32: BuildFile, wanted: ParityReference, calibration: Calibration, gate: Dataset, *, say: Say) -> Int8:
    """The first int8 that loses at most `INT8_POINTS` of nDCG@10 on *gate*."""
    failed: list[SamespaceError] = []
    exact = ndcg(fp32, fp32.measured[-1], wanted.checkpoint, gate, say)
    say(f"fp32 has nDCG@10 {exact:.4f} on {_asked(gate)}.")
    if exact < LEAST:
        told = (
            f"fp32 itself has nDCG@10 {exact:.4f} on {_asked(gate)}, so a loss could not be seen; use other gate data"
        )
        blind = BuildUnavailable(wanted="int8", available=("fp32",), reason=told)
        say(str(blind))
        return Int8(None, (blind,))
    ways: tuple[Callable[[], tuple[BuildFile, list[SamespaceError]]], ...] = (
        lambda: build_calibrated(fp32, wanted, calibration, say=say),
        lambda: build_dynamic(fp32, wanted),
    )
    for way in ways:
        try:
            build, unloaded = way()
            passed, refused = gated(build, exact, wanted.checkpoint, gate, say)
        except (BuildError, ExtraMissing) as error:
            failed.append(error)
            say(str(error))
            continue
        for reason in (*unloaded, *refused):
            failed.append(reason)
            say(f"{build.method['way']} int8: {reason}")
        return Int8(passed, tuple(failed))
    return Int8(None, tuple(failed))


def _asked(gate: Dataset) -> str:
    """How many questions the gate has, and what else was met on reading it."""
    from ...evaluation.words import canonical

    count = len(set(map(canonical, gate.queries)))
    few = f"; {FEW} or more would show more than chance" if count < FEW else ""
    notes = f" ({' '.join(gate.notes)})" if gate.notes else ""
    return f"{count} questions of {gate.name}/{gate.split}{notes}{few}"


def build_calibrated(
    fp32: BuildFile, wanted: ParityReference, calibration: Calibration, *, say: Say = lambda _: None
) -> tuple[BuildFile, list[SamespaceError]]:
    """The calibrated build, not gated yet, and why a runtime cannot load it.

    Raises:
        ExtraMissing: nncf is not installed.
        BuildUnavailable: nncf cannot quantise the graph, or no runtime runs it.
    """
    data = quantise.calibrated(fp32.data, calibration.inputs(wanted.checkpoint), say)
    measured, failed = _measured(data, wanted, (ONNXRUNTIME, openvino.NAME))
    method = {
        "way": "calibrated",
        "nncf": version("nncf"),
        "smoothing": quantise.SMOOTHING,
        "calibration": calibration.record(),
    }
    return BuildFile("int8", FILE, data, fp32.opset, measured, method), failed


def build_dynamic(fp32: BuildFile, wanted: ParityReference) -> tuple[BuildFile, list[SamespaceError]]:
    """The dynamic build, not gated yet; for onnxruntime.

    Raises:
        BuildUnavailable: onnxruntime cannot run it.
    """
    data = quantise.dynamic(fp32.data)
    measured, failed = _measured(data, wanted, (ONNXRUNTIME,))
    return BuildFile("int8", FILE, data, fp32.opset, measured, {"way": "dynamic"}), failed


def _measured(
    data: bytes, wanted: ParityReference, runtimes: tuple[str, ...]
) -> tuple[tuple[Measured, ...], list[SamespaceError]]:
    """What each of *runtimes* makes of the file, and why some cannot run it; at least one can."""
    measured: list[Measured] = []
    failed: list[SamespaceError] = []
    for runtime in runtimes:
        try:
            with session_over(data, runtime, "int8") as session:
                measured.append(measure_int8(session, wanted))
        except (BuildUnavailable, ExtraMissing) as error:
            failed.append(error)
    if not measured:
        raise failed[0]
    return tuple(measured), failed
