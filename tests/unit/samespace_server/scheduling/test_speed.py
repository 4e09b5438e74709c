"""What is learnt about the speed of runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samespace_server.scheduling.pacing import SMALLEST_SLICE, next_turn
from samespace_server.scheduling.speed import Speed
from samespace_server.settings import Limits


def known(*runs: tuple[int, int]) -> Speed:
    """What knows these runs of (tokens, us)."""
    speed = Speed()
    for tokens, us in runs:
        speed.observe(tokens, us)
    return speed


def test_nothing_is_known_at_first() -> None:
    """Before the first run every estimate is "no idea", not a number that somebody would be refused for."""
    assert (Speed().run_us(1000), Speed().us(1000, run_tokens=100), Speed().tokens(1000)) == (0, 0, None)


def test_small_runs_and_large_ones_have_their_own_speed() -> None:
    """Full runs are counted at the speed of full runs, and what is left at that of small ones."""
    speed = known((16, 1_000), (2_048, 20_480))
    assert speed.us(16, run_tokens=2_048) == 1_000
    assert speed.us(20_480 + 16, run_tokens=2_048) == 204_800 + 1_000


def test_one_slow_small_run_says_little_about_large_ones() -> None:
    """After a first run of a short text, slow because all was cold, nobody is refused for what a batch may take."""
    speed = known((16, 250_000))
    assert speed.us(544, run_tokens=2_048) == 250_000


def test_between_two_sizes_neither_bound_is_passed() -> None:
    """A size between two that are known takes as long as the smaller run, or its tokens at the larger one's speed."""
    speed = known((16, 1_000), (2_048, 20_480))
    assert speed.run_us(64) == 1_000
    assert speed.run_us(512) == 5_120


def test_the_speed_follows_the_machine() -> None:
    """A faster run is half believed at once, a slower one by an eighth; if it stays slow, so do the estimates."""
    speed = known((100, 9_000), (100, 1_000))
    assert speed.run_us(100) == 5_000
    speed.observe(100, 13_000)
    assert speed.run_us(100) == 6_000
    for _ in range(60):
        speed.observe(100, 13_000)
    assert 12_800 < speed.run_us(100) <= 13_000


def test_a_machine_that_slept_is_not_slow() -> None:
    """One run of ten minutes among many of 10 ms moves the estimate by less than half; a few runs later it is back."""
    speed = Speed()
    for _ in range(20):
        speed.observe(1000, 10_000)
    speed.observe(1000, 600_000_000)
    assert speed.run_us(1000) < 15_000
    for _ in range(3):
        speed.observe(1000, 10_000)
    assert speed.run_us(1000) < 11_000


def test_larger_runs_are_tried_in_steps() -> None:
    """However much time there is, a run is at most about twice as large as any before."""
    assert known((16, 1_000)).tokens(1_000_000) == 32
    assert known((16, 1_000), (2_000, 20_000)).tokens(1_000_000) == 2_048


def test_tokens_are_cheap_from_some_size_on() -> None:
    """The smallest size whose tokens cost at most a quarter more than they do at best."""
    assert Speed().cheap_tokens() == 1
    assert known((16, 1_600), (64, 3_200), (256, 5_120), (1_024, 16_896)).cheap_tokens() == 256
    # Where larger runs were only ever cheaper, the next size is tried.
    assert known((16, 1_600), (64, 3_200), (128, 3_200)).cheap_tokens() == 256


def test_a_starved_machine_does_not_cut_smaller_and_smaller_runs() -> None:
    """Everything takes ten times as long: while no query comes, a run still holds what makes its tokens cheap."""
    starved = known((16, 16_000), (64, 32_000), (256, 60_000), (512, 81_920), (1_024, 163_840))
    quiet = next_turn(Limits(), starved, now_us=0, query_us=None, idle=0)
    assert quiet.slice_tokens == 512
    with_queries = next_turn(Limits(), starved, now_us=0, query_us=0, idle=0)
    assert with_queries.slice_tokens == SMALLEST_SLICE


runs = st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 10_000_000)), min_size=1, max_size=40)


@given(runs, st.integers(1, 100_000))
def test_as_many_tokens_as_fit(made: list[tuple[int, int]], us: int) -> None:
    """The tokens that fit a time take no longer than that time, by the same estimates, unless it is a single one."""
    fitting = known(*made).tokens(us)
    assert fitting is not None and fitting >= 1
    assert fitting == 1 or known(*made).run_us(fitting) <= us


@given(runs, st.integers(1, 100_000), st.integers(1, 5_000))
def test_no_estimate_is_above_what_was_seen(made: list[tuple[int, int]], tokens: int, run_tokens: int) -> None:
    """Estimates stay within the slowest that was seen, for a token or for a run."""
    slowest_ns = max(max(1, us * 1000 // count) for count, us in made)
    longest_us = max(us + 1 for _, us in made)
    count = -(-tokens // run_tokens)
    assert known(*made).us(tokens, run_tokens=run_tokens) <= tokens * slowest_ns // 1000 + count * longest_us
