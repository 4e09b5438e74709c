"""How far a stored vector may be from the vector that the encoder gives today, and still be of the same text and space.

Each build of an artifact keeps within a bound of the fp32 reference: 1 - cos <= b, so its vectors are within the
angle arccos(1 - b). What one build wrote and another re-encodes can be both angles apart: angles add up, 1 - cos do
not (two bounds of 1e-6 allow 4e-6).

The bound was measured on the probes. For exact builds it is a million times what they show, and holds for any text;
for int8 it is about the worst of some fifty texts, and a rare text goes beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from samespace.encoder import CompositeEncoder, Encoder, LocalEncoder, RemoteEncoder
from samespace.providers.encoder import ProviderEncoder

EXACT: Final = 1e-6
"""The gate of fp32: what is assumed of an encoder that has no recorded bound, such as a checkpoint."""
HALF: Final = 2e-4
"""What half precision stays within: nothing larger is believed of a vector where the build that wrote can be asked."""
_GATES: Final = (("fp32", EXACT), ("fp16", 1e-4), ("bf16", HALF))
"""No build of these names is exported beyond them: what is assumed of builds that a server does not tell about."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A build, and the largest 1 - cos to the fp32 reference that it may show."""

    build: str
    worst: float


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What the comparison is held against.

    Attributes:
        reader: the build that re-encodes now.
        writer: the build that wrote, as far as the vectors tell.
        loosest: the loosest build that could have written.
    """

    reader: Bound
    writer: Bound
    loosest: Bound

    @property
    def allowed(self) -> float:
        """The largest 1 - cos of a right vector."""
        return apart(self.reader.worst, self.writer.worst)

    @property
    def allowed_coarse(self) -> float:
        """The same, had the loosest build written it."""
        return apart(self.reader.worst, self.loosest.worst)


def apart(first: float, second: float) -> float:
    """The largest 1 - cos of two vectors that are within 1 - cos *first* and *second* of a third."""
    angle = math.acos(1.0 - min(first, 2.0)) + math.acos(1.0 - min(second, 2.0))
    # 2 sin²(a/2) is 1 - cos a, without its cancellation for small angles.
    return 2.0 * math.sin(min(angle, math.pi) / 2.0) ** 2


def bounds_of(encoder: Encoder) -> tuple[Bound, tuple[Bound, ...]]:
    """(the build that *encoder* runs, every build that may have written vectors of its space), from tight to loose."""
    if isinstance(encoder, RemoteEncoder):
        reader = Bound(encoder.info.build, encoder.info.probe_bound)
        others = tuple(Bound(*gate) for gate in _GATES if gate[0] != reader.build)
    elif isinstance(encoder, LocalEncoder | CompositeEncoder):
        loaded = encoder.loaded
        artifacts = loaded.artifact.parts or (loaded.artifact,)
        reader = Bound(loaded.build_name, loaded.bound)
        others = tuple(
            Bound(build.name, max(measured.allowed for measured in build.measured))
            for artifact in artifacts
            for build in artifact.manifest.builds
        )
    elif isinstance(encoder, ProviderEncoder):
        reader, others = Bound(encoder.name, encoder.manifest.bound), ()
    else:
        reader = Bound("exact", EXACT)
        others = ()
    loosest: dict[str, float] = {}
    for bound in (reader, *others):
        loosest[bound.build] = max(loosest.get(bound.build, 0.0), bound.worst)
    return reader, tuple(sorted((Bound(*item) for item in loosest.items()), key=lambda bound: bound.worst))


def infer(reader: Bound, writers: Sequence[Bound], distances: npt.NDArray[np.float64]) -> Tolerance:
    """Which of *writers* (from tight to loose) wrote most of the vectors, judged by their 1 - cos to the right ones.

    The tightest one within whose bound at least half of those are that any writer explains: a collection that an exact
    build wrote is not held against the bound of int8, behind which a small change of the text would hide.
    """
    loosest = writers[-1]
    explained = int((distances <= apart(reader.worst, loosest.worst)).sum())
    for writer in writers:
        if 2 * int((distances <= apart(reader.worst, writer.worst)).sum()) >= explained:
            return Tolerance(reader, writer, loosest)
    return Tolerance(reader, loosest, loosest)
