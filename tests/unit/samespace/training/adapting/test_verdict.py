"""What is decided in an adaptation: verdicts, budgets, agreement, yardsticks. All pure, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from samespace.evaluation import Dataset, Run
from samespace.progress import Advance
from samespace.training.adapting.bench import Yardstick, mean, ndcg_of
from samespace.training.adapting.fusion import MIXTURES, Mixture, fused
from samespace.training.adapting.plan import Pace, Spending, spend, steps_for
from samespace.training.adapting.stage import compare, harms, helps_in_other_words
from samespace.training.adapting.verdict import BETTER, JUDGED, NO_BETTER, WORSE, PerQuery, Texts, Verdict
from samespace.training.adapting.verdict import decide as decide_on
from samespace.training.imitating.neighbours import drawn_together

RANDOM = np.random.default_rng(3)
BASE = RANDOM.uniform(0.2, 0.6, 100)
NOISE = RANDOM.normal(0, 0.2, 100)
NOISE -= NOISE.mean()  # what it is added to keeps its mean


def apart(scores: PerQuery) -> Texts:
    """Questions that all differ."""
    return {name: [f"{name} {row}" for row in range(len(each))] for name, each in scores.items()}


def decide(new: PerQuery, base: PerQuery) -> Verdict:
    return decide_on(new, base, apart(base))


@pytest.mark.parametrize(
    ("new", "word"),
    [
        ({"headings": BASE + 0.1, "openings": BASE + 0.1}, BETTER),
        ({"headings": BASE, "openings": BASE}, NO_BETTER),
        ({"headings": BASE + 0.005 + NOISE, "openings": BASE}, NO_BETTER),
        ({"headings": BASE - 0.1, "openings": BASE - 0.1}, WORSE),
        ({"headings": BASE + 0.3, "openings": BASE - 0.05}, WORSE),
    ],
)
def test_better_is_certain_and_hurts_no_kind(new: dict[str, np.ndarray], word: str) -> None:
    """A gain within chance is no gain; a gain on one kind that costs another is worse."""
    verdict = decide(new, {"headings": BASE, "openings": BASE})
    assert verdict.word == word
    assert verdict.sentence().startswith(f"{word[0].upper()}{word[1:]} than its base: ")


def test_a_gain_in_the_words_of_the_passage_alone_is_no_gain() -> None:
    """BM25's help on made-up questions, which share their words with the passages, is not what people get."""
    names = ("openings (own words)", "openings (other words)", "cloze (other words)")
    base = dict.fromkeys(names, BASE)
    slightly = {names[0]: BASE + 0.2, names[1]: BASE - 0.02 + NOISE, names[2]: BASE - 0.001}
    verdict = decide(slightly, base)
    assert verdict.overall.better and verdict.word != BETTER
    assert "on the half in other words" in verdict.sentence()
    assert decide(dict.fromkeys(names, BASE + 0.1), base).word == BETTER
    assert "(200 first sentences, 100 sentences out of the middle)" in verdict.rests_on()


def test_a_small_gain_on_made_up_questions_is_no_gain() -> None:
    """Certain but below a point: seen beside a loss on people's questions. Of people's own it is enough."""
    small = BASE + 0.012 + 0.2 * NOISE
    for kind, word in (("headings", NO_BETTER), (JUDGED, BETTER)):
        verdict = decide({kind: small}, {kind: BASE})
        assert verdict.overall.better and verdict.overall.low < 0.01
        assert verdict.word == word


def test_a_verdict_says_what_it_rests_on() -> None:
    """Made-up questions are called that, with what to do; people's are called people's."""
    made = decide({"headings (german)": BASE + 0.1}, {"headings (german)": BASE}).rests_on()
    assert "nobody asked" in made and "--judged" in made and "30 real questions" in made
    assert decide({JUDGED: BASE + 0.1}, {JUDGED: BASE}).rests_on() == "It rests on 100 questions that people asked."


