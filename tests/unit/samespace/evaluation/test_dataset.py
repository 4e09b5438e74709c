"""Reading BEIR folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset, splits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of three passages and three queries, of which two are in the test split."""
    write(tmp_path / "corpus.jsonl", [("p1", "Title", "one"), ("p2", "", "two "), ("p3", None, "three")])
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{i}", "text": f" query {i}"}) + "\n" for i in (1, 2, 3))
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq2\tp1\t1\nq2\tp2\t0\nq1\tp3\t2\nq3\tp1\t0\n"
    )
    return tmp_path


def write(path: Path, passages: list[tuple[str, str | None, str]]) -> None:
    entries = [
        {"_id": name, "text": text} | ({} if title is None else {"title": title}) for name, title, text in passages
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_a_folder_is_read_as_it_is(folder: Path) -> None:
    """Title and text are joined and stripped, and queries keep the order of their file."""
    data = load_dataset(folder)
    assert data.passage_ids == ("p1", "p2", "p3")
    assert data.passages == ("Title one", "two", "three")
    assert data.query_ids == ("q1", "q2")
    assert data.queries == ("query 1", "query 2")
    assert data.qrels == {"q1": {"p3": 2}, "q2": {"p1": 1, "p2": 0}}
    assert data.name == folder.name
    assert splits(folder) == ("test",)


def test_a_query_without_a_relevant_passage_is_not_asked(folder: Path) -> None:
    """q3 has only a grade of 0: nothing could be found for it."""
    assert "q3" not in load_dataset(folder).query_ids


def test_a_judgement_file_may_have_no_header(folder: Path) -> None:
    """The first line counts as a header only if its grade is not a number."""
    (folder / "qrels" / "test.tsv").write_text("q1\tp1\t1\n")
    assert load_dataset(folder).qrels == {"q1": {"p1": 1}}


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    """The error has the path of the file that is not there."""
    (folder / missing).unlink()
    with pytest.raises(DataInvalid, match=f"{missing}: no such file"):
        load_dataset(folder)


def test_a_missing_split_names_the_splits_there_are(folder: Path) -> None:
    """Asking for dev says that the set has test."""
    with pytest.raises(DataInvalid, match=r"dev\.tsv: no such file; splits of this set: test"):
        load_dataset(folder, "dev")


def test_a_missing_folder_says_what_was_expected(tmp_path: Path) -> None:
    """It names the three parts of the layout."""
    with pytest.raises(DataInvalid, match=r"no such folder; expected corpus\.jsonl"):
        load_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: expected an object"),
        ('{"_id": "p9"}', 'line 2: expected an object with "_id" and "text"'),
        ('{"_id": 9, "text": "x"}', "line 2: .*have to be strings"),
        ('{"_id": "p1", "text": "x"}', "line 2: passage id 'p1' appears twice, first in line 1"),
    ],
)
def test_a_bad_passage_is_named_by_its_line(folder: Path, line: str, reason: str) -> None:
    """Each kind of bad line gets its number and what is wrong."""
    (folder / "corpus.jsonl").write_text('{"_id": "p1", "text": "x"}\n' + line + "\n")
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1\tp1", "line 3: expected query id"),
        ("q1 p1 1", "line 3: expected query id"),
        ("q1\tp1\tyes", "line 3: expected query id"),
        ("q9\tp1\t1", r"line 3: id 'q9' is not in queries\.jsonl"),
        ("q1\tp9\t1", r"line 3: id 'p9' is not in corpus\.jsonl"),
        ("q1\tp1\t2", "line 3: query 'q1' and passage 'p1' have grade 1 already, now 2"),
    ],
)
def test_a_bad_judgement_is_named_by_its_line(folder: Path, line: str, reason: str) -> None:
    """Unknown ids, missing columns and contradictions are refused with the line number."""
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\tp1\t1\n{line}\n")
    with pytest.raises(DataInvalid, match=reason):
        load_dataset(folder)


def test_an_empty_split_is_refused(folder: Path) -> None:
    """A split without relevant passages cannot score anything."""
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DataInvalid, match="no query of this split has a relevant passage"):
        load_dataset(folder)


def test_bytes_that_are_not_text_are_refused(folder: Path) -> None:
    """Latin-1 in a corpus is an error, not a passage with question marks."""
    (folder / "corpus.jsonl").write_bytes('{"_id": "p1", "text": "caf\xe9"}\n'.encode("latin-1"))
    with pytest.raises(DataInvalid, match="is not UTF-8"):
        load_dataset(folder)
