"""Composites in memory: each part loaded by itself and proved by its own probes, then the whole by its probes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from ..artifact import Artifact, Composite
from ..combine import concatenate
from ..embed import embed_texts
from ..errors import ProbesFailed
from ..text import ROLES, Role
from ..vectors import Float32
from .load import LoadedBuild, load_build
from .session import Device


@dataclass(frozen=True, slots=True)
class LoadedParts:
    """A composite that this machine computes right.

    Attributes:
        parts: in the order of the composite's identity.
        worst: largest 1 - cos over the composite's probes on this machine.
    """

    artifact: Artifact
    parts: tuple[LoadedBuild, ...]
    worst: float

    @property
    def composite(self) -> Composite:
        """The identity."""
        composite = self.artifact.manifest.composite
        assert composite is not None
        return composite

    @property
    def build_name(self) -> str:
        """The builds of the parts, each name once."""
        return _joined(part.build_name for part in self.parts)

    @property
    def runtime(self) -> str:
        """The runtimes of the parts."""
        return _joined(part.runtime for part in self.parts)

    @property
    def precision(self) -> str:
        """What the parts compute in."""
        return _joined(part.precision for part in self.parts)

    @property
    def bound(self) -> float:
        """The largest 1 - cos that may be seen: a mean of the parts' cannot be above the largest of them."""
        return max(part.bound for part in self.parts)

    @property
    def why(self) -> str:
        """Why the parts run these builds."""
        return "; ".join(dict.fromkeys(part.why for part in self.parts))

    @property
    def refused(self) -> tuple[str, ...]:
        """What was tried first, of all parts."""
        return tuple(reason for part in self.parts for reason in part.refused)


def load_artifact(
    artifact: Artifact,
    *,
    build: str = "auto",
    runtime: str = "auto",
    threads: int = 0,
    device: Device = "cpu",
    streams: int = 1,
    kept: bool = False,
) -> LoadedBuild | LoadedParts:
    """Load an encoder or every part of a composite; see `load_build`.

    Raises:
        BuildError: no build of an encoder runs here within its bound.
        ProbesFailed: the parts are right, but together they are not what the composite's probes say.
        ArtifactDamaged: a file is not what the manifest says.
    """
    load = partial(load_build, build=build, runtime=runtime, threads=threads, device=device, streams=streams, kept=kept)
    if artifact.manifest.composite is None:
        return load(artifact)
    parts = tuple(map(load, artifact.parts))
    loaded = LoadedParts(artifact, parts, worst=0.0)
    worst = artifact.probes().worst(_probe_vectors(loaded))
    if not worst <= loaded.bound:
        raise ProbesFailed(build=loaded.build_name, runtime=loaded.runtime, worst=worst, bound=loaded.bound)
    return LoadedParts(artifact, parts, worst)


def _probe_vectors(loaded: LoadedParts) -> Float32:
    probes, composite = loaded.artifact.probes(), loaded.composite
    vectors = probes.vectors.copy()
    for role in ROLES:
        rows = [row for row, each in enumerate(probes.roles) if each == role]
        texts = [probes.texts[row] for row in rows]
        chosen = parts_of(loaded, role)
        found = [
            embed_texts(part.session, part.text_encoder, texts, role, dims=part.artifact.manifest.identity.dims).vectors
            for part in chosen
        ]
        weights = [part.weight for part in composite.parts]
        vectors[rows] = found[0] if composite.kind == "two_tower" else concatenate(found, weights)
    return vectors


def parts_of(loaded: LoadedParts, role: Role) -> tuple[LoadedBuild, ...]:
    """The parts that a text of *role* goes through: one tower, or all of a concatenation."""
    return (loaded.parts[ROLES.index(role)],) if loaded.composite.kind == "two_tower" else loaded.parts


def each_build(loaded: LoadedBuild | LoadedParts) -> tuple[LoadedBuild, ...]:
    """The encoder, or the parts of a composite."""
    return (loaded,) if isinstance(loaded, LoadedBuild) else loaded.parts


def _joined(names: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(names))