def test_a_question_that_two_kinds_ask_is_one_question() -> None:
    """Ten texts asked eleven times each are ten questions: what is certain of 110 is not of ten."""
    random = np.random.default_rng(5)
    gains = np.repeat([0.5, 0.4, 0.3, 0.2, -0.1, -0.2, -0.25, 0.3, -0.1, 0.1], 11)
    base = {"headings": random.uniform(0.3, 0.4, 55), "openings": random.uniform(0.3, 0.4, 55)}
    new = {"headings": base["headings"] + gains[::2], "openings": base["openings"] + gains[1::2]}
    asked = [f"question {row // 11}" for row in range(110)]
    repeated = {"headings": asked[::2], "openings": [text.upper() for text in asked[1::2]]}
    assert decide(new, base).word == BETTER
    verdict = decide_on(new, base, repeated)
    assert (verdict.word, verdict.overall.queries) == (NO_BETTER, 10) and verdict.overall.p_value > 0.05
    assert {each.queries for each in verdict.kinds.values()} == {10}
    assert f"on {10} held-out questions" in verdict.sentence()
    assert compare(new, base, repeated).p_value == verdict.overall.p_value
    harmed = {"headings": base["headings"] - gains[::2]}
    alone = {"headings": base["headings"]}
    assert harms(harmed, alone, apart(alone)) == "headings" and harms(harmed, alone, repeated) == ""


def test_a_budget_is_kept() -> None:
    """What is spent is within the budget where it can be; a budget that is too small tries fewer signals."""
    pace, kinds, looks = Pace(step_s=1.5, look_s=10), 6, 2
    for budget in (300, 900, 3600):
        found = spend(budget, pace, kinds, looks, 2.0)
        looking = looks * pace.look_s
        costs = found.kinds * (found.trial * 1.5 + looking) + found.pairs * 1.5 + found.lists * 3 + 2 * looking
        assert costs <= budget * 1.05
        assert found.kinds >= 1 and found.trial >= 8
    assert spend(60, pace, kinds, looks, 2.0).kinds == 1
    assert spend(3600, pace, kinds, looks, 2.0).kinds == 6
    assert Spending.fixed(30, 4) == Spending(4, 10, 30, 30)
    assert steps_for(500, rows=320, batch=32) == 30


def test_agreement_is_the_sum_of_two_scales() -> None:
    """z of the cosine plus z of BM25, in the spread of the cosines, by a slow version."""
    cosines = np.array([0.9, 0.5, 0.1, 0.3], np.float32)
    rows, scores = np.array([1, 0, -1, -1]), np.array([8.0, 2.0, -np.inf, -np.inf], np.float32)
    words = np.array([2.0, 8.0, 0.0, 0.0])
    z = [(each - each.mean()) / each.std() for each in (cosines.astype(float), words)]
    expected = cosines.mean() + cosines.std() * (z[0] + z[1]) / np.sqrt(2)
    assert fused(cosines, rows, scores) == pytest.approx(expected, abs=1e-6)
    nothing = fused(cosines, np.full(4, -1), np.full(4, -np.inf, np.float32))
    assert np.argsort(nothing).tolist() == np.argsort(cosines).tolist()
    assert fused(np.full(4, 0.5, np.float32), rows, scores) == pytest.approx(np.full(4, 0.5))


def test_a_mixture_is_what_its_parts_say() -> None:
    """Neighbours change the passages, BM25 the scores of each query; without either it is the cosines."""
    q, p = (RANDOM.normal(size=(count, 5)).astype(np.float32) for count in (3, 12))
    q, p = q / np.linalg.norm(q, axis=1, keepdims=True), p / np.linalg.norm(p, axis=1, keepdims=True)
    words = Run(
        np.array([[0, 1], [2, -1], [-1, -1]]), np.array([[3.0, 1], [2, -np.inf], [-np.inf, -np.inf]], np.float32)
    )
    assert Mixture() == MIXTURES[0] and str(Mixture()) == "alone"
    assert Mixture().scores(q, p, None) == pytest.approx(q @ p.T)
    drawn = q @ drawn_together(p, 0.25).T
    assert Mixture(0, 0.25).scores(q, p, words) == pytest.approx(drawn)
    both = Mixture(0.5, 0.25).scores(q, p, words)
    for row in range(3):
        assert both[row] == pytest.approx(fused(drawn[row], words.rows[row], words.scores[row], 0.5))
    assert str(Mixture(0.5, 0.25)) == "0.5 BM25 + 0.25 neighbours"


