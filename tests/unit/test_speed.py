"""What is learnt about the speed of runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samespace_server.speed import Speed


def test_nothing_is_known_at_first() -> None:
    """Before the first run every estimate is "no idea", not a number that somebody would be refused for."""
    speed = Speed()
    assert (speed.us(1000, run_tokens=100), speed.tokens(1000)) == (0, None)


def test_small_runs_and_large_ones_have_their_own_speed() -> None:
    """A run of one short text says little about the time of a full one, once a full one was seen."""
    speed = Speed()
    speed.observe(16, 1_000)
    speed.observe(2_048, 20_480)
    assert speed.us(16, run_tokens=2_048) == 1_000
    assert speed.us(20_480, run_tokens=2_048) == 204_800
    assert speed.us(20_480, run_tokens=16) == 20_480 * 62_500 // 1000


def test_a_size_that_was_never_seen_is_like_the_nearest() -> None:
    """A guess for large runs after small ones is too long, never zero."""
    speed = Speed()
    speed.observe(16, 1_000)
    assert speed.us(1_600, run_tokens=2_048) == 100_000


def test_the_speed_follows_the_machine() -> None:
    """When runs become slower for good, so do the estimates; one slow run moves them by an eighth."""
    speed = Speed()
    speed.observe(100, 1_000)
    speed.observe(100, 9_000)
    assert speed.us(100, run_tokens=100) == 2_000
    for _ in range(60):
        speed.observe(100, 9_000)
    assert 8_800 < speed.us(100, run_tokens=100) <= 9_000


@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 10_000_000)), min_size=1, max_size=40),
    st.integers(1, 100_000),
)
def test_as_many_tokens_as_fit(runs: list[tuple[int, int]], us: int) -> None:
    """The tokens that fit a time take no longer than that time, by the same estimates, unless it is a single one."""
    speed = Speed()
    for tokens, took_us in runs:
        speed.observe(tokens, took_us)
    fitting = speed.tokens(us)
    assert fitting is not None and fitting >= 1
    assert fitting == 1 or speed.us(fitting, run_tokens=fitting) <= us
