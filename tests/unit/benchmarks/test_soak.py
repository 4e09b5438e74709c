"""What the soak reports: slopes with an honest interval, and outcomes that are counted whatever happens."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from loadgen.trend import BLOCKS, trend
from samespace.errors import Overloaded, ServerUnavailable
from soak import OK, REFUSED, WRONG, Expected, Load, Server, Tally

HOUR = 3600


def steps(slope: float, seed: int) -> tuple[list[float], list[float]]:
    """Half an hour of memory that grows by *slope* an hour, and wanders in steps as an allocator does."""
    chance = random.Random(seed)
    seconds = [float(second) for second in range(1800)]
    level, values = 300.0, []
    for second in seconds:
        if second % 10 == 0:
            level = 300 + chance.gauss(0, 2)
        values.append(level + slope * second / HOUR)
    return seconds, values


@pytest.mark.parametrize("slope", [0.0, 20.0, -20.0, 200.0])
def test_the_interval_holds_the_slope(slope: float) -> None:
    """In at least 90 of 100 series the 95 % interval has the slope in it that the series was made with."""
    found = [trend(*steps(slope, seed)) for seed in range(100)]
    assert sum(abs(each.per_hour - slope) <= each.margin for each in found) >= 90


def test_a_leak_is_no_flat_line() -> None:
    """20 MB an hour stand out from steps of 2 MB; no growth does not."""
    assert not any(trend(*steps(20.0, seed)).is_flat for seed in range(20))
    assert sum(trend(*steps(0.0, seed)).is_flat for seed in range(100)) >= 90


def test_the_line_is_that_of_least_squares() -> None:
    """On a straight line the slope is exact, in units an hour, and the interval has no width."""
    found = trend([10.0 * at for at in range(90)], [5.0 + at for at in range(90)])
    assert found.per_hour == pytest.approx(360)
    assert found.margin == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=str(3 * BLOCKS)):
        trend([0.0, 1.0], [0.0, 1.0])


def test_a_vector_of_another_text_is_wrong() -> None:
    """The verdict is about the very text, the number of vectors and their length."""
    expected = Expected(["a", "b"], np.eye(2, 4, dtype=np.float32), 1e-6)
    assert expected.verdict([1], np.array([[0, 1, 0, 0]], np.float32)) == OK
    assert expected.verdict([0], np.array([[0, 1, 0, 0]], np.float32)) == WRONG


def test_what_a_worker_meets_is_counted_and_it_goes_on() -> None:
    """Overload is an outcome of its own; other errors are counted by what they say; a bug of ours is not swallowed."""
    tally = Tally()
    load = Load(Server(None, {}, None), Expected([], np.empty((0, 4), np.float32), 0), tally, threading.Event())  # type: ignore[arg-type]
    with load._counted("query"):
        raise Overloaded(queued=1, limit=1, unit="tokens", retry_after_ms=1)
    with load._counted("query"):
        raise ServerUnavailable(address="a:1", reason="gone")
    with pytest.raises(ZeroDivisionError), load._counted("query"):
        raise ZeroDivisionError
    assert tally.outcomes["query"][REFUSED] == 1
    assert sum(tally.outcomes["query"].values()) == 2
