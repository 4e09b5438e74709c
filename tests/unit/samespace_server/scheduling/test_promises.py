"""The correction of estimated waits: pure numbers."""

from __future__ import annotations

from samespace_server.scheduling.speed import Promises

BOUND_US = 2_000_000


def test_waits_of_three_times_the_estimate_are_expected_soon() -> None:
    """Forty waits are enough to know; other lanes learn nothing from them."""
    promises = Promises(BOUND_US)
    for _ in range(40):
        promises.came("query", 100_000, 300_000)
    assert 270_000 <= promises.wait_us("query", 100_000) <= 300_000
    assert promises.wait_us("single", 100_000) == 100_000


def test_what_is_quicker_than_estimated_does_not_shorten_the_estimate() -> None:
    """An estimate that is too high leaves room; it is not talked down to nothing by an idle server."""
    promises = Promises(BOUND_US)
    for _ in range(1000):
        promises.came("query", 100_000, 10)
    assert promises.wait_us("query", 100_000) == 100_000


def test_one_wait_of_minutes_is_not_believed() -> None:
    """It counts as 16 times the estimate at most, and is forgotten after some dozens of others."""
    promises = Promises(BOUND_US)
    promises.came("bulk", 100_000, 600_000_000)
    assert promises.wait_us("bulk", 100_000) < 200_000
    for _ in range(60):
        promises.came("bulk", 100_000, 100_000)
    assert promises.wait_us("bulk", 100_000) < 105_000


def test_tiny_estimates_teach_nothing() -> None:
    """A wait of one run behind an empty queue says nothing about long queues."""
    promises = Promises(BOUND_US)
    for _ in range(1000):
        promises.came("query", 1_000, 30_000)
    assert promises.wait_us("query", 1_000_000) == 1_000_000
