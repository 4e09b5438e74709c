"""The one door to the runtimes: choose a build, load it, and prove it with the probes.

A build is only used with a runtime and precision that its manifest entry was measured with, and only after
this machine reproduced the probes within the recorded bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from ..artifact import Artifact, Build, Measured
from ..artifact.graph_check import GraphFile
from ..embed import embed_roles
from ..errors import BuildError, BuildUnavailable, ExtraMissing, ProbesFailed
from ..text import TextEncoder
from ..vectors import Float32
from . import cuda, onnx, openvino
from .bound import BoundSession
from .choice import BuildCandidate, candidates
from .cpu import Cpu, this_cpu
from .session import Device, Placement, Session
from .speeds.measurement import Measurement, measure
from .speeds.race import explained, ranked

SATURATION: Final = (
    "this CPU has no instruction for int8 (VNNI, AMX); without it sums of two products saturate at 16 bits"
)


@dataclass(frozen=True, slots=True)
class LoadedBuild:
    """A build that this machine runs right, with everything that a text needs on its way.

    Attributes:
        worst: largest 1 - cos over the probes on this machine.
        refused: the candidates that were tried first and why they were not taken.
        why: why this one was, in a few words.
        measurement: the speeds that it was chosen by; None where it was not chosen by speeds.
    """

    artifact: Artifact
    build: Build
    measured: Measured
    session: Session
    text_encoder: TextEncoder
    worst: float
    refused: tuple[str, ...]
    why: str = "asked for"
    measurement: Measurement | None = None

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
        return self.measured.allowed


def load_build(
    artifact: Artifact,
    *,
    build: str = "auto",
    runtime: str = "auto",
    threads: int = 0,
    device: Device = "cpu",
    streams: int = 1,
    kept: bool = False,
) -> LoadedBuild:
    """Load the fastest build of *artifact* that runs here and whose probes pass.

    Args:
        build: a build's name, or "auto" for the fastest that this machine computes right.
        runtime: "onnxruntime", "openvino" or "auto".
        threads: cores that all runs together may keep busy; 0 for those that this process may use.
        device: "cpu", "cuda" or "tensorrt". Only onnxruntime's fp32 and fp16 run on GPUs.
        streams: runs that the caller will have under way at once; 0 for as many as help, see `Session.streams`.
        kept: on the CPU, use what is kept between starts, and add to it: what OpenVINO compiled, and, where there is a
            choice, speeds that are measured here (`speeds`: some seconds, once) in the place of `choice.order`.

    Raises:
        RequestInvalid: an unknown device.
        BuildUnavailable: nothing fits the choice, or no runtime is installed.
        ProbesFailed: it loads, but computes other vectors here.
        ArtifactDamaged: a file is not what the manifest says.
    """
    place = Placement(device, threads, streams, artifact.recipe.token_limit)
    cpu = this_cpu()
    found = candidates(artifact.manifest, build=build, runtime=runtime, device=device, cpu=cpu)
    if not found:
        raise BuildUnavailable(
            wanted=f"{build} on {runtime}" + ("" if device == "cpu" else f" on {device}"),
            available=tuple(f"{b.name} on {m.runtime}" for b in artifact.manifest.builds for m in b.measured),
            reason="the artifact has no such build, or it was not measured so",
        )
    installed = {name: module.installed() for name, module in ((onnx.NAME, onnx), (openvino.NAME, openvino))}
    runnable = [each for each in found if installed[each.measured.runtime]]
    if not runnable:
        if runtime == openvino.NAME:
            raise ExtraMissing(feature="the OpenVINO runtime", extra="openvino", module="openvino")
        raise ExtraMissing(feature="running an ONNX build", extra="cpu", module="onnxruntime")
    text_encoder, _ = artifact.text_encoder(), artifact.probes()  # damaged ones are refused before any session
    trials = [_Trial(each, replace(place, keep=kept), each.why) for each in runnable]
    # While a runtime compiles: is the fp32 graph the encoder that the space id names? Nothing is returned before.
    with ThreadPoolExecutor(1) as beside:
        proof = beside.submit(artifact.prove)

        def open_in_quiet(candidate: BuildCandidate, at: Placement) -> Session:
            proof.result()
            return _open_candidate(artifact, candidate, at)

        try:
            measurement = None
            if kept and device == "cpu" and len(runnable) > 1:
                measurement = measure(artifact, runnable, place, cpu, open_in_quiet)
                trials = _by_speed(trials, measurement)
            return _first_right(artifact, trials, measurement, text_encoder, cpu)
        finally:
            proof.result()


@dataclass(frozen=True, slots=True)
class _Trial:
    candidate: BuildCandidate
    place: Placement
    why: str


def _by_speed(trials: Sequence[_Trial], measurement: Measurement) -> list[_Trial]:
    """Those that were measured, the best first, then those that could not be run, whose errors say why."""
    by_name = {(each.candidate.build.name, each.candidate.measured.runtime): each for each in trials}
    order = []
    for speed in ranked(measurement.speeds):
        # The same build may be there once more, with other streams.
        trial = by_name[speed.way.build, speed.way.runtime]
        why = explained(speed, measurement.speeds)
        order.append(_Trial(trial.candidate, replace(trial.place, streams=speed.way.streams), why))
    measured = {(speed.way.build, speed.way.runtime) for speed in measurement.speeds}
    return order + [trial for name, trial in by_name.items() if name not in measured]


def _first_right(
    artifact: Artifact, trials: Sequence[_Trial], measurement: Measurement | None, text_encoder: TextEncoder, cpu: Cpu
) -> LoadedBuild:
    """The first of *trials* whose probes pass; raises the last one's `BuildError` where none does."""
    refused: list[str] = []
    last: BuildError | None = None
    for each in trials:
        chosen = each.candidate
        try:
            session = _open_candidate(artifact, chosen, each.place)
            bound = chosen.measured.allowed
            worst = check_probes(artifact, session, text_encoder, chosen.build.name, bound=bound, cpu=cpu)
        except BuildError as error:
            refused.append(str(error))
            last = error
            continue
        why = each.why
        if isinstance(session, BoundSession) and (left := session.on_cpu()):
            why += f"; {each.place.device} left operators to the CPU, which is slow: {left}"
        return LoadedBuild(
            artifact, chosen.build, chosen.measured, session, text_encoder, worst, tuple(refused), why, measurement
        )
    assert last is not None  # there is at least one
    raise last


