"""How large a run may be and who is in haste, from the limits, the speed and the time. Pure.

A query that comes while something else runs waits for that run. So what is not a query runs in slices of time:
short ones while queries come or came lately, longer ones otherwise. On CPUs, runs of more than a few hundred tokens
are hardly faster; on GPUs a slice holds thousands.
"""

from __future__ import annotations

from typing import Final

from ..settings import Limits
from .batching import Turn
from .speed import Speed

QUIET_US: Final = 10_000_000
"""So long after the last query none is expected."""
QUIET_SLICES: Final = 4
SMALLEST_SLICE: Final = 64
"""Tokens of the smallest slice while queries come: on a machine so slow that a slice of time holds less, runs of single
texts would only make it slower."""
SMALLEST_QUIET_SLICE: Final = 256
"""And while none come, or the size from which on tokens are cheap. A machine that other programs slow down would
otherwise cut smaller and smaller runs, and never learn what larger ones cost now."""
HASTE_RUNS: Final = 2
"""An item is urgent when its deadline comes before so many full runs are over."""


def next_turn(limits: Limits, speed: Speed, *, now_us: int, query_us: int | None, idle: int) -> Turn:
    """What the next batch is chosen for.

    Args:
        query_us: when the last query came; None if none did.
        idle: how many other runners have nothing to do.
    """
    queries_come = query_us is not None and now_us - query_us <= QUIET_US
    slice_us = limits.slice_ms * 1000 * (1 if queries_come else QUIET_SLICES)
    full_run_us = speed.run_us(limits.batch_tokens)
    in_slice = speed.tokens(slice_us)
    smallest = SMALLEST_SLICE if queries_come else max(SMALLEST_QUIET_SLICE, speed.cheap_tokens())
    return Turn(
        runners=1 + idle,
        slice_tokens=None if in_slice is None else max(smallest, in_slice),
        urgent_us=now_us + HASTE_RUNS * full_run_us,
    )
