"""Passages drawn towards their neighbours: what near passages have in common is what they are about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ...vectors import Float32

_COUNT: Final = 3
_BLOCK: Final = 512


def drawn_together(p: Float32, share: float, groups: Sequence[int] | None = None) -> Float32:
    """Unit rows *p* (passages, dim), each with *share* of the mean of its three nearest ones added.

    Args:
        groups: (passages,), equal for pieces of one text, which are no neighbours of each other; None where each row is
            a text of its own.
    """
    count = min(_COUNT, len(p) - 1)
    if not share or count < 1:
        return p
    own = np.arange(len(p)) if groups is None else np.asarray(groups)
    drawn = np.empty_like(p)
    for start in range(0, len(p), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = p[rows] @ p.T
        block[own[rows, None] == own[None, :]] = -np.inf
        near = np.argpartition(-block, count - 1, axis=1)[:, :count]
        there = np.isfinite(np.take_along_axis(block, near, axis=1))
        mean = (p[near] * there[:, :, None]).sum(axis=1) / np.maximum(there.sum(axis=1), 1)[:, None]
        drawn[rows] = p[rows] + share * mean
    return unit(drawn)


def unit(rows: Float32) -> Float32:
    """Rows of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
