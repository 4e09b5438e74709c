"""All parts in this process: threads that share one session, each run of it on one core."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

from ..encoder import Encoder
from ..progress import Advance
from .parts import Done
from .plan import BulkPart, Options
from .work import existing, make_part, require_room_for

Made = tuple[BulkPart, Done, bool]
"""A part, what is in it, and whether it was there already."""


class _Stopped(Exception):
    """Another part failed; this one need not end."""


def run_here(
    parts: Sequence[BulkPart],
    options: Options,
    out: str,
    open_encoder: Callable[[int], Encoder],
    *,
    cores: int,
    progress: Advance,
) -> Iterator[Made]:
    """Make what is missing of *parts*, up to *cores* of them at a time; each as it ends, in any order.

    Raises:
        SamespaceError: what was wrong with the first part that failed; the others stop at their next chunk.
    """
    stop, turn = threading.Event(), threading.Lock()

    def advance(rows: int) -> None:
        if stop.is_set():
            raise _Stopped
        with turn:
            progress(rows)

    def make(part: BulkPart) -> Made:
        if stop.is_set():
            raise _Stopped
        done = existing(part, options, out)
        if done is not None:
            advance(part.rows)
            return part, done, True
        return part, make_part(part, options, out, encoder, advance), False

    with open_encoder(cores) as encoder, ThreadPoolExecutor(cores, thread_name_prefix="embed") as pool:
        require_room_for(parts, options, out, encoder.dims)
        waiting = iter(parts)
        running = {pool.submit(make, part) for part in islice(waiting, 2 * cores)}
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for each in finished:
                    yield each.result()
                    running |= {pool.submit(make, part) for part in islice(waiting, 1)}
        finally:
            stop.set()
