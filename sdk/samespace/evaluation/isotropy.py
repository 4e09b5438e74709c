"""How evenly vectors fill their space: effective rank, mean cosine and uniformity. Pure functions over (n, dim).

They describe vectors; they do not say whether an encoder retrieves well. A whitened space has the highest rank
and the lowest cosine that there are, and may still rank worse: choose by nDCG, and read these to understand it.

What it gives up: large n. Effective rank takes n dim^2 steps, uniformity n^2 dim; callers pass a sample.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import RequestInvalid

_BLOCK_ROWS: Final = 512  # of a pairwise product: 512 x 5000 in float64 are 20 MB


def effective_rank(vectors: npt.NDArray[Any]) -> float:
    """How many dimensions the vectors really use: exp of the entropy of their normalised singular values.

    The mean is not removed, so that vectors which all point the same way show as 1.

    Args:
        vectors: (n, dim), any float.

    Returns:
        Between 1 (all on one line) and min(n, dim); 1 as well where all vectors are zero.

    Raises:
        RequestInvalid: not (n, dim) with at least one vector.

    Source: Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality", section 2.
    """
    rows = _rows(vectors, at_least=1)
    singular = np.linalg.svd(rows, compute_uv=False)
    total = singular.sum()
    if total == 0:
        return 1.0
    shares = singular / total
    shares = shares[shares > 0]  # 0 log 0 is 0
    return float(np.exp(-(shares * np.log(shares)).sum()))


def mean_cosine(vectors: npt.NDArray[Any]) -> float:
    """Mean cosine over all pairs of different rows: what two random vectors are like. Exact, nothing is drawn.

    The sum over all pairs is |sum of rows|^2, less the n pairs of a row with itself.

    Args:
        vectors: (n, dim) unit rows, n at least 2.

    Returns:
        In [-1 / (n - 1), 1]; 0 for vectors spread evenly, towards 1 for a narrow cone.

    Raises:
        RequestInvalid: not (n, dim) with at least two vectors.

    Source: Ethayarajh 2019, section 4.1, arXiv:1909.00512 ("anisotropy").
    """
    rows = _rows(vectors, at_least=2)
    n, total = len(rows), rows.sum(axis=0)
    return float((total @ total - np.einsum("nd,nd->", rows, rows)) / (n * (n - 1)))


def uniformity(vectors: npt.NDArray[Any]) -> float:
    """log of the mean of exp(-2 |x - y|^2) over all pairs of different rows; the lower, the more evenly spread.

    Args:
        vectors: (n, dim) unit rows, n at least 2.

    Returns:
        0 where all vectors are equal, about -4 where they are spread over the sphere in many dimensions.

    Raises:
        RequestInvalid: not (n, dim) with at least two vectors.

    Source: Wang and Isola 2020, section 4.1.2, arXiv:2005.10242, with their t = 2.
    """
    rows = _rows(vectors, at_least=2)
    n, lengths = len(rows), np.einsum("nd,nd->n", rows, rows)
    total = 0.0
    for start in range(0, n, _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        squared = lengths[start : start + len(block), None] + lengths[None, :] - 2 * block @ rows.T  # (block, n)
        total += float(np.exp(-2 * np.maximum(squared, 0)).sum())
    return float(np.log((total - n) / (n * (n - 1))))  # a row with itself gave exp(0) = 1


def _rows(vectors: npt.NDArray[Any], *, at_least: int) -> npt.NDArray[np.float64]:
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < at_least or rows.shape[1] < 1:
        raise RequestInvalid(field="vectors", reason=f"shape {rows.shape}; expected (n, dim) with n >= {at_least}")
    return rows
