"""Which files are one: shards are, and years are not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset, splits
from samespace.evaluation.files import is_one, stems_of
from samespace.training.adapting.documents import read_documents
from samespace.training.data.sources import load_data

CORPUS = [{"_id": f"d{n}", "text": f"text number {n}"} for n in range(6)]
ASKED = [{"_id": f"q{n}", "text": f"where is number {n}"} for n in range(6)]


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def put(folder: Path, **files: str) -> Path:
    """Files of a folder by their paths; those that end with .gz are compressed."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return folder


def qrels(*numbers: int) -> str:
    return "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in numbers)


def retrieval(folder: Path, **files: str) -> Path:
    return put(folder, **{"corpus.jsonl": lines(CORPUS), "queries.jsonl": lines(ASKED), **files})


def pairs(word: str) -> str:
    return lines([{"query": f"{word} what is {n}", "passage": f"{word} it is {n * n}"} for n in range(4)])


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["test_2019.tsv", "test_2020.tsv"], ["test_2019", "test_2020"]),
        (["corpus-2020.jsonl"], ["corpus-2020"]),
        (["train_500.jsonl"], ["train_500"]),
        (["a-000.jsonl", "a-001.jsonl.gz", "a-002.jsonl"], ["a", "a", "a"]),
        (["a.001.tsv", "a.002.tsv"], ["a", "a"]),
        (["a-001.tsv"], ["a"]),
        (["a-000.tsv", "a-002.tsv"], ["a-000", "a-002"]),
        (["a-001.tsv", "a-2019.tsv"], ["a-001", "a-2019"]),
        (["a-00007-of-00009.parquet"], ["a"]),
        (["x/a-000.tsv", "y/a-001.tsv", "y/a-002.tsv"], ["a", "a", "a"]),
        (["x/a-000.tsv", "y/a-002.tsv"], ["a", "a-002"]),
    ],
)
def test_digits_are_a_shards_where_they_run(names: list[str], stems: list[str]) -> None:
    assert list(stems_of(map(Path, names)).values()) == stems


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (["test.tsv"], True),
        (["test-2019.tsv"], True),
        (["a-000.tsv", "a-001.tsv"], True),
        (["a-00000-of-00002-0a1b2c3d4e.tsv", "a-00001-of-00002-ffffffff.tsv"], True),
        (["a-2019.tsv", "a-2020.tsv"], False),
        (["a.jsonl", "a.jsonl.gz"], False),
        (["a.jsonl", "data/a.jsonl"], False),
        (["a.jsonl", "a-00000-of-00001.jsonl"], False),
        (["a-00000-of-00001.jsonl", "a-00000-of-00001.jsonl.gz"], False),
        (["a-000.jsonl", "a-00000-of-00001.jsonl"], False),
        (["a-000.jsonl", "a-001.tsv"], False),
        (["a-000.jsonl", "b-001.jsonl"], False),
    ],
)
def test_what_is_one(names: list[str], one: bool) -> None:
    assert is_one([Path(name) for name in names]) is one


@pytest.mark.parametrize("stem", ["dl-{}", "test_{}", "qrels.dl-{}"])
def test_judgements_of_two_years_are_two_splits(tmp_path: Path, stem: str) -> None:
    """They were one, scored together, and neither could be asked for."""
    years = {f"qrels/{stem.format(year)}.tsv": qrels(*rows) for year, rows in ((2019, (0, 1)), (2020, (2, 3, 4)))}
    folder = retrieval(tmp_path, **years)
    first, second = (stem.removeprefix("qrels.").format(year) for year in (2019, 2020))
    assert splits(folder) == (first, second)
    assert [len(load_dataset(folder, split).query_ids) for split in (first, second)] == [2, 3]
    assert list(load_data(folder).splits) == [first, second]
    with pytest.raises(DataInvalid, match=f"splits of this set: {first}, {second}"):
        load_dataset(folder, "test")


