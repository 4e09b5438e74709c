"""Teachers without a larger model: vectors that know their neighbours, and BM25 beside them. Pure.

Words        BM25 and an encoder err in their own ways, and where both put a passage high it is seldom wrong. So their
             scores for one query are brought to one scale, added, and given the spread of the cosines.
Neighbours   a passage is drawn towards its nearest ones: what they have in common is what they are about, and the way
             each says it counts less.

Both are right for some documents and wrong for others, so each mixture is asked the development questions first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ...vectors import Float32
from ..finetuning.mining import Found
from ..imitating.neighbours import drawn_together

_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Mixture:
    """What counts beside an encoder's own cosines.

    Attributes:
        words: of BM25, where the encoder counts 1.
        neighbours: of a passage's nearest ones, where its own vector counts 1.
    """

    words: float = 0.0
    neighbours: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.words:g} BM25"] * (self.words > 0) + [f"{self.neighbours:g} neighbours"] * (
            self.neighbours > 0
        )
        return " + ".join(parts) or "alone"

    def scores(self, q: Float32, p: Float32, by_words: Found | None) -> Float32:
        """(queries, passages) of unit rows (queries, dim) and (passages, dim).

        Args:
            by_words: BM25's best passages of each query; None where `words` is 0.
        """
        cosines = q @ drawn_together(p, self.neighbours).T
        if not self.words or by_words is None:
            return cosines
        rows = [fused(each, by_words.rows[row], by_words.scores[row], self.words) for row, each in enumerate(cosines)]
        return np.stack(rows)


MIXTURES: Final[Sequence[Mixture]] = tuple(
    Mixture(words, neighbours) for words in (0.0, 0.2, 0.5) for neighbours in (0.0, 0.25)
)


def fused(cosines: Float32, rows: npt.NDArray[np.int64], scores: Float32, weight: float = 1.0) -> Float32:
    """One score for each passage.

    Args:
        cosines: (passages,), the encoder's.
        rows, scores: (depth,), BM25's best passages, -1 and -inf where nothing more was found; others have 0.
        weight: of BM25, where the encoder counts 1.

    Returns:
        (passages,) float32: mean + spread * (z of the cosine + weight * z of BM25) / sqrt(1 + weight^2), over the
        passages that either puts among its first hundred.
    """
    by_words = np.zeros(len(cosines), dtype=np.float64)
    found = rows >= 0
    by_words[rows[found]] = scores[found]
    depth = min(_DEPTH, len(cosines))
    near = np.union1d(np.argpartition(-cosines, depth - 1)[:depth], rows[found])
    spread, middle = float(cosines[near].std()), float(cosines[near].mean())
    if spread <= 0:
        return np.asarray(cosines, dtype=np.float32)
    dense = (cosines - middle) / spread
    width = float(by_words[near].std())
    words = (by_words - by_words[near].mean()) / width if width > 0 else np.zeros(len(cosines))
    return np.asarray(middle + spread * (dense + weight * words) / np.sqrt(1 + weight**2), dtype=np.float32)
