"""samespace_server.memory: freed memory is shared by threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ARENAS_OF_16_THREADS = """
import ctypes, io, re, sys, threading
from samespace_server.memory import use_few_arenas
if sys.argv[1] == "few" and not use_few_arenas():
    sys.exit("not glibc")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
together = threading.Barrier(16)

def allocate():
    together.wait()
    for _ in range(2000):
        libc.free(libc.malloc(5000))

threads = [threading.Thread(target=allocate) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, out)
libc.fflush(ctypes.c_void_p(out))
"""


def arenas(how: str, environment: dict[str, str]) -> int:
    """How many arenas glibc has after 16 threads have allocated at once."""
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", ARENAS_OF_16_THREADS, how],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "not glibc" in done.stderr:
        pytest.skip("the C library has no mallopt, or MALLOC_ARENA_MAX is set")
    return done.stdout.count("<heap nr=")


def test_a_server_has_two_arenas_however_many_threads() -> None:
    """Without it, threads that allocate at once have one each, up to eight a core."""
    assert arenas("few", {}) <= 2 < arenas("many", {})


def test_the_environment_decides() -> None:
    """MALLOC_ARENA_MAX is the user's word."""
    code = "from samespace_server.memory import use_few_arenas; print(use_few_arenas())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MALLOC_ARENA_MAX": "8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "False"
