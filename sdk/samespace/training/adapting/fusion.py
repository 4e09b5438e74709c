"""BM25 and an encoder together: a teacher without a model. Pure.

Each errs in its own way, and where both put a passage high it is seldom wrong. So their scores for one query are
brought to one scale, added, and given the spread of the cosines, so that they can be learned as if they were cosines.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ...vectors import Float32

_DEPTH: Final = 100


def fused(cosines: Float32, rows: npt.NDArray[np.int64], scores: Float32) -> Float32:
    """One score for each passage.

    Args:
        cosines: (passages,), the encoder's.
        rows, scores: (depth,), BM25's best passages, -1 and -inf where nothing more was found; others have 0.

    Returns:
        (passages,) float32: mean + spread * (z of the cosine + z of BM25) / sqrt(2), over the passages that either
        puts among its first hundred.
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
    return np.asarray(middle + spread * (dense + words) / np.sqrt(2), dtype=np.float32)
