"""Who is let into the queue. No threads and no clock: the speed is given."""

from __future__ import annotations

import asyncio

import pytest

from samespace.errors import DeadlineExceeded, Overloaded, RequestInvalid
from samespace_server.scheduling.admission import Admission
from samespace_server.scheduling.batching import Lane
from samespace_server.scheduling.job import Job
from samespace_server.scheduling.speed import Speed
from samespace_server.settings import Limits

US_PER_TOKEN = 100


class Gauge:
    value = 0.0

    def inc(self, amount: float) -> None:
        self.value += amount


def admission(*, known: bool = True, runners: int = 1, **limits: int) -> tuple[Admission, Gauge]:
    """A queue for a model of 10,000 tokens a second."""
    speed, gauge = Speed(), Gauge()
    for size in range(12) if known else ():
        speed.observe(1 << size, (1 << size) * US_PER_TOKEN)
    return Admission(Limits(**limits), speed, gauge, runners=runners, space_id="a" * 64), gauge


def job(lane: Lane = "query") -> Job:
    loop = asyncio.new_event_loop()
    made = Job(["a"], "query", "pool", lane, 0, None, loop.create_future(), 0)
    loop.close()
    return made


def test_who_would_wait_too_long_is_refused() -> None:
    """With 0.9 s of work queued and 1 s allowed a query comes in, with 1.1 s it does not, and hears when to return."""
    made, _ = admission(max_queue_ms=1000)
    made.count(job(), "query", 9_000)
    assert made.refusal("query", 100, None) is None
    made.count(job(), "query", 2_000)
    refusal = made.refusal("query", 100, None)
    assert isinstance(refusal, Overloaded)
    assert (refusal.queued, refusal.limit, refusal.unit, refusal.retry_after_ms) == (1100, 1000, "ms of work", 550)


def test_its_own_work_does_not_count_against_a_request() -> None:
    """Ten seconds of work are taken by an empty queue of one second."""
    made, _ = admission(max_queue_ms=1000)
    assert made.refusal("bulk", 100_000, None) is None


def test_a_newcomer_waits_for_its_lane_and_for_the_others_share() -> None:
    """Ten seconds of bulk do not count for a query; behind 0.8 s of queries it waits a sixteenth longer for them."""
    made, _ = admission()
    made.count(job("bulk"), "bulk", 100_000)
    assert made.wait_us("query") == 0
    made.count(job(), "query", 8_000)
    assert made.wait_us("query") == 8_500 * US_PER_TOKEN
    assert made.wait_us("single") == 0
    assert made.wait_us("bulk") == 108_000 * US_PER_TOKEN


def test_bulk_has_more_patience() -> None:
    """Bulk comes in, and its streams are read on, while the wait is below eight times that of a query."""
    made, _ = admission(max_queue_ms=1000)
    made.count(job("bulk"), "bulk", 79_000)
    assert made.refusal("bulk", 100, None) is None and made.has_room(100)
    made.count(job("bulk"), "bulk", 2_000)
    assert isinstance(made.refusal("bulk", 100, None), Overloaded) and not made.has_room(100)


def test_several_runners_are_faster() -> None:
    """Two runs at a time halve the wait."""
    made, _ = admission(runners=2)
    made.count(job(), "query", 9_000)
    assert made.wait_us("query") == 4_500 * US_PER_TOKEN


@pytest.mark.parametrize(("left_us", "taken"), [(1_000_000, True), (999_000, False), (0, False), (-5, False)])
def test_who_cannot_be_served_in_time_is_told_at_once(left_us: int, taken: bool) -> None:
    """A request needs its wait and its own run; with less time than that it is refused now and not later."""
    made, _ = admission(max_queue_ms=1000)
    made.count(job(), "query", 9_000)
    refusal = made.refusal("query", 1_000, left_us)
    assert (refusal is None) == taken
    assert taken or (isinstance(refusal, DeadlineExceeded) and "1000 ms" in str(refusal))


def test_before_the_first_run_only_tokens_count() -> None:
    """Nobody is refused for a speed that is not known; the bound on tokens holds from the start."""
    made, _ = admission(known=False, max_queued_tokens=1000, max_queue_ms=1)
    made.count(job(), "query", 900)
    assert made.refusal("query", 100, 1) is None
    assert isinstance(made.refusal("query", 101, None), Overloaded)


def test_bulk_leaves_a_quarter_of_the_queue() -> None:
    """Bulk is refused, and its streams wait, above three quarters of the tokens; queries are not."""
    made, _ = admission(known=False, max_queued_tokens=1000)
    made.count(job("bulk"), "bulk", 700)
    assert isinstance(made.refusal("bulk", 100, None), Overloaded)
    assert not made.has_room(100)
    assert made.has_room(50)
    assert made.refusal("query", 100, None) is None


def test_a_stream_always_gets_into_an_empty_queue() -> None:
    """A message larger than the queue would wait for ever: it comes in alone."""
    made, _ = admission(max_queued_tokens=1000)
    assert made.has_room(5000)


def test_what_could_never_fit_is_invalid() -> None:
    """A request above the bound is no overload, full queue or not: trying again would not help."""
    made, _ = admission(max_queued_tokens=1000)
    made.count(job(), "query", 900)
    assert isinstance(made.refusal("query", 1001, None), RequestInvalid)


def test_the_count_follows_a_job_from_guess_to_end() -> None:
    """A guess, the exact number in another lane, the end: nothing is left, also where the count comes after the end."""
    made, gauge = admission()
    one = job()
    made.count(one, "query", 100)
    made.count(one, "bulk", 250)
    assert (made.queued_tokens, gauge.value) == (250, 250)
    made.release(one)
    made.count(one, "bulk", 70)  # whoever tokenised it did not know yet that its caller is gone
    made.release(one)
    assert (made.queued_tokens, gauge.value) == (0, 0)
