"""The planner, alone: no clock and no threads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samespace_server.batching import PADDING_SHARE, Item, Lane, Planner

BUDGET, RUN = 128, 8


def planner(*items: Item, budget: int = BUDGET, run: int = RUN) -> Planner:
    made = Planner(batch_tokens=budget, run_tokens=run)
    for item in items:
        made.add(item)
    return made


def items(lengths: list[int], lane: Lane = "interactive", first: int = 0) -> list[Item]:
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
    """With a backlog of bulk, an interactive item is the next batch, and no bulk is in it."""
    made = planner(*items([16] * 100, "bulk"))
    made.next_batch()
    query = Item(1000, 4, "interactive")
    made.add(query)
    assert made.next_batch() == (query,)


def test_bulk_is_not_starved_by_queries() -> None:
    """Under interactive load without a break, bulk gets about a fifth of the tokens."""
    made = planner(*items([16] * 400, "bulk"))
    served = {"interactive": 0, "bulk": 0}
    number = 1000
    for _ in range(100):
        while number < 1000 + served["interactive"] // 16 + 50:
            made.add(Item(number, 16, "interactive"))
            number += 1
        batch = made.next_batch()
        served[batch[0].lane] += sum(item.tokens for item in batch)
    share = served["bulk"] / sum(served.values())
    assert 0.15 < share < 0.25, served


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


lanes = st.sampled_from(["interactive", "bulk"])


@given(st.lists(st.tuples(st.integers(1, 300), lanes), max_size=60), st.integers(1, 500), st.integers(1, 100))
def test_every_item_runs_once_and_within_the_budget(made: list[tuple[int, Lane]], budget: int, run: int) -> None:
    """For any items: each runs once, in a batch of its lane, within the budget and with bounded padding."""
    waiting = [Item(number, tokens, lane) for number, (tokens, lane) in enumerate(made)]
    left = {item.number: item for item in waiting}
    for batch in drain(planner(*waiting, budget=budget, run=run)):
        assert len({item.lane for item in batch}) == 1
        lane_left = [item for item in left.values() if item.lane == batch[0].lane]
        assert lane_left[0] in batch  # the oldest
        padded, real = len(batch) * batch[-1].tokens, sum(item.tokens for item in batch)
        assert len(batch) == 1 or padded <= budget
        assert padded - real <= run + real // PADDING_SHARE
        for item in batch:
            del left[item.number]
    assert not left