def questions(count: int) -> Dataset:
    names = tuple(f"p{row}" for row in range(count))
    return Dataset(
        Path("x"), "dev", names, tuple(f"passage {row}" for row in range(count)), tuple(f"q{row}" for row in range(20)),
        tuple(f"question {row}" for row in range(20)), {f"q{row}": {f"p{row}": 1.0} for row in range(20)},
    )  # fmt: skip


def test_a_pool_has_all_that_is_asked_for() -> None:
    """Passages that no question wants are thinned out evenly; texts are cut to what is read."""
    yardstick = Yardstick.over({"a": questions(200)}, lambda texts: [text[:9] for text in texts], 50)
    pool = yardstick.datasets["a"]
    assert len(pool.passages) == 50 and set(pool.passage_ids) >= {f"p{row}" for row in range(20)}
    assert max(map(len, pool.passages)) == 9


def test_ndcg_of_scores_is_that_of_ranks() -> None:
    """First is 1, second 1/log2(3), eleventh 0; ties count in the middle; no score is not found."""
    dataset, scores = questions(20), np.zeros((20, 20), np.float32)
    scores[0, 0] = 1
    scores[1, [1, 2]] = 1, 2
    scores[2] = np.arange(20)
    scores[3, 3] = -np.inf
    found = ndcg_of(scores, dataset)
    assert found[:4] == pytest.approx([1, 1 / np.log2(3), 0, 0])
    assert found[4] == pytest.approx(0)  # all equal: the middle of twenty


@dataclass
class Opinion:
    """A teacher with a rule: right ones up, or down."""

    right: float
    name: str = "rule"
    cosines: bool = False

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        pass

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        return [self.right if query.split()[1] == passage.split()[1] else 0.0 for query, passage in pairs]


def test_a_teacher_is_held_against_the_base_on_the_same_questions() -> None:
    """One that knows puts the base's first passages in order; one that lies ruins them."""
    dataset = questions(60)
    vectors = np.eye(60, dtype=np.float32)
    q = vectors[:20] * 0.8 + 0.6 * np.roll(vectors, 1, axis=0)[:20]
    q[::2] = vectors[:20][::2] * 0.6 + 0.8 * np.roll(vectors, 1, axis=0)[:20][::2]  # half find another one first
    yardstick = Yardstick({"a": dataset})
    knows, base = yardstick.of_teacher(Opinion(1.0), q, vectors)
    lies, same = yardstick.of_teacher(Opinion(-1.0), q, vectors)
    assert mean(knows) == pytest.approx(1) and mean(base) == mean(same) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert mean(lies) < 0.4


def test_a_stage_may_not_lose_where_words_differ() -> None:
    """The half in other words decides by its mean; a kind that loses significantly is named."""
    before = {"openings (own words)": BASE, "openings (other words)": BASE, "cloze (other words)": BASE}
    lexical = before | {"openings (own words)": BASE + 0.2, "openings (other words)": BASE - 0.01}
    assert not helps_in_other_words(lexical, before)
    assert harms(lexical, before, apart(before)) == "openings (other words)"
    traded = before | {
        "openings (other words)": BASE + 0.02,
        "cloze (other words)": BASE - 0.01 + NOISE,
    }
    assert helps_in_other_words(traded, before) and harms(traded, before, apart(before)) == ""
    assert helps_in_other_words({"links": BASE - 0.1}, {"links": BASE})  # few questions: not told apart
    assert compare(lexical, before, apart(before)).queries == 300