def test_judgements_in_numbered_shards_are_one_split(tmp_path: Path) -> None:
    folder = retrieval(tmp_path, **{"qrels/test-001.tsv": qrels(0, 1), "qrels/test-002.tsv": qrels(2)})
    assert len(load_dataset(folder).query_ids) == 3


@pytest.mark.parametrize("part", ["corpus", "queries"])
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["{}-2019.jsonl", "{}-2020.jsonl"], "{}-2019.jsonl: has a number that is no shard's"),
        (["{}-2020.jsonl"], "has a number that is no shard's: those of one name run from 0 or 1 on; call it {}, or"),
        (["{}-000.jsonl", "{}-002.jsonl"], "has a number that is no shard's"),
        (["{}.jsonl", "{}-2020.jsonl"], "only one can be read; keep one"),
        (["{}.jsonl", "{}-000.jsonl"], "only one can be read; keep one"),
        (["{}.jsonl", "{}.jsonl.gz"], "only one can be read; keep one"),
        (["{}.jsonl", "{}/{}.jsonl"], "only one can be read; keep one"),
        (["{}/a.jsonl", "{}/b.jsonl", "{}/b.jsonl.gz"], "b.jsonl: there is .*b.jsonl.gz too"),
        (["{}/a.jsonl", "{}/b.jsonl", "{}/b-000.jsonl"], "only one can be read; keep one"),
    ],
)
def test_texts_of_two_files_are_not_joined_in_silence(tmp_path: Path, part: str, names: list[str], reason: str) -> None:
    rows = {"corpus": CORPUS, "queries": ASKED}[part]
    files = {name.replace("{}", part): lines(rows[number::3]) for number, name in enumerate(names)}
    folder = retrieval(tmp_path, **{"qrels/test.tsv": qrels(0, 1)})
    (folder / f"{part}.jsonl").unlink()
    with pytest.raises(DataInvalid, match=reason.replace("{}", part)):
        load_dataset(put(folder, **files))


def test_a_folder_of_unlike_files_is_told(tmp_path: Path) -> None:
    folder = retrieval(tmp_path, **{"qrels/test.tsv": qrels(0, 1)})
    (folder / "corpus.jsonl").unlink()
    put(folder, **{"corpus/2019.jsonl": lines(CORPUS[:3]), "corpus/2020.jsonl": lines(CORPUS[3:])})
    assert "corpus is '2019.jsonl', '2020.jsonl' together" in load_dataset(folder).notes


def test_documents_of_two_years_are_no_corpus(tmp_path: Path) -> None:
    """Questions that lie beside them would be read as documents."""
    put(
        tmp_path,
        **{"corpus-2019.jsonl": lines(CORPUS), "corpus-2020.jsonl": lines(CORPUS), "queries.jsonl": lines(ASKED)},
    )
    with pytest.raises(DataInvalid, match="has a number that is no shard's"):
        read_documents(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("test-2019.jsonl", "test-2020.jsonl"),
        ("test.jsonl", "test.jsonl.gz"),
        ("test.jsonl", "data/test.jsonl"),
        ("test.jsonl", "test-00000-of-00001.jsonl"),
        ("test-000.jsonl", "test-00000-of-00001.jsonl"),
        ("test.jsonl", "test_001.jsonl"),
        ("test_001.jsonl", "test_003.jsonl"),
    ],
)
def test_pairs_of_files_that_are_no_shards_are_told(tmp_path: Path, names: tuple[str, str]) -> None:
    data = load_data(put(tmp_path, **{name: pairs(name) for name in names}))
    assert len(data.splits["test"]) == 8
    (note,) = data.notes
    assert note.startswith("split 'test' is ") and note.endswith(" together") and all(repr(n) in note for n in names)


@pytest.mark.parametrize("names", [("test-2019.jsonl",), ("test_000.jsonl", "test_001.jsonl")])
def test_pairs_of_one_file_or_of_shards_are_not(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert load_data(put(tmp_path, **{name: pairs(name) for name in names})).notes == ()
