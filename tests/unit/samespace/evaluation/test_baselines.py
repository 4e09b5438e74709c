"""BM25, exact search and the score that is made of them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from samespace.errors import RequestInvalid, SpaceMismatch
from samespace.evaluation import Bm25Ranker, Dataset, DenseRanker, evaluate, search
from samespace.evaluation.retrieval import top
from samespace.vectors import Vectors, normalise

FLOAT32 = 1e-5  # bm25s keeps its scores in float32

PASSAGES = ("the cat sat on the mat", "dogs chase cats", "a treatise of aerodynamics", "", "Cat cat cat mat")


def dataset(queries: Sequence[str], qrels: dict[str, dict[str, int]]) -> Dataset:
    return Dataset(
        folder=Path("memory"),
        split="test",
        passage_ids=tuple(f"p{i}" for i in range(len(PASSAGES))),
        passages=PASSAGES,
        query_ids=tuple(qrels),
        queries=tuple(queries),
        qrels=qrels,
    )


def test_bm25_is_the_formula() -> None:
    """Scores are idf * tf / (tf + k1 (1 - b + b len / mean len)), Lucene's idf, over stemmed words."""
    run = Bm25Ranker().rank(dataset(["cats"], {"q": {"p0": 1}}), 5)
    lengths = [3, 3, 2, 0, 4]  # stop words "the", "on", "a", "of" are gone
    frequencies = {0: 1, 1: 1, 4: 3}  # "cats" and "Cat" are "cat"
    idf = math.log(1 + (5 - 3 + 0.5) / (3 + 0.5))
    mean = sum(lengths) / 5
    expected = {row: idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * lengths[row] / mean)) for row, tf in frequencies.items()}
    found = {int(row): float(score) for row, score in zip(run.rows[0], run.scores[0], strict=True) if row >= 0}
    assert found == pytest.approx(expected, abs=FLOAT32)
    assert list(run.rows[0]) == [4, 1, 0, -1, -1]  # equal scores by id, the last first; nothing for nothing


def test_bm25_finds_nothing_for_unknown_words() -> None:
    """A query without a word of the corpus, or of stop words only, gets no passage and no error."""
    run = Bm25Ranker().rank(dataset(["xylophone", "the of", ""], {"a": {"p0": 1}, "b": {"p0": 1}, "c": {"p0": 1}}), 3)
    assert (run.rows == -1).all()
    assert np.isneginf(run.scores).all()


def test_a_score_says_what_was_measured() -> None:
    """The JSON form has the metrics by their usual names, the space (none for BM25) and the set."""
    result = evaluate(Bm25Ranker(), dataset(["aerodynamics", "dog"], {"q1": {"p2": 1}, "q2": {"p2": 1}}))
    shown = result.score.to_json()
    assert shown.pop("seconds") >= 0
    assert shown == {
        "encoder": "bm25",
        "space_id": None,
        "data": "memory",
        "split": "test",
        "queries": 2,
        "ndcg@10": 0.5,
        "recall@100": 0.5,
        "mrr@10": 0.5,
        "constant_rankings": 0,
        "tied_rankings": 0,
    }
    assert result.per_query["ndcg@10"].tolist() == [1.0, 0.0]


class Letters:
    """An encoder whose vectors count letters."""

    name = "letters"
    space_id = "5" * 64

    def encode(self, texts: Sequence[str], role: str, *, progress: Callable[[int], None] | None = None) -> Vectors:
        if progress is not None:
            progress(len(texts))
        rows = np.array([[text.lower().count(letter) for letter in "abcdefghij"] for text in texts], dtype=np.float32)
        return Vectors(normalise(rows), self.space_id)


def test_an_encoder_is_scored_through_its_vectors() -> None:
    """Queries and passages are encoded once each, and a query finds the passage that equals it."""
    done: list[int] = []
    data = dataset(["dogs chase cats"], {"q": {"p1": 1}})
    result = evaluate(DenseRanker(Letters()), data, progress=done.append)
    assert result.run.rows[0, 0] == 1
    assert result.score.mrr_10 == 1.0
    assert result.score.space_id == "5" * 64
    assert sum(done) == len(data.queries) + len(data.passages)


@pytest.mark.parametrize("seed", range(5))
def test_search_equals_sorting_everything(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks, and with many equal scores, the answer is that of one stable sort over all cosines."""
    monkeypatch.setattr("samespace.evaluation.retrieval._PASSAGE_BLOCK", 7)
    monkeypatch.setattr("samespace.evaluation.retrieval._QUERY_BLOCK", 3)
    random = np.random.default_rng(seed)
    corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)  # products are exact: ties are real
    queries, passages = corners[random.integers(0, 4, 8)], corners[random.integers(0, 4, 40)]
    run = search(Vectors(queries, "a"), Vectors(passages, "a"), 12)
    cosines = queries @ passages.T
    np.testing.assert_array_equal(run.rows, np.argsort(-cosines, axis=1, kind="stable")[:, :12])
    np.testing.assert_array_equal(run.scores, np.take_along_axis(cosines, run.rows, axis=1))


def test_search_pads_where_there_is_too_little() -> None:
    """Fewer passages than asked for leave -1 and -inf."""
    unit = np.eye(2, dtype=np.float32)
    run = search(Vectors(unit, "a"), Vectors(unit[:1], "a"), 3)
    assert run.rows.tolist() == [[0, -1, -1], [0, -1, -1]]
    assert np.isneginf(run.scores[:, 1:]).all()


def test_search_refuses_two_spaces() -> None:
    """Queries of one space are not searched for among passages of another."""
    unit = np.eye(2, dtype=np.float32)
    with pytest.raises(SpaceMismatch):
        search(Vectors(unit, "a"), Vectors(unit, "b"), 1)
    with pytest.raises(RequestInvalid, match="depth"):
        search(Vectors(unit, "a"), Vectors(unit, "a"), 0)


def test_top_takes_the_first_of_equals() -> None:
    """Among equal scores at the edge the earlier positions are taken."""
    assert top(np.array([1, 2, 2, 2, 0], dtype=np.float32), 2).tolist() == [1, 2]
    assert top(np.array([3, 1], dtype=np.float32), 5).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("passages", "query", "right"),
    [
        (("我们明天去上海", "今天北京的天气很好", "他喜欢吃苹果"), "北京天气怎么样", 1),
        (("พรุ่งนี้เราไปทะเล", "วันนี้อากาศในกรุงเทพดี", "เขาชอบกินผลไม้"), "อากาศกรุงเทพ", 1),
        (("कल हम समुद्र जाएंगे", "आज दिल्ली में मौसम अच्छा है", "उसे फल पसंद हैं"), "दिल्ली का मौसम", 1),
        (
            ("내일 우리는 바다에 간다", unicodedata.normalize("NFD", "오늘 서울 날씨 좋다"), "그는 과일을 좋아한다"),
            "서울 날씨",
            1,
        ),
    ],
    ids=["chinese", "thai", "hindi", "korean in NFD"],
)
def test_bm25_searches_every_script(passages: tuple[str, ...], query: str, right: int) -> None:
    """Where words are not separated, or have marks, or are in another Unicode form, the right passage is first."""
    ids = tuple(f"p{i}" for i in range(len(passages)))
    data = Dataset(Path("memory"), "test", ids, passages, ("q",), (query,), {"q": {ids[right]: 1}})
    assert evaluate(Bm25Ranker(), data).score.ndcg_10 == 1.0