def _open_candidate(artifact: Artifact, candidate: BuildCandidate, place: Placement) -> Session:
    return open_session(artifact, candidate.build, candidate.measured, place=place)


def open_session(artifact: Artifact, build: Build, measured: Measured, *, place: Placement | None = None) -> Session:
    """A session of one build on one runtime; the file is checked in itself and against the manifest, not by probes.

    Without *place*: on the CPU, with lengths rounded up to what the encoder takes.
    """
    place = place or Placement(longest=artifact.recipe.token_limit)
    return session_of(artifact.graph(build.file), measured.runtime, measured.precision, place=place)


def session_of(file: GraphFile, runtime: str, precision: str, *, place: Placement | None = None) -> Session:
    """A session of an ONNX file that the caller trusts.

    Raises:
        BuildUnavailable: the runtime cannot load it.
        ExtraMissing: the runtime is not installed.
    """
    place = place or Placement()
    if runtime == openvino.NAME:
        if place.device != "cpu":
            raise BuildUnavailable(
                wanted=precision, available=("cpu",), reason=f"OpenVINO is not used on {place.device}"
            )
        return openvino.OpenvinoSession(file, precision, place)
    if place.device == "cpu":
        return onnx.OnnxSession(file, precision, place)
    return cuda.open_gpu(file, precision, place)


def probe_vectors(artifact: Artifact, session: Session, text_encoder: TextEncoder) -> Float32:
    """What this machine makes of the probe texts; (n, dim), in the order of the probes."""
    probes = artifact.probes()
    return embed_roles(session, text_encoder, probes.texts, probes.roles, dims=probes.vectors.shape[1])


def check_probes(
    artifact: Artifact, session: Session, text_encoder: TextEncoder, build: str, *, bound: float, cpu: Cpu | None = None
) -> float:
    """The worst 1 - cos over the probes; raises `ProbesFailed` where it is above *bound*."""
    worst = artifact.probes().worst(probe_vectors(artifact, session, text_encoder))
    if not worst <= bound:
        cpu = cpu or this_cpu()
        saturates = session.precision == "int8" and cpu.known and not cpu.int8
        raise ProbesFailed(
            build=build,
            runtime=f"{session.runtime} {session.version} in {session.precision}",
            worst=worst,
            bound=bound,
            cause=SATURATION if saturates else "",
        )
    return worst
