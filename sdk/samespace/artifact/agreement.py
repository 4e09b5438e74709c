"""Whether two sides that claim one space give the same vectors: texts made at that moment, and how near is near.

An id is a claim of whoever names it, and shipped texts could be prepared for. So two builds, two replicas, or a server
and an artifact are compared on texts that nobody knew before. How far apart two may be follows from what each of them
was measured to differ from the fp32 reference.

What it leaves to others: who is asked, and what a disagreement means there.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..vectors import Float32, cosine_distance
from .probes import SENTENCES, Distance

COUNT: Final = 8
"""How many texts are sent to servers, where each costs somebody time."""
WORST_OF_BOUND: Final = 4.0
"""Random words are farther from what an int8 build was scaled for than probes: one text may show so many bounds."""
_LEAST: Final = 1e-6  # 1 - cos: two fp32 builds on two runtimes
_MOST: Final = 0.25  # whatever a manifest or a server allows: its author wrote the bound too
_WORDS: Final = (3, 20)


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near two sides are on the same texts.

    Attributes:
        mean, worst: of 1 - cos, over the texts.
        bound: the largest mean that is taken; one text may have `WORST_OF_BOUND` times as much.
    """

    mean: float
    worst: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether both can be of one space; not where a number is not finite."""
        return self.mean <= self.bound and self.worst <= self.most

    @property
    def most(self) -> float:
        """The largest 1 - cos of one text."""
        return WORST_OF_BOUND * self.bound


def nearness(found: Float32, wanted: Float32, *, bound: float, distance: Distance = cosine_distance) -> Nearness:
    """Compare (n, dims) with (n, dims), row by row.

    Args:
        bound: what both sides together may differ on average, as 1 - cos.
        distance: what is measured instead, where the rows are no vectors.
    """
    bound = min(max(bound, _LEAST), _MOST)
    if found.shape != wanted.shape or not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return Nearness(float("inf"), float("inf"), bound)
    distances = distance(found, wanted)
    return Nearness(float(np.mean(distances)), float(np.max(distances)), bound)


def drawing(seed: int | None = None) -> random.Random:
    """What draws so that nobody can have known it; the same again for a *seed* of tests."""
    return random.Random(secrets.randbits(64) if seed is None else seed)


def unforeseen_texts(words: Sequence[str] = (), *, count: int = COUNT, seed: int | None = None) -> tuple[str, ...]:
    """Texts that nobody can have known: words drawn anew, from *words* or from plain English.

    Args:
        seed: only for tests.
    """
    draw = drawing(seed)
    chosen = list(words) or sorted({word for sentence in SENTENCES for word in sentence.split()})
    longest = 2 * _WORDS[1] if words else _WORDS[1]
    return tuple(" ".join(draw.choices(chosen, k=draw.randint(_WORDS[0], longest))) for _ in range(count))
