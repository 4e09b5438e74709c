"""GO, NO-GO and CANNOT TELL: bad encoders never get a GO, equal ones always, and few queries decide nothing."""

from __future__ import annotations

import numpy as np
import pytest

from samespace_weaviate.cutover.verdict import FEWEST, Decision, average_overlap, decide, decide_unjudged


def scores(seed: int, queries: int) -> np.ndarray:
    """nDCG@10 as it is met: many zeros and ones, and some between."""
    chance = np.random.default_rng(seed)
    return np.asarray(chance.choice([0.0, 0.39, 0.5, 0.63, 1.0], size=queries, p=[0.25, 0.1, 0.1, 0.15, 0.4]))


@pytest.mark.parametrize("loss", [0.03, 0.05, 0.1, 0.3])
def test_a_planted_bad_encoder_never_gets_a_go(loss: float) -> None:
    """Whatever the queries: a loss of three points and more in the mean, over 40 to 500 queries."""
    for seed in range(60):
        queries = (40, 120, 500)[seed % 3]
        old = scores(seed, queries)
        chance = np.random.default_rng(1000 + seed)
        lost = chance.random(queries) < 2 * loss / max(float(old.mean()), 0.1)
        new = np.where(lost, old / 2, old)
        new -= (new.mean() - old.mean() + loss).clip(min=0) * (new > 0)  # so much is lost, not less
        found = decide(old, new.clip(0, 1))
        assert found.decision is not Decision.GO, (seed, found.why)


def test_equal_encoders_always_get_a_go() -> None:
    """The same answers; and, of many queries, answers that differ in what does not matter."""
    for seed in range(40):
        old = scores(seed, 60)
        assert decide(old, old, same=True).decision is Decision.GO
        old = scores(seed, 600)
        assert decide(old, old).decision is Decision.GO
        assert decide(old, np.clip(old + 1e-9, 0, 1)).decision is Decision.GO


@pytest.mark.parametrize(("queries", "lost"), [(20, 0.05), (20, 0.1), (30, 0.05), (50, 0.03), (100, 0.02), (300, 0.03)])
def test_queries_that_are_lost_whole_and_were_not_met_are_reckoned_with(queries: int, lost: float) -> None:
    """Ties leave a bootstrap no width: an encoder that loses 5 % of all queries was a GO in 30 % of all draws of 20."""
    chance = np.random.default_rng(3)
    old = np.full(queries, 0.8)
    draws = [decide(old, np.where(chance.random(queries) < lost, 0.0, old)) for _ in range(200)]
    assert sum(each.decision is Decision.GO for each in draws) <= 0.025 * 200


def test_how_many_ties_would_tell_is_said() -> None:
    found = decide(np.full(100, 0.8), np.full(100, 0.8))
    assert found.decision is Decision.CANNOT_TELL
    assert "show no loss above 0.01, and up to 4% of others may still be lost" in found.why
    needed = int(found.why.rpartition("some ")[2].split()[0])
    assert decide(np.full(needed, 0.8), np.full(needed, 0.8)).decision is Decision.GO
    assert decide(np.full(needed - 1, 0.8), np.full(needed - 1, 0.8)).decision is Decision.CANNOT_TELL


def test_a_clear_loss_is_a_no_go_and_a_clear_gain_a_go() -> None:
    old = scores(1, 300)
    worse, better = decide(old, old * 0.8), decide(old, np.clip(old + 0.1, 0, 1))
    assert worse.decision is Decision.NO_GO and "worse" in worse.why
    assert better.decision is Decision.GO and "better" in better.why


def test_not_worse_is_said_only_of_what_is_not_worse() -> None:
    """With a wide margin a significant loss is a GO, and it was called "not worse"."""
    old = scores(1, 300)
    lost = decide(old, old * 0.9, margin=0.5)
    assert lost.decision is Decision.GO and lost.comparison is not None and lost.comparison.high < 0
    assert "the new one is worse by no more than the margin of 0.5: nDCG@10" in lost.why
    assert f"95 % interval {lost.comparison.low:+.4f} to {lost.comparison.high:+.4f}" in lost.why
    tie = decide(np.full(100, 0.5), np.tile([0.4, 0.6], 50), margin=0.5)
    assert tie.comparison is not None and tie.comparison.low < 0 <= tie.comparison.high
    assert "the new one is worse, if at all, by no more than the margin of 0.5" in tie.why
    assert "the new one is not worse" in decide(scores(1, 600), scores(1, 600)).why
    assert (
        "both give the same answers in the same order; of queries unlike these, up to"
        in decide(old, old, same=True).why
    )
    for found in (lost, tie):
        assert "not worse" not in found.why


