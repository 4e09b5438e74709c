"""One run of the model, and whether what came out may be passed on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from samespace.runtime import Session
from samespace.text import pad
from samespace.vectors import Float32

from .job import Job

log = logging.getLogger(__name__)

UNIT: Final = 0.02
"""How far a vector's squared length may be from 1: what normalising in bf16 leaves, several times over."""

Rows = list[tuple[Job, int]]
"""A batch: whose window each row is."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the model.

    Attributes:
        vectors: (rows, dim), float32; meaningless where it raised or gave another shape.
        sound: which rows are finite and of unit length; the others are never answered with.
        tokens, padded: what it ran, without and with padding.
        raised: the model raised an error.
        fault: what no encoder may give, in words, or None.
    """

    rows: Rows
    vectors: Float32
    sound: list[bool]
    tokens: int
    padded: int
    started_us: int
    ended_us: int
    raised: bool
    fault: str | None


def run(session: Session, rows: Rows, *, dims: int, clock_us: Callable[[], int], unit: bool = True) -> Ran:
    """Run the model on the windows of *rows*; never raises.

    Args:
        unit: whether what it gives are unit vectors; else they are numbers that have to be finite.
    """
    windows = [job.windows[row] for job, row in rows]
    ids, mask = pad(windows)
    sound, raised, fault = [False] * len(rows), False, None
    vectors: Float32 = np.empty((len(rows), 0), dtype=np.float32)
    started_us = clock_us()
    try:
        vectors = session(ids, mask)
    except Exception as error:  # noqa: BLE001 - runtimes share no error class, and the worker has to live on
        raised = True
        log.error("a run of %d windows failed: %s", len(rows), error)
    ended_us = clock_us()
    if not raised and vectors.shape != (len(rows), dims):
        fault = f"the model gave shape {vectors.shape} for {len(rows)} inputs of {dims} dims"
    elif not raised:
        # NaN and infinity are of no length that compares, so one check finds them too.
        squared = np.einsum("nd,nd->n", vectors, vectors)
        sound = (np.abs(squared - 1.0) < UNIT if unit else np.isfinite(squared)).tolist()
        if not all(sound):
            what = "vector that is not finite or not of unit length" if unit else "score that is not finite"
            fault = f"the model gave a {what}"
    tokens = sum(len(window.ids) for window in windows)
    return Ran(rows, vectors, sound, tokens, int(ids.size), started_us, ended_us, raised, fault)
