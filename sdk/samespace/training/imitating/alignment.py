"""A larger encoder's vectors in the space of a smaller one, so that they can be learned, and mixed with its own. Pure.

What a ranking sees of vectors is their cosines. They stay nearly the same when the vectors are cut to the directions in
which they differ most, and exactly when these are turned; so they are turned to where they lie nearest to the vectors
of the smaller encoder. The mean of the two encoders' vectors is often better than either, as ensembles are.

Source: Schoenemann 1966, "A generalized solution of the orthogonal Procrustes problem".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...vectors import Float32
from .neighbours import unit


@dataclass(frozen=True, slots=True)
class Alignment:
    """The way from one encoder's vectors to another's space.

    Attributes:
        turn: (their dim, our dim) float32.
    """

    turn: Float32

    @staticmethod
    def between(theirs: Float32, ours: Float32) -> Alignment:
        """Out of unit rows of the same texts, (texts, their dim) and (texts, our dim)."""
        kept = min(theirs.shape[1], ours.shape[1])
        directions = np.linalg.svd(theirs, full_matrices=False)[2][:kept].T  # (their dim, kept)
        left, _, right = np.linalg.svd((theirs @ directions).T @ ours, full_matrices=False)
        return Alignment(np.asarray(directions @ left @ right, dtype=np.float32))

    def mixed(self, theirs: Float32, ours: Float32) -> Float32:
        """(texts, our dim): the mean of both, unit rows."""
        return unit(unit(theirs @ self.turn) + ours)
