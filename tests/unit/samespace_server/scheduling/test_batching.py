"""The planner, alone: no clock and no threads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samespace_server.scheduling.batching import CROWD, LEAD_BATCHES, PADDING_SHARE, Item, Lane, Planner, Turn

BUDGET, RUN = 128, 8


def planner(*items: Item, budget: int = BUDGET, run: int = RUN) -> Planner:
    made = Planner(batch_tokens=budget, run_tokens=run)
    for item in items:
        made.add(item)
    return made


def items(lengths: list[int], lane: Lane = "query", first: int = 0) -> list[Item]:
    return [Item(first + index, tokens, lane) for index, tokens in enumerate(lengths)]


def drain(made: Planner) -> list[tuple[Item, ...]]:
    batches = []
    while batch := made.next_batch():
        batches.append(batch)
    return batches


def test_nothing_waits_nothing_runs() -> None:
    """An empty planner gives an empty batch."""
    assert planner().next_batch() == ()


def test_a_lone_item_is_not_held_back() -> None:
    """One short item runs at once, however much room there is beside it."""
    (item,) = items([5])
    assert planner(item).next_batch() == (item,)


def test_alike_items_share_a_run() -> None:
    """Items of one length run together up to the budget, the oldest first."""
    waiting = items([16] * 10)
    first, second = drain(planner(*waiting))
    assert [item.number for item in first] == list(range(8))  # 8 x 16 = 128
    assert [item.number for item in second] == [8, 9]


def test_an_oversized_item_runs_alone() -> None:
    """An item above the budget runs, and nothing with it."""
    big, *rest = items([500, 10, 10])
    assert drain(planner(big, *rest)) == [(big,), tuple(rest)]


def test_items_of_unlike_length_do_not_share_a_run() -> None:
    """A short text is not padded to a long one: that costs more than another run."""
    long, short = items([100, 5])
    assert drain(planner(long, short)) == [(long,), (short,)]


def test_a_little_padding_is_cheaper_than_a_run() -> None:
    """Lengths that differ by less than a run costs go together, sorted by length."""
    longer, shorter = items([10, 8])
    assert drain(planner(longer, shorter)) == [(shorter, longer)]


def test_the_oldest_of_a_lane_always_goes() -> None:
    """A batch is built around the oldest item, though others would pack better."""
    odd, *rest = items([50] + [10] * 12)
    assert odd in planner(odd, *rest).next_batch()


def test_a_query_does_not_wait_for_the_bulk_before_it() -> None:
    """With a backlog of bulk, a query is the next batch, and no bulk is in it."""
    made = planner(*items([16] * 100, "bulk"))
    made.next_batch()
    query = Item(1000, 4, "query")
    made.add(query)
    assert made.next_batch() == (query,)


def test_bulk_is_not_starved_by_queries() -> None:
    """Under queries without a break, bulk gets about a seventeenth of the tokens."""
    made = planner(*items([16] * 400, "bulk"))
    served = {"query": 0, "bulk": 0}
    number = 1000
    for _ in range(300):
        while number < 1000 + served["query"] // 16 + 50:
            made.add(Item(number, 16, "query"))
            number += 1
        batch = made.next_batch()
        served[batch[0].lane] += sum(item.tokens for item in batch)
    share = served["bulk"] / sum(served.values())
    assert 0.04 < share < 0.08, served


def test_an_idle_lane_saves_nothing_up() -> None:
    """After a long time of bulk alone, queries do not lock bulk out to catch up."""
    made = planner(*items([16] * 4000, "bulk"))
    for _ in range(200):
        made.next_batch()
    for item in items([16] * 80, first=10_000):
        made.add(item)
    lanes = [made.next_batch()[0].lane for _ in range(10)]
    assert "bulk" in lanes


def test_discarded_items_do_not_run() -> None:
    """What is taken out is not in any batch; taking it out twice, or after it ran, is no error."""
    kept, dropped = items([16, 16])
    made = planner(kept, dropped)
    assert made.discard(dropped)
    assert not made.discard(dropped)
    assert drain(made) == [(kept,)]
    assert not made.discard(kept)
    assert len(made) == 0


def test_two_streams_share_alike() -> None:
    """A stream that comes behind a long backlog of another gets half of the tokens from the start."""
    made = planner(*[Item(number, 16, "bulk", flow=1) for number in range(1000)])
    for _ in range(10):
        made.next_batch()
    for number in range(2000, 2200):
        made.add(Item(number, 16, "bulk", flow=2))
    served = {1: 0, 2: 0}
    for _ in range(2 * LEAD_BATCHES + 20):
        for item in made.next_batch():
            served[item.flow] += item.tokens
    assert 0.4 < served[2] / sum(served.values()) < 0.6, served


def test_new_flows_do_not_hold_an_old_one_up_for_ever() -> None:
    """However many new streams come, the last item of a long one runs after a bounded number of tokens."""
    made = planner(*[Item(number, 16, "bulk", flow=1) for number in range(10)])
    last, number, ran = 9, 100, 0
    while True:
        while len(made) < 40:  # each item of a flow of its own, and more of them than can run
            made.add(Item(number, 16, "bulk", flow=number))
            number += 1
        batch = made.next_batch()
        ran += sum(item.tokens for item in batch)
        if last in [item.number for item in batch]:
            break
    assert ran <= 10 * 16 * CROWD + 2 * BUDGET


def test_what_is_due_does_not_run() -> None:
    """An item whose deadline has come is given back and is in no batch; one whose deadline is later stays."""
    due, later, never = (Item(number, 16, "query", 0, at) for number, at in enumerate((100, 101, None)))
    made = planner(due, later, never)
    assert made.expire(99) == []
    assert made.expire(100) == [due]
    assert drain(made) == [(later, never)]


def test_an_urgent_item_overtakes_its_lane_but_not_twice_in_a_row() -> None:
    """An item whose deadline is near goes before older ones; then the oldest goes, however urgent the next is."""
    old, older = (Item(number, 100, "query") for number in (1, 0))
    urgent = [Item(number, tokens, "query", 0, 500) for number, tokens in ((2, 20), (3, 60))]
    made = planner(older, old, *urgent)
    order = [made.next_batch(Turn(urgent_us=500)) for _ in range(4)]
    assert order == [(urgent[0],), (older,), (urgent[1],), (old,)]


def test_without_haste_the_order_is_that_of_arrival() -> None:
    """A deadline that is far away changes nothing."""
    first, second = Item(0, 100, "query"), Item(1, 20, "query", 0, 10_000)
    made = planner(first, second)
    assert made.next_batch(Turn(urgent_us=500)) == (first,)


def test_bulk_runs_in_slices_and_queries_do_not() -> None:
    """The budget for bulk limits bulk batches alone."""
    made = planner(*items([16] * 8, "bulk"), *items([16] * 8, first=100))
    sizes = [(batch[0].lane, len(batch)) for batch in (made.next_batch(Turn(slice_tokens=48)) for _ in range(4))]
    assert sizes == [("query", 8), ("bulk", 3), ("bulk", 3), ("bulk", 2)]


def test_work_is_spread_over_idle_runners() -> None:
    """With two idle runners each takes half, unless the half is not worth a run of its own."""
    many, few = planner(*items([16] * 8), run=8), planner(*items([16] * 2), run=8)
    assert [len(batch) for batch in (many.next_batch(Turn(runners=2)), many.next_batch())] == [4, 4]
    assert len(few.next_batch(Turn(runners=2))) == 2


lanes = st.sampled_from(["query", "single", "bulk"])
waiting_items = st.tuples(st.integers(1, 300), lanes, st.integers(0, 3), st.one_of(st.none(), st.integers(0, 100)))


@given(st.lists(waiting_items, max_size=60), st.integers(1, 500), st.integers(1, 100), st.integers(1, 3))
def test_every_item_runs_once_or_is_late(
    made: list[tuple[int, Lane, int, int | None]], budget: int, run: int, runners: int
) -> None:
    """For any items, with time passing: each runs once within the budget and with little padding, or was due."""
    left = {number: Item(number, *each) for number, each in enumerate(made)}
    plan = planner(*left.values(), budget=budget, run=run)
    now_us = 0
    while left:
        for item in plan.expire(now_us):
            assert item.deadline_us is not None and item.deadline_us <= now_us
            del left[item.number]
        batch = plan.next_batch(Turn(runners=runners, urgent_us=now_us + 10))
        padded, real = sum(batch[-1].tokens for _ in batch), sum(item.tokens for item in batch)
        assert bool(batch) == bool(left)
        assert len({item.lane for item in batch}) <= 1
        assert len(batch) <= 1 or padded <= budget
        assert padded - real <= run + real // PADDING_SHARE
        for item in batch:
            assert item.deadline_us is None or item.deadline_us > now_us
            del left[item.number]
        now_us += 7
    assert len(plan) == 0


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=60), st.data())
def test_nobody_waits_for_more_batches_than_stood_before_them(made: list[tuple[int, int]], data: st.DataObject) -> None:
    """In one lane, without haste, an item runs after at most as many batches as there are items before it in line."""
    plan = planner(*[Item(number, tokens, "bulk", flow) for number, (tokens, flow) in enumerate(made)])
    watched = data.draw(st.integers(0, len(made) - 1))
    flow = made[watched][1]
    place = sum(tokens for tokens, other in made[:watched] if other == flow)
    before = 0
    for other in {other for _, other in made}:
        at = 0
        for tokens in [tokens for tokens, whose in made if whose == other]:
            before += at <= place
            at += tokens
    for _ in range(before):
        if watched in [item.number for item in plan.next_batch()]:
            return
    raise AssertionError(f"item {watched} waits after {before} batches")
