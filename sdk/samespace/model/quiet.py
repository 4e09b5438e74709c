"""Libraries under us, silent for a while: what matters of their reports is checked here and raised as errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Only errors of these *loggers*, and none of transformers' bars; afterwards everything is as the user had it."""
    from transformers.utils import logging as transformers_logging

    # transformers sets its logger's level at first use: later than here, that would undo ours.
    transformers_logging.get_verbosity()
    chosen = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in chosen]
    # A hook, because turning bars off and on again loses what the user had chosen for those of the hub.
    hook = transformers_logging.set_tqdm_hook(
        lambda factory, arguments, options: factory(*arguments, **{**options, "disable": True})
    )
    try:
        for logger in chosen:
            logger.setLevel(max(logger.level, logging.ERROR))
        yield
    finally:
        transformers_logging.set_tqdm_hook(hook)
        for logger, level in zip(chosen, levels, strict=True):
            logger.setLevel(level)
