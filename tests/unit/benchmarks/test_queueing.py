"""The simulation of replicas agrees with queueing theory where theory has an answer, and loses nobody."""

from __future__ import annotations

import random
from statistics import mean

import pytest

from loadgen.fleet import Assumptions, import_of, usd_per_million
from loadgen.queueing import (
    Fleet,
    Route,
    ServiceTable,
    md1_wait_us,
    mmc_wait_us,
    percentile,
    poisson,
    simulate,
)

COUNT = 60_000
NOISE = 0.08  # of a mean wait over so many requests at these loads; seeds are fixed, so it passes always or never


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_replica_waits_like_m_d_1(load: float) -> None:
    """Constant service, no batches: Pollaczek and Khinchine."""
    rate = load / 0.01
    outcome = simulate(Fleet(1, lambda rows: 10_000, 1), poisson(rate, COUNT, seed=1))
    assert mean(outcome.waits_us) == pytest.approx(md1_wait_us(rate, 10_000), rel=NOISE)
    assert outcome.busy_us / outcome.span_us == pytest.approx(load, rel=0.02)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (2, 0.7), (16, 0.9), (50, 0.9)])
def test_one_queue_waits_like_m_m_c(servers: int, load: float) -> None:
    """Exponential service, one queue for all: Erlang's formula C."""
    chosen = random.Random(3)
    rate = load * servers / 0.01
    fleet = Fleet(servers, lambda rows: round(chosen.expovariate(1 / 10_000)), 1, "one_queue")
    outcome = simulate(fleet, poisson(rate, COUNT * (4 if load > 0.8 else 1), seed=2))
    assert mean(outcome.waits_us) == pytest.approx(mmc_wait_us(rate, 10_000, servers), rel=NOISE)


def test_erlang_c_of_one_server_is_m_m_1() -> None:
    """load / (1 - load) times the service."""
    assert mmc_wait_us(60, 10_000, 1) == pytest.approx(0.6 / 0.4 * 10_000)


ROUTES: tuple[Route, ...] = ("one_queue", "turns", "random")


def test_turns_are_one_queue_where_all_runs_take_as_long() -> None:
    """With constant service who came first is served first either way; chance is worse."""
    times = poisson(8 * 80, COUNT, seed=4)
    waits = [mean(simulate(Fleet(8, lambda rows: 10_000, 1, route), times).waits_us) for route in ROUTES]
    assert waits[0] == waits[1] < waits[2]


def test_turns_are_worse_than_one_queue_where_runs_differ() -> None:
    """With exponential service, and better than chance."""
    times = poisson(8 * 80, COUNT, seed=4)
    waits = []
    for route in ROUTES:
        chosen = random.Random(5)

        def drawn(rows: int, chosen: random.Random = chosen) -> int:
            return round(chosen.expovariate(1 / 10_000))

        waits.append(mean(simulate(Fleet(8, drawn, 1, route), times).waits_us))
    assert waits[0] < waits[1] < waits[2]


def test_batches_take_what_waits() -> None:
    """Three come during the first run: they make one run of at most two, and one of one; nobody is lost."""
    outcome = simulate(Fleet(1, lambda rows: 100 * rows, 2), [0, 10, 20, 30])
    assert outcome.sojourns_us == [100, 290, 280, 370]
    assert (outcome.runs, outcome.busy_us, outcome.span_us) == (3, 400, 400)


def test_a_table_is_a_line_between_its_points() -> None:
    """And goes on beyond the last."""
    table = ServiceTable((1, 4, 16), (1000.0, 2500.0, 8500.0))
    assert [table(rows) for rows in (1, 2, 4, 10, 16, 20)] == [1000, 1500, 2500, 5500, 8500, 10500]
    assert table.full_texts_per_s(16) == pytest.approx(16e6 / 8500)


def test_percentiles_and_costs() -> None:
    """The 99th of 1 to 100 is 99; a million texts at 1000 a second and 3.60 an hour cost 1."""
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert usd_per_million(1000, 3.6) == pytest.approx(1.0)


def test_the_slowest_of_three_sets_the_pace() -> None:
    """Few encoders are the bottleneck; with many it is Weaviate, and with a thin network the network."""
    few = import_of(10**9, 128, 100, 1, Assumptions())
    assert few["bottleneck"] == "encoder" and few["hours"] == pytest.approx(1e7 / 3600)
    assert import_of(10**9, 128, 1e6, 1, Assumptions())["bottleneck"] == "Weaviate's indexing"
    assert import_of(10**9, 128, 1e6, 1, Assumptions(network_bit_per_s=1e6))["bottleneck"] == "network"
