"""A model's first runs, before anybody waits for one: kernels are made, memory is taken, and the speed becomes known.

Without it the first callers would wait for all that, and be refused or let in by a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from samespace.errors import BuildUnavailable
from samespace.runtime import LoadedBuild

from ..settings import Limits
from .speed import Speed

ROW_TOKENS: Final = 32
SMALLEST: Final = 16
ENOUGH_US: Final = 40_000
"""A run of this length ends it: larger ones can only be slower, and somebody waits for the server to be ready."""
KNOWN_TOKENS: Final = 256
"""So many are run in any case: where a busy machine knows small runs alone, it would go on with those."""


def warm_up(loaded: LoadedBuild, limits: Limits, speed: Speed, *, clock_us: Callable[[], int]) -> None:
    """Run the model on more and more tokens, up to a full run, and let *speed* learn how long that took.

    Each size is run twice and the second run counts, because the first one of a shape is slow.

    Raises:
        BuildUnavailable: the model loads and does not run.
    """
    encoder = loaded.text_encoder
    (text,) = encoder.tokenize([encoder.as_input("a " * ROW_TOKENS)], "passage")
    row = np.resize(np.array(text.windows[0].ids, dtype=np.int64), min(ROW_TOKENS, loaded.artifact.token_limit))
    tokens, took_us = SMALLEST, 0
    while tokens <= limits.batch_tokens and (took_us < ENOUGH_US or tokens <= KNOWN_TOKENS):
        ids = np.tile(row[:tokens], (max(1, tokens // len(row)), 1))
        for _ in range(2):
            started_us = clock_us()
            try:
                loaded.session(ids, np.ones_like(ids))
            except Exception as error:  # runtimes share no error class
                raise BuildUnavailable(
                    wanted=loaded.build_name, available=(), reason=f"a run of {ids.shape} failed: {error}"
                ) from error
            took_us = clock_us() - started_us
        speed.observe(int(ids.size), took_us)
        tokens *= 2
