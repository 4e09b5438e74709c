"""How much longer requests wait than the estimate says, learnt from those whose turn came. Pure.

The estimate takes full runs at the speed of the model. What comes beside that is not in it: runs cut into slices,
padding, tokenising, Python, other processes. Whatever its cause, it shows as the ratio of what was waited to what was
estimated, and the next estimates are multiplied by it. It never falls below 1: without load there is nothing to learn
from, and where the estimate is too high a little room stays free.
"""

from __future__ import annotations

from typing import Final

from .batching import WEIGHTS, Lane

_STEP: Final = 1 / 16
"""How far one wait moves the ratio; a wait that is near the bound is one of a few dozen."""
_MOST: Final = 16.0
_WORTH: Final = 1 / 64
"""Estimates below this share of the longest one teach nothing: a single run outweighs them."""


class Promises:
    """The ratio of waits to estimates, by lane."""

    def __init__(self, longest_us: int) -> None:
        """Nothing is learnt yet; *longest_us* is the longest wait that is allowed."""
        self._least_us = max(1, int(longest_us * _WORTH))
        self._ratios: dict[Lane, float] = dict.fromkeys(WEIGHTS, 1.0)

    def wait_us(self, lane: Lane, estimate_us: int) -> int:
        """About how long somebody really waits whose wait is estimated so."""
        return int(estimate_us * self._ratios[lane])

    def came(self, lane: Lane, estimate_us: int, waited_us: int) -> None:
        """Somebody's turn came after *waited_us*."""
        if estimate_us >= self._least_us:
            ratio = min(_MOST, waited_us / estimate_us)
            self._ratios[lane] = max(1.0, self._ratios[lane] + (ratio - self._ratios[lane]) * _STEP)
