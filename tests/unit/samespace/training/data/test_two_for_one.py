"""Two of a source's things that are one by our names: both are there, or both are named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid
from samespace.training.data.retrieval_set import as_dataset
from samespace.training.data.sources import load_data


def rows_of(word: str, count: int) -> list[dict[str, str]]:
    return [
        {"query": f"{word} what is thing {n}", "passage": f"{word} thing {n} is {n * n} long"} for n in range(count)
    ]


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("names", [("validation", "dev"), ("dev", "val"), ("valid", "validation"), ("Dev", "dev")])
@pytest.mark.parametrize("kind", ["saved", "files", "files in data"])
def test_two_splits_of_one_name_are_both_named(tmp_path: Path, names: tuple[str, str], kind: str) -> None:
    """The second took the place of the first: a validation split that was trained on was gone before the doctor came.

    Files whose names differ in case alone are of one split.
    """
    parts = {"train": rows_of("alpha", 5), names[0]: rows_of("alpha", 4), names[1]: rows_of("gamma", 3)}
    if kind == "saved":
        datasets = pytest.importorskip("datasets", reason="needs the extra train")
        datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in parts.items()}).save_to_disk(
            str(tmp_path / "set")
        )
    else:
        folder = tmp_path / "set" / ("data" if kind == "files in data" else "")
        folder.mkdir(parents=True)
        for name, rows in parts.items():
            (folder / f"{name}-part.jsonl").write_text(lines(rows))
    if kind != "saved" and names[0].lower() == names[1].lower():
        assert {name: len(part) for name, part in load_data(tmp_path / "set").splits.items()} == {"dev": 7, "train": 5}
        return
    with pytest.raises(DataInvalid, match=r"has the splits '(\w+)' and '(\w+)', and both are 'dev' here") as refused:
        load_data(tmp_path / "set")
    assert all(repr(name) in str(refused.value) for name in names)


def test_files_that_are_named_one_by_one_are_joined_and_told(tmp_path: Path) -> None:
    for name, count in (("train", 5), ("dev", 4), ("validation", 3)):
        (tmp_path / f"{name}.jsonl").write_text(lines(rows_of(name, count)))
    data = load_data([tmp_path / "train.jsonl", tmp_path / "dev.jsonl", tmp_path / "validation.jsonl"])
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 5, "dev": 7}
    assert data.notes == ("split 'dev' is dev.jsonl and validation.jsonl together",)
    assert load_data([tmp_path / "train.jsonl", tmp_path / "dev.jsonl"]).notes == ()


def test_files_of_one_name_in_two_folders_are_both_whole(tmp_path: Path) -> None:
    """Line 1 of both had one name, and the corpus one of the two passages."""
    (tmp_path / "data").mkdir()
    (tmp_path / "train.jsonl").write_text(lines(rows_of("upper", 4)))
    (tmp_path / "data" / "train.jsonl").write_text(lines(rows_of("lower", 4)))
    data = load_data(tmp_path)
    assert len(data.corpus) == 8 and len(set(data.splits["train"].query_ids)) == 8


@pytest.mark.parametrize(
    "rows",
    [
        [{"query": "a", "passage": ["b", "c", "d"], "negatives": ["n", "m"]}, {"query": "e", "passage": ["b", "f"]}],
        [{"query": ["a", "e", "a"], "passage": ["b", "c", "d"], "label": [1, 1, 0]}],
        [{"set": ["a", "b", "c"]}, {"set": ["b", "a", "c"]}],
        [["a", "b", "n", "m"], ["a", "c", "k"]],
    ],
    ids=["several passages", "all pairs in a row", "sets", "arrays"],
)
def test_every_text_of_a_row_has_a_name_of_its_own(tmp_path: Path, rows: list[Any]) -> None:
    """All texts of a row had one name: of a corpus the last was left, and a test set in one row was one question."""
    path = tmp_path / "test.jsonl"
    path.write_text(lines(rows))
    data = load_data(path)
    part = data.splits["test"]
    passages = {*part.passages, *(text for each in part.negatives for text in each)}
    assert sorted(data.corpus.values()) == sorted(passages)
    assert len(set(part.query_ids)) == len(set(part.queries))
    assert [data.corpus[name] for name in part.passage_ids] == list(part.passages)
    asked = as_dataset(data, "test")
    assert sorted(asked.queries) == sorted({q for q, label in zip(part.queries, part.labels, strict=True) if label})
    assert sum(map(len, asked.qrels.values())) == sum(label >= 0.5 for label in part.labels)


def test_a_column_that_changes_is_told(tmp_path: Path) -> None:
    """Sets that were put together have their passages in several columns, of which each is null in some rows."""
    rows = [
        {"query": f"how {n}", "answer": f"answer {n}" if n % 2 else None, "context": None if n % 2 else f"page {n}"}
        for n in range(10)
    ]
    path = tmp_path / "train.jsonl"
    path.write_text(lines(rows))
    assert load_data(path).notes == (
        "train.jsonl takes its passage from another column in some rows: 'context' (5 rows) and 'answer' (5 rows); "
        "they may be of different kinds",
    )
    path.write_text(lines(rows[::2]))
    assert load_data(path).notes == ()


def test_classes_within_lists_are_believed_too(tmp_path: Path) -> None:
    """MTEB's layout of all pairs in a row has a list of classes."""
    datasets = pytest.importorskip("datasets", reason="needs the extra train")
    features = datasets.Features(
        {"sentence1": datasets.Sequence(datasets.Value("string")),
         "sentence2": datasets.Sequence(datasets.Value("string")),
         "labels": datasets.Sequence(datasets.ClassLabel(names=["duplicate", "not duplicate"]))}
    )  # fmt: skip
    rows = {"sentence1": [["a", "b"]], "sentence2": [["c", "d"]], "labels": [[0, 1]]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(DataInvalid, match=r"0 is duplicate, 1 is not duplicate: .* the wrong way round"):
        load_data(tmp_path / "set")


def test_files_that_become_one_split_are_told(tmp_path: Path) -> None:
    """Shards are one file; others may have come by accident, such as the same rows in another format."""
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test", "test_hard"):
        (tmp_path / f"{name}.jsonl").write_text(lines(rows_of(name, 4)))
    assert load_data(tmp_path).notes == ("split 'test' is 'test.jsonl', 'test_hard.jsonl' together",)


@pytest.mark.parametrize("name", ["train_dev", "test-validation", "dev.train"])
def test_a_name_that_says_two_splits_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.jsonl").write_text(lines(rows_of("alpha", 4)))
    with pytest.raises(DataInvalid, match=r"its name says '\w+' and '\w+', so it could be either"):
        load_data(tmp_path)
    with pytest.raises(DataInvalid, match="could be either"):
        load_data(tmp_path / f"{name}.jsonl")


def test_judgements_in_a_folder_of_qrels_are_refused(tmp_path: Path) -> None:
    """They were not read, and nobody was told."""
    for split in ("train", "en/test"):
        file = tmp_path / "qrels" / f"{split}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\n")
    for name in ("corpus", "queries"):
        (tmp_path / f"{name}.jsonl").write_text(
            json.dumps({"_id": f"{name[0].replace('c', 'p')}1", "text": name}) + "\n"
        )
    with pytest.raises(
        DataInvalid, match=r"is a folder with judgements, and those are read from qrels/SPLIT\.tsv alone"
    ):
        load_data(tmp_path)
