"""Builds: the exported graph in the forms that runtimes are fast on, each behind its gate.

A build that misses its gate is reported and not written. The gates are those of the blueprint: fp32 at most
1e-6, bf16 at most 2e-4, fp16 at most 1e-4 in 1 - cos. int8 may lose at most 0.5 points of nDCG@10 on data that the
user names; that gate, and which int8 is tried first, is in `int8`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ...artifact import Measured
from ...artifact.graph_check import GraphFile
from ...artifact.reranker import RERANKER
from ...embed import embed_roles
from ...errors import BuildUnavailable, ExtraMissing, GateFailed, ModelUnsupported, SamespaceError
from ...model.checkpoint import Checkpoint
from ...model.exportable import BringsGraph
from ...runtime import Session, openvino, session_of
from ...runtime.onnx import NAME as ONNXRUNTIME
from ..graph import graph_of, opsets_of
from .parity import ParityReference, worst_distance
from .proven import require_proven

BUILDS: Final = ("fp32", "fp16", "int8")
GATES: Final = {"fp32": 1e-6, "fp16": 1e-4, "bf16": 2e-4}
RERANKER_GATE: Final = 2e-5
"""The largest |a - b| / (1 + |b|) between the logits of an fp32 graph and of torch."""
INT8_POINTS: Final = 0.5
"""The most nDCG@10 that an int8 build may lose, in points of 0.01."""


@dataclass(frozen=True, slots=True)
class BuildFile:
    """A build that agrees with torch: its bytes, their file in the artifact, and what was measured with what.

    Attributes:
        method: how it was made, where there is more than one way; kept in the manifest's provenance.
    """

    name: str
    file: str
    data: bytes
    opset: int
    measured: tuple[Measured, ...]
    method: Mapping[str, Any] = field(default_factory=dict)


def build_fp32(
    encoder: Checkpoint | BringsGraph, wanted: ParityReference, say: Callable[[str], None] = lambda _: None
) -> BuildFile:
    """The exact build, at the newest opset whose graph agrees with torch; *say* gets a sentence before each step.

    Raises:
        ModelUnsupported: no opset exports.
        GateFailed: it exports, but no opset agrees, or what its space id names gives other vectors.
    """
    failed: SamespaceError | None = None
    for opset in opsets_of(encoder):
        try:
            say("Exporting the fp32 graph.")
            data = graph_of(encoder, opset)
            say("Comparing it with the reference on padded, ragged and long batches.")
            exact = _measured(data, ONNXRUNTIME, "fp32", wanted)
            say("Looking for every weight of its space id in the graph, and building it anew.")
            require_proven(data, wanted)
            say("Comparing what OpenVINO makes of it, where it is installed.")
            return BuildFile("fp32", "model.fp32.onnx", data, opset, (exact, *_on_openvino(data, "fp32", wanted)))
        except (ModelUnsupported, GateFailed, BuildUnavailable) as error:
            failed = failed or error
    assert failed is not None
    raise failed


def build_bf16(fp32: BuildFile, wanted: ParityReference) -> BuildFile | None:
    """The fp32 file run in bf16 by OpenVINO; None where OpenVINO or the CPU cannot, or the gate is missed."""
    measured = _on_openvino(fp32.data, "bf16", wanted)
    return BuildFile("bf16", fp32.file, fp32.data, fp32.opset, measured) if measured else None


def build_fp16(fp32: BuildFile, wanted: ParityReference) -> BuildFile:
    """Weights and matrix products in fp16, for GPUs; compared with torch here, on the CPU.

    onnxruntime's CPU kernels may compute an fp16 operator in fp32, so what is proved here is the file: its rounded
    weights, its types, and that no value on the probes leaves fp16 (`overflow`). That a GPU computes the same is proved
    by the probes, when it loads the build.

    Raises:
        BuildUnavailable: the graph cannot be converted.
        GateFailed: it does not agree with torch, or a value is beyond what fp16 holds.
    """
    from .half import to_half
    from .overflow import require_no_overflow

    data = to_half(fp32.data)
    require_no_overflow(fp32.data, data, wanted)
    return BuildFile("fp16", "model.fp16.onnx", data, fp32.opset, (_measured(data, ONNXRUNTIME, "fp16", wanted),))


def _on_openvino(data: bytes, precision: str, wanted: ParityReference) -> tuple[Measured, ...]:
    try:
        return (_measured(data, openvino.NAME, precision, wanted),)
    except (ExtraMissing, BuildUnavailable, GateFailed):
        return ()  # not installed, or this CPU or graph is not for it: the artifact goes without


def _measured(data: bytes, runtime: str, precision: str, wanted: ParityReference) -> Measured:
    with session_over(data, runtime, precision) as session:
        try:
            found = measure(session, wanted)
        except Exception as error:  # it loads, but fails on some batch; runtimes' exceptions share no base class
            raise BuildUnavailable(wanted=precision, available=(), reason=f"{runtime}: {error}") from error
    if found.worst > found.bound:
        measure_of = "logits' distance to torch" if _is_reranker(wanted) else "1 - cos to torch"
        raise GateFailed(build=precision, measure=measure_of, measured=found.worst, gate=found.bound)
    return found


def _is_reranker(wanted: ParityReference) -> bool:
    return wanted.checkpoint.identity.kind == RERANKER


@contextmanager
def session_over(data: bytes, runtime: str, precision: str) -> Iterator[Session]:
    """A session over a build that is not in an artifact yet.

    Raises:
        BuildUnavailable: the runtime cannot load it.
        ExtraMissing: the runtime is not installed.
    """
    yield session_of(GraphFile("model.onnx", data), runtime, precision)


def measure(session: Session, wanted: ParityReference) -> Measured:
    """How far *session* is from torch, on the parity batches and the probes; its bound is the precision's gate."""
    worst = worst_distance(session, wanted)
    bound = RERANKER_GATE if _is_reranker(wanted) else GATES[session.precision]
    return Measured(
        runtime=session.runtime, precision=session.precision, version=session.version, worst=worst, bound=bound
    )


def measure_int8(session: Session, wanted: ParityReference) -> Measured:
    """How far an int8 *session* is from torch on the probes: texts, because random ids are not what it was scaled for.

    Its gate is in nDCG. What another machine may show is bounded by what this one showed, with room for other
    kernels: the distance of a foreign encoder is many times larger.

    Raises:
        BuildUnavailable: it fails, or gives numbers that are not finite, on some parity batch.
    """
    probes, checkpoint = wanted.probes, wanted.checkpoint
    try:
        finite = all(np.isfinite(session(ids, mask)).all() for ids, mask, _ in wanted.batches)
        found = embed_roles(session, checkpoint.text_encoder, probes.texts, probes.roles, dims=checkpoint.dims)
    except RuntimeError as error:  # the graph loads, but fails on some batch
        raise BuildUnavailable(wanted="int8", available=(), reason=f"{session.runtime}: {error}") from error
    worst = probes.worst(found)
    if not finite or not np.isfinite(worst):
        raise BuildUnavailable(wanted="int8", available=(), reason=f"{session.runtime}: vectors that are not finite")
    return Measured(
        runtime=session.runtime,
        precision="int8",
        version=session.version,
        worst=worst,
        bound=min(2.0, round(1.25 * worst + 1e-3, 4)),
    )
