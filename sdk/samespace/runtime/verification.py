"""Is an artifact whole, and does this machine compute its space? Every file hashed, every build's probes recomputed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..artifact import Artifact, open_artifact, verify_files
from ..artifact.manifest import Measured
from ..errors import BuildError, ExtraMissing, ProbesFailed, SamespaceError
from ..text import TextEncoder
from ..vectors import Float32
from .composite import load_artifact
from .fresh import FreshTexts, fresh_texts, fresh_vectors, require_near
from .load import open_session, probe_vectors


@dataclass(frozen=True, slots=True)
class CheckedBuild:
    """One build with one way of running it, on this machine.

    Attributes:
        where: "" for an encoder; "part1/" and so on for those of a composite.
        name: the build's; "whole" for a composite by its own probes.
        runtime, precision: how it was run.
        bound: the largest 1 - cos over the probes that a machine may show.
        worst: what this machine shows; None where it cannot run the build.
        taken_ms: the time of the probes, kernels being there; None where nothing was timed.
        error: why it cannot be run here, or how it differs from the fp32 build on fresh texts; "" for neither.
    """

    where: str
    name: str
    runtime: str
    precision: str
    bound: float
    worst: float | None = None
    taken_ms: int | None = None
    error: str = ""

    @property
    def right(self) -> bool:
        """Whether it runs here within its bound."""
        return self.worst is not None and self.worst <= self.bound and not self.error


@dataclass(frozen=True, slots=True)
class CheckedEncoder:
    """The builds of one encoder."""

    where: str
    builds: tuple[CheckedBuild, ...]


@dataclass(frozen=True, slots=True)
class ArtifactVerification:
    """What was found.

    Attributes:
        files: how many are what the manifest says; any other is an error at once.
        encoders: of the artifact, or each part of a composite.
        whole: a composite by its own probes, where all parts are right.
    """

    artifact: Artifact
    files: int
    encoders: tuple[CheckedEncoder, ...]
    whole: CheckedBuild | None

    def builds(self) -> Sequence[CheckedBuild]:
        """All of them, the whole last."""
        return (*(build for each in self.encoders for build in each.builds), *([self.whole] if self.whole else []))

    def require(self) -> None:
        """Raise `SamespaceError` where a build computes another space here, or none can be run."""
        ran = [build for each in self.encoders for build in each.builds if build.worst is not None]
        failed = sum(not build.right for build in ran)
        if failed:
            raise SamespaceError(
                f"{self.artifact.folder}: {failed} of {len(ran)} builds compute other vectors here than they should"
            )
        if not ran:
            raise SamespaceError(f"{self.artifact.folder}: no build can be run here: pip install 'samespace[cpu]'")


def verify_artifact(artifact: Artifact | str) -> ArtifactVerification:
    """Hash every file, find the identity's weights in the fp32 graph, and run every build that can be run here.

    Each build recomputes the probes, and texts that are made now, on which it is held against the fp32 build.

    What comes of the builds is in the answer; `ArtifactVerification.require` makes an error of it.

    Raises:
        ArtifactError: the artifact cannot be read, a file is not what the manifest says, or the fp32 graph is not the
            encoder that the identity names.
        BuildError: a composite whose parts are right is wrong as a whole.
    """
    opened = open_artifact(artifact, kind="any") if isinstance(artifact, str) else artifact
    files = len(verify_files(opened))
    for encoder in opened.parts or (opened,):
        encoder.prove()
    encoders = tuple(
        _checked(part, f"{part.folder.name}/" if opened.parts else "") for part in opened.parts or [opened]
    )
    builds = [build for each in encoders for build in each.builds]
    whole = None
    if opened.parts and any(build.right for build in builds) and all(build.right or build.error for build in builds):
        loaded = load_artifact(opened)
        whole = CheckedBuild("", "whole", loaded.runtime, loaded.precision, loaded.bound, loaded.worst)
    return ArtifactVerification(opened, files, encoders, whole)


def _checked(encoder: Artifact, where: str) -> CheckedEncoder:
    ways = [(build, measured) for build in encoder.manifest.builds for measured in build.measured]
    text_encoder = encoder.text_encoder()
    fresh = fresh_texts(text_encoder)
    exact = _exact(encoder, text_encoder, fresh)
    builds = tuple(_run(encoder, where, build.name, measured, fresh, exact) for build, measured in ways)
    return CheckedEncoder(where, builds)


def _exact(encoder: Artifact, text_encoder: TextEncoder, fresh: FreshTexts) -> Float32 | None:
    """What the fp32 build makes of *fresh* on the first runtime that runs it here; None where none does."""
    build = encoder.manifest.build("fp32")
    if build is None:
        return None
    for measured in build.measured:
        try:
            session = open_session(encoder, build, measured)
            return fresh_vectors(session, text_encoder, fresh, encoder.manifest.identity.dims)
        except (BuildError, ExtraMissing):
            continue
    return None


def _run(
    encoder: Artifact, where: str, name: str, measured: Measured, fresh: FreshTexts, exact: Float32 | None
) -> CheckedBuild:
    build = encoder.manifest.build(name)
    assert build is not None
    text_encoder, identity = encoder.text_encoder(), encoder.manifest.encoder
    try:
        session = open_session(encoder, build, measured)
        worst = encoder.probes().worst(probe_vectors(encoder, session, text_encoder))
        began_ns = time.monotonic_ns()
        probe_vectors(encoder, session, text_encoder)  # again, now that its kernels are there
        taken_ms = max(1, (time.monotonic_ns() - began_ns) // 1_000_000)
        found = fresh_vectors(session, text_encoder, fresh, encoder.manifest.identity.dims)
    except (BuildError, ExtraMissing) as error:
        return CheckedBuild(where, name, measured.runtime, measured.precision, measured.allowed, error=str(error))
    if exact is None:
        return CheckedBuild(where, name, measured.runtime, measured.precision, measured.allowed, worst, taken_ms)
    try:
        require_near(
            found, exact, bound=measured.allowed, build=name, runtime=measured.runtime, distance=identity.distance
        )
    except ProbesFailed as error:
        worst = max(worst, float(identity.distance(found, exact).max()))
        return CheckedBuild(
            where, name, measured.runtime, measured.precision, measured.allowed, worst, taken_ms, str(error)
        )
    return CheckedBuild(where, name, measured.runtime, measured.precision, measured.allowed, worst, taken_ms)
