"""New splits that share nothing, and kept ones that are what they were: seen in what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation.qrels import judgement_files
from samespace.training.data.sources import load_data
from samespace.training.doctor import Questions, material_of, resplit, write_splits

Judged = Sequence[tuple[str, str, int]]
NOUNS = ("harbour engine ladder marble velvet garden copper lantern saddle thunder basket chimney").split()  # noqa: SIM905


def thing(row: int) -> str:
    """Three words that no other row has together."""
    return f"{NOUNS[row % 12]} {NOUNS[(row // 12 + 5) % 12]}{row} {NOUNS[(row * 7 + 3) % 12]}x{row * row}"


def beir(folder: Path, splits: Mapping[str, Judged]) -> Path:
    """A retrieval set of 60 questions and 60 passages."""
    (folder / "qrels").mkdir(parents=True)
    for name, kind in (("corpus", "p"), ("queries", "q")):
        rows = [{"_id": f"{kind}{row}", "text": f"{kind} says {thing(row)}"} for row in range(60)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, judged in splits.items():
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, each)) for each in judged)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def grades(folder: Path, split: str) -> set[tuple[str, str, float]]:
    """The lines of a split's judgements, as they are written."""
    (file,) = judgement_files(folder)[split]
    lines = [line.split("\t") for line in file.read_text().splitlines()[1:]]
    return {(query, passage, float(grade)) for query, passage, grade in lines}


def written(source: Path, out: Path, keep: Sequence[str] = ()) -> Path:
    """*source*, split anew into *out*."""
    material = material_of(load_data(source), Questions())
    write_splits(material.data, resplit(material, keep=keep), out)
    return out


def test_a_kept_split_is_what_it_was(tmp_path: Path) -> None:
    """Judgements of passages that the corpus lacks count in scores, and a pair has the grade of its own split."""
    trained = [(f"q{row}", f"p{row}", 1) for row in range(40)]
    test = [(f"q{row}", f"p{row}", 2) for row in range(40, 60)]
    test += [(f"q{row}", f"gone{row}", 3) for row in range(40, 60)] + [("q41", "p3", 0), ("q5", "p5", 3)]
    source = beir(tmp_path / "set", {"train": trained, "test": test})
    out = written(source, tmp_path / "new", ("test",))
    assert grades(out, "test") == grades(source, "test")
    assert ("q5", "p5", 1.0) not in grades(out, "train") | grades(out, "dev")


def test_judgements_that_make_no_example_go_with_their_query(tmp_path: Path) -> None:
    judged = [(f"q{row}", f"p{row}", 1 + row % 3) for row in range(60)]
    judged += [(f"q{row}", f"gone{row}", 2) for row in range(60)] + [
        (f"q{row}", f"p{(row + 9) % 60}", 0) for row in range(60)
    ]
    source = beir(tmp_path / "set", {"all": judged})
    out = written(source, tmp_path / "new")
    found = [grades(out, split) for split in ("train", "dev", "test")]
    assert set.union(*found) == grades(source, "all") and sum(map(len, found)) == len(judged)


def test_two_grades_of_one_pair_are_no_choice_of_ours(tmp_path: Path) -> None:
    judged = [(f"q{row}", f"p{row}", 1) for row in range(60)]
    source = beir(tmp_path / "set", {"train": judged, "dev": [("q7", "p7", 2), ("q8", "p8", 1)]})
    with pytest.raises(DataInvalid, match="passage p7 for query q7 is judged 1 in train, and 2 in another split"):
        written(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def lines(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Pairs as a file of JSON lines."""
    folder.mkdir()
    told = [json.dumps({"query": query, "passage": passage}) + "\n" for query, passage in rows]
    (folder / "train.jsonl").write_text("".join(told))
    return folder


def test_labelled_pairs_and_pairs_are_not_divided_together(tmp_path: Path) -> None:
    """It was an AssertionError."""
    source = lines(tmp_path / "set", [(thing(row), thing(row + 100)) for row in range(20)])
    (source / "test.jsonl").write_text(json.dumps({"query": "one", "passage": "two", "label": 1}) + "\n")
    with pytest.raises(DataInvalid, match=r"cannot be divided together: (test has labels, )?train has none"):
        written(source, tmp_path / "new")


def test_a_question_behind_a_prompt_stays_with_itself(tmp_path: Path) -> None:
    """Also where it has two words, and both parts of the new set would begin with the prompt."""
    prompt = "Represent this sentence for searching relevant passages: "
    short = [f"{NOUNS[row % 12]}{row} price" for row in range(100)]
    rows = [(f"{prompt}{text}", f"one answer is {thing(row)}") for row, text in enumerate(short)]
    rows += [(text, f"another answer is {thing(row + 300)}") for row, text in enumerate(short)]
    splits = load_data(written(lines(tmp_path / "set", rows), tmp_path / "new")).splits
    asked = {name: {query.removeprefix(prompt) for query in part.queries} for name, part in splits.items()}
    assert not asked["train"] & asked["test"] and not asked["train"] & asked["dev"]


def test_a_question_stays_with_the_one_that_it_is_paired_with(tmp_path: Path) -> None:
    """Of pairs of like questions each may stand on both sides."""
    rows = [(thing(row), thing(row + 1)) for chain in range(0, 240, 6) for row in range(chain, chain + 5)]
    splits = load_data(written(lines(tmp_path / "set", rows), tmp_path / "new")).splits
    texts = {name: {*part.queries, *part.passages} for name, part in splits.items()}
    assert not texts["train"] & texts["test"] and not texts["train"] & texts["dev"]
