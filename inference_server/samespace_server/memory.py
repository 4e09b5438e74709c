"""What becomes of memory that is let go: errors that hold what they were raised in, and the C library's arenas.

glibc gives each thread an arena of its own, and what was freed in one is not used in another: a server that compiles
a model in one thread and runs it in others holds some 25 MB for nothing. Two arenas are enough for the few threads that
allocate at a time.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from samespace.errors import SamespaceError

ARENAS: Final = 2
_M_ARENA_MAX: Final = -8  # malloc.h


def without_past(error: SamespaceError) -> SamespaceError:
    """*error* without what leads to the frames that it came from, and so to the texts of who is refused.

    A frame that holds the error which it raised is a cycle: its texts stay until Python looks for cycles, which may be
    gigabytes later.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def use_few_arenas() -> bool:
    """Tell glibc, unless the environment (MALLOC_ARENA_MAX) has said otherwise; whether it was told.

    Threads that have an arena keep it, so call it early. Other C libraries have no such call and need none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "MALLOC_ARENA_MAX" in os.environ:
        return False
    return bool(mallopt(_M_ARENA_MAX, ARENAS))
