"""Whether something grows: a straight line through a series, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

BLOCKS: Final = 30
_T_28: Final = 2.048  # Student's t, 97.5 %, 30 - 2 degrees of freedom


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope per hour, and half the width of its 95 % interval."""

    per_hour: float
    margin: float

    @property
    def is_flat(self) -> bool:
        """Whether no growth, and no shrinking, is among the slopes that the series allows."""
        return abs(self.per_hour) <= self.margin


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """The least-squares slope of *values* over time.

    Neighbouring samples are alike (an allocator takes memory in steps), and would make the interval far too narrow. So
    the line goes through the means of 30 equal spans, which are nearly independent where a span is longer than the
    steps; the interval is that of ordinary least squares.

    Args:
        seconds: when, increasing; at least 90 samples.
    """
    if len(seconds) < 3 * BLOCKS:
        raise ValueError(f"{len(seconds)} samples, at least {3 * BLOCKS} are needed")
    times = [float(np.mean(block)) for block in np.array_split(np.asarray(seconds, float), BLOCKS)]
    means = [float(np.mean(block)) for block in np.array_split(np.asarray(values, float), BLOCKS)]
    x, y = np.array(times) / 3600, np.array(means)
    x_off, y_off = x - x.mean(), y - y.mean()
    slope = float((x_off * y_off).sum() / (x_off**2).sum())
    residuals = y_off - slope * x_off
    variance = float((residuals**2).sum() / (BLOCKS - 2) / (x_off**2).sum())
    return Trend(slope, _T_28 * variance**0.5)