def test_what_is_not_shown_is_not_decided() -> None:
    """A noisy tie over a few queries; it says how many would tell."""
    chance = np.random.default_rng(5)
    old = scores(2, 40)
    found = decide(old, np.clip(chance.permutation(old), 0, 1))
    assert found.decision is Decision.CANNOT_TELL and "judged queries would tell" in found.why


@pytest.mark.parametrize("queries", [0, 1, FEWEST - 1])
def test_few_queries_decide_nothing(queries: int) -> None:
    """Also where the few are the same."""
    assert decide(np.ones(queries), np.ones(queries)).decision is Decision.CANNOT_TELL
    assert decide_unjudged([1.0] * queries, [1.0] * queries, 1000).decision is Decision.CANNOT_TELL


def test_judgements_of_other_ids_decide_nothing() -> None:
    """Two zeros are equal, and say nothing."""
    found = decide(np.zeros(100), np.zeros(100))
    assert found.decision is Decision.CANNOT_TELL and "ids" in found.why


@pytest.mark.parametrize("right", [0, 1, 5, FEWEST - 1])
def test_judgements_of_other_ids_do_not_narrow_the_interval(right: int) -> None:
    """Five queries that fall from 1 to 0 beside 95 of ids that do not exist were "not worse"; so were five equal."""
    for old, new in ((1.0, 0.0), (0.5, 0.5)):
        found = decide(np.array([old] * right + [0.0] * 95), np.array([new] * right + [0.0] * 95))
        assert found.decision is Decision.CANNOT_TELL, found.why
    worse = decide(np.array([1.0] * 30 + [0.0] * 970), np.array([0.9] * 30 + [0.0] * 970))
    assert worse.decision is Decision.NO_GO and "970 more do not count" in worse.why


def test_an_old_collection_whose_ids_nobody_judged_makes_no_new_one_better() -> None:
    """A planted bad encoder was "better: nDCG@10 0.0000 to 0.6222"; that a new one finds nothing at all is a loss."""
    found = decide(np.zeros(100), np.tile([0.0, 0.6], 50))
    assert found.decision is Decision.CANNOT_TELL and "for none of 50 judged queries" in found.why
    assert decide(np.tile([0.0, 0.6], 50), np.zeros(100)).decision is Decision.NO_GO


def test_without_judgements_only_the_same_answers_are_a_go() -> None:
    ones, many = [1.0] * 50, 1000
    assert decide_unjudged(ones, ones, many).decision is Decision.GO
    assert decide_unjudged([1.0] * 49 + [0.9], ones, many).decision is Decision.CANNOT_TELL
    assert decide_unjudged([0.0] * 50, ones, many).decision is Decision.CANNOT_TELL


def test_the_same_answers_upside_down_are_no_go() -> None:
    """Nor the ten that a collection of ten has; neighbours that change places are."""
    ten = [str(number) for number in range(10)]
    swapped = ["1", "0", *ten[2:]]
    backwards = [average_overlap(ten, ten[::-1])] * 50
    assert decide_unjudged([1.0] * 50, backwards, 1000).decision is Decision.CANNOT_TELL
    assert decide_unjudged([1.0] * 50, [1.0] * 50, 10).decision is Decision.CANNOT_TELL
    near = [average_overlap(ten, ten)] * 45 + [average_overlap(ten, swapped)] * 5
    assert decide_unjudged([1.0] * 50, near, 1000).decision is Decision.GO


def test_average_overlap_is_that_of_the_paper() -> None:
    """Worked by hand from its definition: shares 0, 1/2 and 1 at depths 1, 2 and 3."""
    assert average_overlap(["a", "b", "c"], ["b", "c", "a"]) == pytest.approx((0 + 1 / 2 + 1) / 3)
    assert average_overlap([], []) == 0.0
