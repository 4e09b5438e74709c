"""What a search engine found is no judgement: it is refused, or told, in every form that it comes in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset

COUNT = 9


def folder_with(folder: Path, name: str, content: str) -> Path:
    """A set of which queries and passages have the same numbers as ids; *name* is its file of judgements."""
    (folder / "qrels").mkdir()
    for part, what in (("corpus", "passage"), ("queries", "question")):
        rows = [{"_id": str(n), "text": f"{what} about thing {n * 7}"} for n in range(1, COUNT)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels" / name).write_text(content)
    return folder


def found(columns: str, header: str = "") -> str:
    rows = [
        columns.format(q=q, p=p, rank=rank, score=round(1 / (1 + abs(q - p)), 4), iter="Q0", run="bm25")
        for q in range(1, COUNT)
        for rank, p in enumerate(sorted(range(1, COUNT), key=lambda p, q=q: abs(q - p)), start=1)
    ]
    return "\n".join([header] * bool(header) + rows) + "\n"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("qid\tdocid\trank\tscore", "{q}\t{p}\t{rank}\t{score}"),
        ("query-id\tcorpus-id\tscore\trun", "{q}\t{p}\t{score}\t{run}"),
        ("qid\tQ0\tdocid\trank\tscore\trun_id", "{q}\t{iter}\t{p}\t{rank}\t{score}\t{run}"),
        ("qid\tpid\trank", "{q}\t{p}\t{rank}"),
        ("query\tdocument\tPosition", "{q}\t{p}\t{rank}"),
        ("", "{q}\t{p}\t{rank}"),
        ("query-id\tcorpus-id\tgrade", "{q}\t{p}\t{rank}"),
        ("", "{q} {iter} {p} {rank} {score} {run}"),
        ("", "{q}\t{iter}\t{p}\t{rank}\t{score}\t{run}"),
    ],
)
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".txt"])
def test_a_run_is_refused_by_name(tmp_path: Path, header: str, columns: str, suffix: str) -> None:
    """Its ranks or scores were read as grades, and a search engine was measured by itself."""
    content = found(columns, header)
    content = content.replace("\t", ",").replace(" ", ",") if suffix == ".csv" else content
    with pytest.raises(DataInvalid, match="what a search engine found, and no judgements"):
        load_dataset(folder_with(tmp_path, f"test{suffix}", content))


@pytest.mark.parametrize("name", ["qid docid rank score", "query_id corpus_id score run_name"])
def test_rows_of_a_run_are_refused(tmp_path: Path, name: str) -> None:
    query, passage, *others = name.split()
    rows = [{query: str(q), passage: str(p), **dict.fromkeys(others, 1)} for q in range(1, 4) for p in range(1, 4)]
    with pytest.raises(DataInvalid, match="it is a run, what a search engine found"):
        load_dataset(folder_with(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))


def test_scores_without_a_sign_are_told(tmp_path: Path) -> None:
    """They may be somebody's grades."""
    run = {str(q): {str(p): math.exp(-abs(q - p)) for p in range(1, COUNT)} for q in range(1, COUNT)}
    (note,) = (n for n in load_dataset(folder_with(tmp_path, "test.json", json.dumps(run))).notes if "search" in n)
    assert "judgements of test have 8 different grades, such as 0.3679, 0.1353, 0.04979" in note


@pytest.mark.parametrize(
    "content",
    [
        "qid\tdocid\trank\trelevance\n1\t1\t1\t2\n1\t2\t2\t0\n2\t2\t1\t1\n",
        "".join(f"1\t{p}\t{p}\n" for p in range(1, 6)),  # a scale of five
        "".join(f"1\t{p}\t{p}\n" for p in range(1, 9)) + "2\t1\t3\n",
        "".join(f"{q}\t{q}\t{grade}\n" for q, grade in enumerate((0.5, 1.5, 2.5, 3, 2, 1), start=1)),
    ],
)
def test_judgements_that_look_a_little_like_runs_are_read(tmp_path: Path, content: str) -> None:
    """A pool with grades and ranks, one query with all grades of a scale, means of two people."""
    assert not any("search engine" in note for note in load_dataset(folder_with(tmp_path, "test.tsv", content)).notes)


def test_grades_of_two_columns_are_not_mixed(tmp_path: Path) -> None:
    rows = [{"qid": "1", "docid": "1", "grade": 1}, {"qid": "2", "docid": "2", "label": 3}]
    with pytest.raises(DataInvalid, match="line 2: has its grade in 'label', and the rows before in 'grade'"):
        load_dataset(folder_with(tmp_path, "test.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))


def test_texts_of_two_columns_are_told(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "test.tsv", "1\t1\t1\n2\t2\t1\n")
    rows = [{"_id": str(n), "text" if n % 3 else "contents": f"thing {n}"} for n in range(1, COUNT)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = "corpus takes its text from another column in some rows: 'text' (6 rows) and 'contents' (2 rows)"
    assert any(wanted in note for note in load_dataset(folder).notes)


@pytest.mark.parametrize(
    "names", [("qrels.test.tsv", "qrels_test.tsv"), ("test-00000-of-00001.tsv", "test-00000-of-00001.csv")]
)
def test_two_files_of_one_split_are_not_joined(tmp_path: Path, names: tuple[str, str]) -> None:
    """They were one set, as if they were shards."""
    folder = folder_with(tmp_path, names[0], "1\t1\t1\n")
    (folder / "qrels" / names[1]).write_text("2,2,1\n" if names[1].endswith("csv") else "2\t2\t1\n")
    with pytest.raises(DataInvalid, match="judges split 'test' too, and one would win"):
        load_dataset(folder)
