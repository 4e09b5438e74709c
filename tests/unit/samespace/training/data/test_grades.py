"""Labels by a name that is not read, and what is said of files of pairs before they are scored."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.api.commands import read_dataset
from samespace.errors import DataInvalid
from samespace.evaluation import Bm25Ranker, evaluate
from samespace.evaluation.qrels import GRADE_NAMES
from samespace.evaluation.retrieval import remarks
from samespace.training.data.formats import LABEL
from samespace.training.data.sources import load_data


def pairs(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    rows = [{"query": f"where is {n}", "passage": f"{n} is there", **row} for n, row in enumerate(rows)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="needs the extra arrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(rows)
    return path


OTHERS = (
    "is_correct",
    "is_relevant",
    "is_selected",
    "rating",
    "esci_label",
    "Label",
    "Relevance",
    "isRelevant",
    "SCORE",
    *("duplicate", "is_dup", "paraphrase", "entailment", "relatedness_score", "rel_score", "Relevance Score"),
    *("human_label", "binary_label", "label_id", "label_text", "isRel", "gold", "target", "verdict", "qrel"),
    *("is_answerable", "answerable", "has_answer", "is_valid", "accepted", "is_accepted", "usefulness", "relation"),
)


@pytest.mark.parametrize("column", [*(name for name in GRADE_NAMES if name not in LABEL), *OTHERS])
@pytest.mark.parametrize(
    "values", [(1, 0), (0, 0), (True, False), (False, False), (-1, -1), ("yes", "no"), ("no", "no")]
)
def test_a_column_of_grades_is_not_passed_over(tmp_path: Path, column: str, values: tuple[Any, Any]) -> None:
    """Rows that said "not relevant" were right answers, and nothing was said."""
    path = pairs(tmp_path / "test.jsonl", [{column: value} for value in values])
    with pytest.raises(DataInvalid, match=f"line [12]: {column!r} is .* Call it label, from 0 to 1, or leave it out"):
        read_dataset(path.parent)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("score", (2, 1)),
        ("esci_label", ("E", "I")),
        ("label_text", ("duplicate", "not duplicate")),
        ("label_text", ("not duplicate", "not duplicate")),
        ("entailment", ("contradiction", "contradiction")),
        ("verdict", ("SUPPORTS", "REFUTES")),
        ("human_label", ("irrelevant", "irrelevant")),
        *((f"is_{name}", values) for name in ("impossible", "negative") for values in ((True, True), (0, 1))),
        ("unanswerable", ("yes", "yes")),
    ],
)
def test_words_and_columns_that_say_no_are_not_passed_over(
    tmp_path: Path, column: str, values: tuple[Any, Any]
) -> None:
    path = pairs(tmp_path / "test.jsonl", [{column: value} for value in values])
    with pytest.raises(DataInvalid, match=f"line [12]: {column!r} is "):
        read_dataset(path.parent)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("is_impossible", (False, False)),
        ("correct", ("A", "D")),
        ("target", ("a summary", "another")),
        ("stars", (5, 1)),
    ],
)
def test_what_says_no_of_no_row_is_fine(tmp_path: Path, column: str, values: tuple[Any, Any]) -> None:
    """No row is impossible; choices of a test, texts and ratings of other things are no grades."""
    path = pairs(tmp_path / "test.jsonl", [{column: value} for value in values])
    assert len(read_dataset(path.parent).query_ids) == 2


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = pairs(tmp_path / f"test{suffix}", [{"relevance": 1}, {"relevance": 0}])
    with pytest.raises(DataInvalid, match=r"'relevance' is '?0'?, and '?1'? in line [12]"):
        load_data(path)


@pytest.mark.parametrize(
    "values", [(1, 1), (True, True), (1, True), (1.0, 1), ("1", 1), ("yes", "yes"), (5, 5), (1, None)]
)
def test_a_column_that_says_one_thing_of_all_is_fine(tmp_path: Path, values: tuple[Any, Any]) -> None:
    """It is named among the columns that are not used."""
    path = pairs(tmp_path / "test.jsonl", [{"is_relevant": value} for value in values])
    data = read_dataset(path.parent)
    assert len(data.query_ids) == 2
    assert any("not used: 'is_relevant'" in note for note in data.notes)


def test_a_label_that_is_read_is_believed(tmp_path: Path) -> None:
    path = pairs(tmp_path / "test.jsonl", [{"label": 1, "rating": 5}, {"label": 0, "rating": 1}])
    assert len(read_dataset(path.parent).query_ids) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"query": "a", "pos": ["b"], "neg": ["c", "d"], "pos_scores": [0.9], "neg_scores": [0.1, 0.0]},
        {"query_id": "1", "query": "a", "positive_passages": [{"docid": "1", "title": "", "text": "b", "score": 0}]},
        {"question": "a", "positive_ctxs": [{"title": "t", "text": "b", "score": 1000}], "answers": ["b"]},
        {"query": "a", "positive": "b", "negative": "c", "positive_score": 3.1, "negative_score": 0},
        {"query": "a", "passage": "b", "rank": 0, "views": 0, "grade_level": 0, "correct_answers": ["x", "y"]},
    ],
)
def test_scores_of_other_things_are_no_grades(tmp_path: Path, row: dict[str, Any]) -> None:
    """FlagEmbedding's, tevatron's and DPR's files, and columns that only look alike."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "query": "e"} if "query" in row else row) + "\n")
    assert len(load_data(path).splits["train"]) == 2


def test_what_is_met_in_files_of_pairs_is_said_beside_the_score(tmp_path: Path) -> None:
    """Of a BEIR folder it was, of files of pairs it was not: 5 of 9 rows were left out without a word."""
    rows = [{"title": f"T{n}", "passage": "" if n > 3 else f"{n} is there"} for n in range(9)]
    rows[1] = {"passage": None, "answer": "1 is otherwise"}
    pairs(tmp_path / "test.jsonl", rows)
    pairs(tmp_path / "test_more.jsonl", [{"query": "and 77", "passage": "seventy seven"}])
    data = read_dataset(tmp_path)
    said = remarks(evaluate(Bm25Ranker(), data).score, data)
    for wanted in (
        "test.jsonl has columns that are not used: 'title' (8 rows)",
        "test.jsonl takes its passage from another column in some rows: 'passage' (8 rows) and 'answer' (1 rows)",
        "split 'test' is 'test.jsonl', 'test_more.jsonl' together",
        "5 rows have an empty text, such as 'test.jsonl:5'; they are left out",
    ):
        assert any(wanted in sentence for sentence in said), (wanted, said)


def test_labels_that_are_lost_are_said(tmp_path: Path) -> None:
    path = pairs(tmp_path / "test.jsonl", [{"label": label} for label in (1, 0.7, 0.2, 0)])
    assert read_dataset(path.parent).notes == (
        "2 queries of test have no pair with a label of 0.5 or more, such as 'test.jsonl:3'; they are not asked",
        "1 pairs of test have a label from 0.5 to below 1; each counts as relevant, like 1",
    )
