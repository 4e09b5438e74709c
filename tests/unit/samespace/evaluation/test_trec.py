"""Scores are those of trec_eval, through pytrec_eval: ties, judged passages that are not there, float grades."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from samespace.evaluation import Bm25Ranker, Dataset, Evaluation, VectorRanker, evaluate, load_dataset, remarks
from samespace.vectors import normalise

SAME = 1e-9  # the formulas are the same; the rest is rounding
QUERIES, PASSAGES = 12, 160


def made(seed: int, *, levels: int = 0) -> tuple[Dataset, VectorRanker]:
    """A set of random grades, and vectors; with *levels* of few different cosines."""
    random = np.random.default_rng(seed)
    names = tuple(f"{'ABab'[i % 4]}{(i * 37) % PASSAGES}" for i in range(PASSAGES))
    queries = tuple(f"q{i}" for i in range(QUERIES))
    qrels = {
        query: {names[row]: int(random.integers(0, 3)) for row in random.choice(PASSAGES, 9, replace=False)}
        | {names[int(random.integers(0, PASSAGES))]: 1}
        for query in queries
    }
    data = Dataset(Path("memory"), "test", names, ("",) * PASSAGES, queries, ("",) * QUERIES, qrels)
    asked, said = random.normal(size=(QUERIES, 6)), random.normal(size=(PASSAGES, 6))
    if levels:
        said = said[random.integers(0, levels, PASSAGES)]
    return data, VectorRanker("random", normalise(asked), normalise(said))


def trec(data: Dataset, found: Evaluation) -> Mapping[str, Mapping[str, float]]:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs pytrec-eval-terrier")
    run = {
        query: {
            data.passage_ids[row]: float(score)
            for row, score in zip(found.run.rows[place], found.run.scores[place], strict=True)
            if row >= 0
        }
        for place, query in enumerate(data.query_ids)
    }
    judged = {
        query: {name: int(grade) for each in (data.qrels, data.missing) for name, grade in each.get(query, {}).items()}
        for query in data.query_ids
    }
    measures: Mapping[str, Mapping[str, float]] = pytrec_eval.RelevanceEvaluator(
        judged, {"ndcg_cut.10", "recall.100"}
    ).evaluate(run)
    return measures


def same(data: Dataset, found: Evaluation) -> None:
    measures = trec(data, found)
    for place, query in enumerate(data.query_ids):
        assert found.per_query["ndcg@10"][place] == pytest.approx(measures[query]["ndcg_cut_10"], abs=SAME)
        assert found.per_query["recall@100"][place] == pytest.approx(measures[query]["recall_100"], abs=SAME)


@pytest.mark.parametrize("levels", [0, 1, 3, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ties_are_broken_as_trec_eval_breaks_them(seed: int, levels: int) -> None:
    """No tie, many, and nothing but one; the reference gets the scores alone and sorts by itself."""
    data, ranker = made(seed, levels=levels)
    found = evaluate(ranker, data)
    same(data, found)
    assert found.score.constant == (QUERIES if levels == 1 else 0)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.1])
def test_a_constant_encoder_gains_nothing_from_the_order_of_the_file(angle: float) -> None:
    """Right answers first in the file, as many sets have them: all metrics are 0, and it is named."""
    names = tuple(f"p{i:05}" for i in range(3000))
    queries = tuple(f"q{i}" for i in range(20))
    data = Dataset(
        Path("memory"),
        "test",
        names,
        ("",) * 3000,
        queries,
        ("",) * 20,
        {q: {names[0]: 1, names[1]: 1} for q in queries},
    )
    direction = np.full(384, 1.0)
    turned = direction * np.cos(angle) + np.resize([1.0, -1.0], 384) * np.sin(angle)
    noise = np.random.default_rng(0).normal(size=(3000, 384)) * 1e-8  # another block of a product rounds otherwise
    ranker = VectorRanker("constant", normalise(np.tile(turned, (20, 1))), normalise(direction + noise))
    score = evaluate(ranker, data).score
    assert (score.ndcg_10, score.recall_100, score.mrr_10) == (0, 0, 0)
    assert score.constant == 20
    assert "same score for 20 of 20 queries" in " ".join(remarks(score, data))


def test_bm25_breaks_ties_likewise() -> None:
    """Equal passages: the one whose id comes last is first."""
    names = ("b", "a", "c", "d")
    texts = ("red apple", "red apple", "red apple", "blue sky")
    data = Dataset(Path("memory"), "test", names, texts, ("q",), ("apple",), {"q": {"c": 1}})
    found = evaluate(Bm25Ranker(), data)
    assert [names[row] for row in found.run.rows[0] if row >= 0] == ["c", "b", "a"]
    same(data, found)
    assert found.score.tied == 1


def write(
    folder: Path, corpus: Sequence[Mapping[str, object]], queries: Sequence[Mapping[str, object]], qrels: str
) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return folder


def test_judged_passages_that_are_not_there_count_as_missed(tmp_path: Path) -> None:
    """Two of three relevant passages are not in the corpus: recall is a third, nDCG that of trec_eval; it is told."""
    folder = write(
        tmp_path / "set",
        [{"_id": "a", "text": "apples are red"}, {"_id": "b", "text": "skies are blue"}],
        [{"_id": "q1", "text": "apples"}, {"_id": "q2", "text": "sky"}, {"_id": "q3", "text": "grass"}],
        "q1\ta\t1\nq1\tgone1\t1\nq1\tgone2\t2\nq2\tgone1\t1\nq9\ta\t1\nq3\ta\t0\n",
    )
    data = load_dataset(folder)
    assert data.query_ids == ("q1", "q2")
    found = evaluate(Bm25Ranker(), data)
    assert found.per_query["recall@100"].tolist() == pytest.approx([1 / 3, 0])
    # trec_eval: gain 1 at rank 1 over 2/log2(2) + 1/log2(3) + 1/log2(4)
    assert found.per_query["ndcg@10"][0] == pytest.approx(1 / (2 + 1 / np.log2(3) + 1 / 2))
    measures = trec(data, found)
    assert measures["q1"]["ndcg_cut_10"] == pytest.approx(found.per_query["ndcg@10"][0])
    said = " ".join(remarks(found.score, data))
    assert "3 of 6 judgements of test name a passage that the corpus lacks, such as 'q1' and 'gone1'" in said
    assert "1 of 6 judgements of test are of 1 queries without a text, such as 'q9'" in said


def test_float_grades_are_gains(tmp_path: Path) -> None:
    """2.0 is 2; 0.5 is half a gain, in the formula of the docstring."""
    folder = write(
        tmp_path / "set",
        [{"_id": "a", "text": "red apple apple"}, {"_id": "b", "text": "red cherry"}, {"_id": "c", "text": "blue sky"}],
        [{"_id": "q", "text": "red apple"}],
        "q\ta\t0.5\nq\tb\t2.0\nq\tc\t0.0\n",
    )
    data = load_dataset(folder)
    assert data.qrels == {"q": {"a": 0.5, "b": 2, "c": 0}}
    found = evaluate(Bm25Ranker(), data)
    assert found.per_query["ndcg@10"][0] == pytest.approx((0.5 + 2 / np.log2(3)) / (2 + 0.5 / np.log2(3)))


ARGUANA = [
    {"_id": "t-1a", "title": "trains", "text": "trains are slow and cost far too much money today"},
    {"_id": "t-1b", "title": "", "text": "trains are worth the money they cost"},
    {"_id": "7", "title": "", "text": "nothing of the kind at all"},
]


def test_a_query_is_not_its_own_answer(tmp_path: Path) -> None:
    """As in ArguAna: the argument asked with is in the corpus, and its counterargument is relevant.

    Reference: beir 2.0, `EvaluateRetrieval.evaluate(..., ignore_identical_ids=True)`, the default, removes a result
    whose id is the query's before it calls pytrec_eval.
    """
    queries = [{"_id": "t-1a", "text": ARGUANA[0]["text"]}, {"_id": "7", "text": "worth the money"}]
    folder = write(tmp_path / "set", ARGUANA, queries, "t-1a\tt-1b\t1\n7\tt-1b\t1\n")
    found = {how: evaluate(Bm25Ranker(), load_dataset(folder, identical_ids=how)) for how in ("auto", "keep", "ignore")}  # type: ignore[arg-type]
    assert found["auto"].per_query["ndcg@10"].tolist() == [1, 1]
    assert found["ignore"].per_query["ndcg@10"].tolist() == [1, 1]
    assert found["keep"].per_query["ndcg@10"][0] == pytest.approx(1 / np.log2(3))
    said = {how: " ".join(load_dataset(folder, identical_ids=how).notes) for how in ("auto", "keep", "ignore")}  # type: ignore[arg-type]
    assert "1 of 2 queries have a passage of their own id, such as 't-1a'; it is left out" in said["auto"]
    assert "1 queries share their id with a passage that is not their own text; it is ranked" in said["auto"]
    assert "2 of 2 queries have a passage of their own id" in said["ignore"]
    assert "2 queries share their id with a passage; it is ranked like any other" in said["keep"]


def test_a_relevant_own_passage_stays(tmp_path: Path) -> None:
    """Where the query's own text is what was judged relevant, nothing is taken away unasked."""
    folder = write(tmp_path / "set", ARGUANA, [{"_id": "t-1b", "text": ARGUANA[1]["text"]}], "t-1b\tt-1b\t1\n")
    assert load_dataset(folder).ignored == frozenset()
    assert evaluate(Bm25Ranker(), load_dataset(folder)).score.ndcg_10 == 1
