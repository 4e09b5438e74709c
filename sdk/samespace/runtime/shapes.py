"""The shapes that runs are rounded up to, so that a runtime meets few of them.

A runtime prepares itself for every new shape: OpenVINO compiles kernels for it and keeps them, CUDA picks kernels and
takes memory. In traffic of all lengths nearly every batch has a shape of its own, which costs time at each and memory
without end. So lengths, and on CUDA rows too, are rounded up to a small set. What is added is masked, and rows that
were added are cut off again: the vectors are those of the real rows.

Eight steps to a doubling: what is added is at most an eighth of a length above 64, about 5 % over all lengths.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..text import Int64

STEPS: Final = 8
FINEST: Final = 8
"""Tokens between two lengths where they are short; kernels work on blocks of 8 or more anyway."""


def rounded(count: int, *, finest: int = FINEST) -> int:
    """The smallest step that *count* fits in: multiples of *finest* up to 16 of them, then eight to a doubling."""
    step = finest
    while count > 2 * STEPS * step:
        step *= 2
    return -(-count // step) * step


def lengths(longest: int, *, finest: int = FINEST) -> tuple[int, ...]:
    """Every length that inputs of up to *longest* tokens are rounded to; the last is *longest* itself."""
    steps = []
    step = finest
    while step < longest:
        steps.append(step)
        step = rounded(step + 1, finest=finest)
    return (*steps, longest)


def rounded_length(tokens: int, longest: int, *, finest: int = FINEST) -> int:
    """What an input of *tokens* is padded to where the encoder takes at most *longest*; never less than it has."""
    return max(tokens, min(rounded(tokens, finest=finest), longest))


def padded(ids: Int64, mask: Int64, *, rows: int, tokens: int) -> tuple[Int64, Int64]:
    """*ids* and *mask* in a larger shape.

    Added tokens are masked. Added rows attend to one token: a row without any would divide by zero in the pooling.
    """
    have_rows, have_tokens = ids.shape
    if (rows, tokens) == ids.shape:
        return ids, mask
    wide = np.zeros((2, rows, tokens), dtype=np.int64)
    wide[0, :have_rows, :have_tokens] = ids
    wide[1, :have_rows, :have_tokens] = mask
    wide[1, have_rows:, 0] = 1
    return wide[0], wide[1]
