"""The one door to the runtimes: choose a build, load it, and prove it with the probes.

A build is only used with a runtime and precision that its manifest entry was measured with, and only after
this machine reproduced the probes within the recorded bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..artifact import Artifact, Build, Measured
from ..embed import embed_roles
from ..errors import BuildError, BuildUnavailable, ExtraMissing, ProbesFailed, RequestInvalid
from ..text import TextEncoder
from ..vectors import Float32
from . import onnx, openvino
from .session import DEVICES, Device, Session

# From fast to slow, as measured on CPUs with AVX512 (docs/builds.md); "auto" takes the first that loads and whose
# probes pass. fp16 is for GPUs: CPUs compute it slower than fp32. On CUDA it comes first because it moves half the
# bytes; that order is not measured yet.
_SPEED: Final[Mapping[Device, tuple[tuple[str, str], ...]]] = {
    "cpu": (
        (openvino.NAME, "int8"),
        (onnx.NAME, "int8"),
        (openvino.NAME, "bf16"),
        (openvino.NAME, "fp32"),
        (onnx.NAME, "fp32"),
        (onnx.NAME, "fp16"),
    ),
    "cuda": ((onnx.NAME, "fp16"), (onnx.NAME, "fp32")),
}


@dataclass(frozen=True, slots=True)
class LoadedBuild:
    """A build that this machine runs right, with everything that a text needs on its way.

    Attributes:
        worst: largest 1 - cos over the probes on this machine.
        refused: the candidates that were tried first and why they were not taken.
    """

    artifact: Artifact
    build: Build
    measured: Measured
    session: Session
    text_encoder: TextEncoder
    worst: float
    refused: tuple[str, ...]

    @property
    def build_name(self) -> str:
        """The build's name."""
        return self.build.name

    @property
    def runtime(self) -> str:
        """The runtime and its version."""
        return f"{self.session.runtime} {self.session.version}"

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self.session.precision

    @property
    def bound(self) -> float:
        """The largest 1 - cos over the probes that a machine may show."""
        return self.measured.bound


def load_build(
    artifact: Artifact, *, build: str = "auto", runtime: str = "auto", threads: int = 0, device: Device = "cpu"
) -> LoadedBuild:
    """Load the fastest build of *artifact* that runs here and whose probes pass.

    Args:
        build: a build's name, or "auto".
        runtime: "onnxruntime", "openvino" or "auto".
        threads: threads of one run; 0 for all cores.
        device: "cpu" or "cuda". Only onnxruntime's fp32 and fp16 run on CUDA.

    Raises:
        RequestInvalid: an unknown device.
        BuildUnavailable: nothing fits the choice, or no runtime is installed.
        ProbesFailed: it loads, but computes other vectors here.
        ArtifactDamaged: a file is not what the manifest says.
    """
    if device not in DEVICES:
        raise RequestInvalid(field="device", reason=f"{device!r}; expected one of {', '.join(DEVICES)}")
    speed = _SPEED[device]
    available = tuple(each.name for each in artifact.manifest.builds)
    candidates = [
        (each, measured)
        for each in artifact.manifest.builds
        for measured in each.measured
        if build in ("auto", each.name)
        and runtime in ("auto", measured.runtime)
        and (measured.runtime, measured.precision) in speed
    ]
    if not candidates:
        raise BuildUnavailable(
            wanted=f"{build} on {runtime}" + ("" if device == "cpu" else f" on {device}"),
            available=tuple(f"{b.name} on {m.runtime}" for b in artifact.manifest.builds for m in b.measured),
            reason="the artifact has no such build, or it was not measured so",
        )
    candidates.sort(key=lambda each: speed.index((each[1].runtime, each[1].precision)))
    installed = {name: module.installed() for name, module in ((onnx.NAME, onnx), (openvino.NAME, openvino))}
    runnable = [each for each in candidates if installed[each[1].runtime]]
    if not runnable:
        if runtime == openvino.NAME:
            raise ExtraMissing(feature="the OpenVINO runtime", extra="openvino", module="openvino")
        raise ExtraMissing(feature="running an ONNX build", extra="cpu", module="onnxruntime")
    text_encoder, _ = artifact.text_encoder(), artifact.probes()  # damaged ones are refused before any session
    refused: list[str] = []
    last: BuildError = BuildUnavailable(wanted=build, available=available, reason="nothing was tried")
    for chosen, measured in runnable:
        try:
            session = open_session(artifact, chosen, measured, threads=threads, device=device)
            worst = check_probes(artifact, session, text_encoder, chosen.name, bound=measured.bound)
        except BuildError as error:
            refused.append(str(error))
            last = error
            continue
        return LoadedBuild(artifact, chosen, measured, session, text_encoder, worst, tuple(refused))
    raise last


def open_session(
    artifact: Artifact, build: Build, measured: Measured, *, threads: int = 0, device: Device = "cpu"
) -> Session:
    """A session of one build on one runtime; the file is checked in itself and against the manifest, not by probes."""
    return session_of(artifact.graph(build.file), measured.runtime, measured.precision, threads=threads, device=device)


def session_of(file: Path, runtime: str, precision: str, *, threads: int = 0, device: Device = "cpu") -> Session:
    """A session of an ONNX file that the caller trusts.

    Raises:
        BuildUnavailable: the runtime cannot load it.
        ExtraMissing: the runtime is not installed.
    """
    if runtime == openvino.NAME:
        if device != "cpu":
            raise BuildUnavailable(wanted=precision, available=("cpu",), reason=f"OpenVINO is not used on {device}")
        return openvino.OpenvinoSession(file, precision, threads=threads)
    return onnx.OnnxSession(file, precision, threads=threads, device=device)


def probe_vectors(artifact: Artifact, session: Session, text_encoder: TextEncoder) -> Float32:
    """What this machine makes of the probe texts; (n, dim), in the order of the probes."""
    probes = artifact.probes()
    return embed_roles(session, text_encoder, probes.texts, probes.roles, dims=probes.vectors.shape[1])


def check_probes(artifact: Artifact, session: Session, text_encoder: TextEncoder, build: str, *, bound: float) -> float:
    """The worst 1 - cos over the probes; raises `ProbesFailed` where it is above *bound*."""
    worst = artifact.probes().worst(probe_vectors(artifact, session, text_encoder))
    if not worst <= bound:
        raise ProbesFailed(
            build=build, runtime=f"{session.runtime} {session.version} in {session.precision}", worst=worst, bound=bound
        )
    return worst
