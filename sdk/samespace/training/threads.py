"""How many threads torch computes with: as many as there are cores that nobody else uses.

A pool of threads waits for its slowest, and spins while it waits. Where other programs take the cores, two threads on
two cores can be many times slower than one.

What it leaves to others: whoever sets OMP_NUM_THREADS has decided, and is obeyed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def free_threads(own: int, machine: int, load: float) -> int:
    """Threads to compute with.

    Args:
        own: cores that this process may use.
        machine: cores of the machine, which the load is of.
        load: processes that want to run, on average over the last minute; this one not yet among them.
    """
    return max(1, min(own, round(machine - load)))


def settle_threads(environment: Mapping[str, str]) -> str:
    """Set torch's threads by what is free now; what to say of it, "" where all cores are free or are asked for."""
    import torch

    if environment.get("OMP_NUM_THREADS") or not hasattr(os, "getloadavg"):
        return ""
    own = torch.get_num_threads()
    load = os.getloadavg()[0]
    threads = free_threads(own, os.cpu_count() or own, load)
    if threads >= own:
        return ""
    torch.set_num_threads(threads)
    return (
        f"{threads} of {own} threads, because others use this machine (load {load:.1f}); OMP_NUM_THREADS overrides it"
    )
