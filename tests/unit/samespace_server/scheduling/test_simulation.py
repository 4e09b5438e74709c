"""The queue on a virtual clock: the golden stories, and what has to hold for any of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.server.simulation import Model, Request, Simulation, percentile
from golden.batching_scenarios import FOLDER, MEDIUM, SCENARIOS, SHORT, open_loop, stream_of, trace
from samespace_server.scheduling.batching import Lane
from samespace_server.settings import Limits


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_stories_are_as_they_were(scenario: Callable[[], list[str]]) -> None:
    """Each scenario gives the trace in its golden file; `make golden` writes them anew, and the diff is to be read."""
    assert trace(scenario) == (FOLDER / f"{scenario.__name__}.txt").read_text(encoding="utf-8")


def test_every_golden_file_has_its_story() -> None:
    """No file is left over that nothing compares."""
    assert {each.stem for each in FOLDER.glob("*")} == {each.__name__ for each in SCENARIOS}


def latencies(sim: Simulation, prefix: str) -> list[int]:
    return [request.latency_us for request in sim.ended if request.name.startswith(prefix) and request.outcome == "ok"]


def test_overload_is_calm() -> None:
    """At 5 times capacity what is accepted waits no longer than where the queue first fills, and the model is busy.

    "At capacity" is a fifth above what the model does: at exactly that, how long the queue is after some seconds is
    a matter of luck.
    """
    capacity_per_s = 1e6 / Model().time_us(16 * MEDIUM) * 16
    found = {}
    for times in (1.2, 5):
        sim = Simulation(Model())
        open_loop(sim, "q", [MEDIUM], per_s=times * capacity_per_s, until_us=8_000_000)
        sim.run()
        found[times] = len(latencies(sim, "q")), percentile(latencies(sim, "q"), 99)
    assert found[5][1] <= 1.5 * found[1.2][1]
    assert found[5][1] <= 500_000 + 2 * Model().time_us(2048)  # max_queue_ms, the run before it and its own
    assert found[5][0] >= 0.95 * found[1.2][0]


def test_queries_are_quick_beside_bulk_and_bulk_is_not_slowed_by_the_slices() -> None:
    """Beside a stream, a query waits for a slice and itself; the stream loses at most 5 % by being sliced."""
    until_us, queries = 8_000_000, 400
    alone, beside = Simulation(Model()), Simulation(Model())
    for sim in (alone, beside):
        stream_of(sim, "bulk", 1, [MEDIUM] * 64, until_us=until_us)
    dice = random.Random(2)
    for number in range(queries):
        beside.at(dice.randrange(until_us), lambda n=number: beside.send(Request(f"q{n}", [SHORT])))
    for sim in (alone, beside):
        sim.run(until_us=until_us)
    run_us = Model().time_us(SHORT)
    assert percentile(latencies(beside, "q"), 99) <= 9_000 + 3 * run_us  # a slice, and a few that came together
    left = 1 - queries * run_us / until_us  # what the queries leave
    assert beside.stream_tokens[1] >= 0.95 * left * alone.stream_tokens[1]


requests = st.lists(
    st.tuples(
        st.integers(0, 300_000),  # when
        st.lists(st.integers(1, 256), min_size=1, max_size=20),  # windows
        st.sampled_from([0, 0, 1, 2]),  # stream
        st.sampled_from(["query", "single"]),
        st.sampled_from([None, None, 1_000, 50_000, 200_000]),  # timeout
        st.sampled_from([None, None, 20_000]),  # gives up
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=50)
@given(requests, st.integers(1, 3), st.sampled_from([2_000, 262_144]), st.booleans())
def test_every_request_ends_once_and_in_time(
    made: list[tuple[int, list[int], int, str, int | None, int | None]], runners: int, queued: int, known: bool
) -> None:
    """Whatever comes: each request ends once, nothing is answered after its deadline began, and nothing is left."""
    sim = Simulation(Model(), known_speed=known, runners=runners, max_queued_tokens=queued)
    sent = []
    for number, (at_us, windows, stream, lane, timeout_us, gives_up_us) in enumerate(made):
        request = Request(f"r{number}", windows, stream, None if stream else timeout_us, gives_up_us, lane=lane)
        sent.append(request)
        sim.at(at_us, lambda r=request: sim.send(r))
    sim.run()
    assert sorted(each.name for each in sim.ended) == sorted(each.name for each in sent)
    assert sim._admission.queued_tokens == 0 and len(sim._planner) == 0 and not sim._waiting
    longest_run_us = Model().time_us(2048)
    for request in sent:
        assert request.outcome in ("ok", "gone", "Overloaded", "DeadlineExceeded", "RequestInvalid")
        if request.outcome == "ok" and request.timeout_us is not None:  # its last run began before its deadline
            assert request.latency_us < request.timeout_us + longest_run_us


SLOW_SLICES = Model(run_us=20_000)
"""A run costs as much as 300 tokens, which slices pay again and again, and the estimate, in full runs, does not."""


@pytest.mark.parametrize("lengths", [[SHORT], [MEDIUM], [SHORT, MEDIUM, 256]], ids=["short", "medium", "mixed"])
@pytest.mark.parametrize("lane", ["query", "single"])
def test_what_is_accepted_waits_at_most_twice_the_bound(lengths: list[int], lane: Lane) -> None:
    """At 5 times capacity, also where the estimate is several times too low: it learns from what came."""
    bound_us = 2_000_000
    sim = Simulation(SLOW_SLICES, max_queue_ms=bound_us // 1000)
    dice, number = random.Random(3), 0
    at_us = 0.0
    while at_us < 12_000_000:
        request = Request(f"q{number}", [dice.choice(lengths)], lane=lane)
        sim.at(int(at_us), lambda each=request: sim.send(each))
        number += 1
        at_us += dice.expovariate(5 * 15_000 / (sum(lengths) / len(lengths))) * 1e6
    sim.run()
    assert percentile(latencies(sim, "q"), 99) <= 2 * bound_us
    assert len(latencies(sim, "q")) >= 50


def test_one_client_cannot_take_the_queue() -> None:
    """Beside one that sends ten times what the model does, who asks now and then is never refused, and waits little."""
    sim, until_us = Simulation(Model(), max_queue_ms=2000, max_queued_tokens=50_000), 6_000_000
    dice, at_us, number = random.Random(4), 0.0, 0
    while at_us < until_us:
        greedy = Request(f"greedy{number}", [MEDIUM], client="a")
        sim.at(int(at_us), lambda each=greedy: sim.send(each))
        number += 1
        at_us += dice.expovariate(1200) * 1e6
    for place in range(60):
        modest = Request(f"modest{place}", [MEDIUM], client="b")
        sim.at(1_000_000 + place * 80_000, lambda each=modest: sim.send(each))
    sim.run()
    assert {request.outcome for request in sim.ended if request.name.startswith("modest")} == {"ok"}
    assert percentile(latencies(sim, "modest"), 99) <= 500_000
    assert any(request.outcome == "Overloaded" for request in sim.ended if request.name.startswith("greedy"))


def test_streams_of_many_clients_share_by_client() -> None:
    """However many streams each has, and whether or not all fit the queue, once the first messages are through."""
    for most in (3_000, 20_000, Limits().max_queued_tokens):
        sim = Simulation(Model(), max_queued_tokens=most)
        streams = {"a": range(1, 31), "b": range(31, 33), "c": range(33, 34)}
        for client, numbers in streams.items():
            for number in numbers:
                stream_of(sim, f"{client}{number}.", number, [MEDIUM] * 16, until_us=12_000_000, client=client)
        sim.run(until_us=6_000_000)
        before = sim.stream_tokens.copy()
        sim.run(until_us=12_000_000)
        since = sim.stream_tokens - before
        tokens = {client: sum(since[n] for n in numbers) for client, numbers in streams.items()}
        assert max(tokens.values()) <= 1.5 * min(tokens.values()), (most, tokens)


def test_many_small_clients_are_bounded_too() -> None:
    """A thousand clients with one request each do not slip past the bound because each has nothing in the queue."""
    sim, dice, at_us = Simulation(Model(), max_queue_ms=500), random.Random(5), 0.0
    for number in range(3_000):
        request = Request(f"q{number}", [MEDIUM], client=f"client {number % 1000}")
        sim.at(int(at_us), lambda each=request: sim.send(each))
        at_us += dice.expovariate(600) * 1e6
    sim.run()
    assert percentile(latencies(sim, "q"), 99) <= 2 * 500_000
