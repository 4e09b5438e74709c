"""Threads follow the cores that are free."""

from __future__ import annotations

import pytest

from samespace.training.threads import free_threads, settle_threads


@pytest.mark.parametrize(
    ("own", "machine", "load", "threads"),
    [(2, 2, 0.1, 2), (2, 2, 1.0, 1), (2, 2, 15.0, 1), (16, 16, 4.2, 12), (2, 64, 30.0, 2), (2, 64, 63.4, 1)],
)
def test_what_others_use_is_left_to_them(own: int, machine: int, load: float, threads: int) -> None:
    """One thread at least, and no more than the process may have; in a container the load is the machine's."""
    assert free_threads(own, machine, load) == threads


def test_who_has_decided_is_obeyed() -> None:
    """With OMP_NUM_THREADS nothing is set and nothing said."""
    torch = pytest.importorskip("torch", reason="needs the extra train")
    before = torch.get_num_threads()
    assert settle_threads({"OMP_NUM_THREADS": "7"}) == ""
    assert torch.get_num_threads() == before
