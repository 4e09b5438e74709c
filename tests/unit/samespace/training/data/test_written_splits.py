"""A kept split is what it was, whatever the source: the same questions, judgements and passages to search among."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from samespace.api.commands import read_dataset
from samespace.cli import cli
from samespace.evaluation import Bm25Ranker, evaluate
from samespace.evaluation.dataset import Dataset, load_dataset
from samespace.training.data.sources import load_data
from samespace.training.doctor import Questions, material_of, resplit, write_splits

NOUNS = ("harbour engine ladder marble velvet garden copper lantern saddle thunder basket chimney").split()  # noqa: SIM905


def thing(row: int) -> str:
    return f"{NOUNS[row % 12]} {NOUNS[(row // 12 + 5) % 12]}{row} {NOUNS[(row * 7 + 3) % 12]}x{row * row}"


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def beir(folder: Path, qrels: Mapping[str, str], passages: int = 90) -> Path:
    """A retrieval set of 60 questions; the last passages answer none and are near the others."""
    texts = [f"p says {thing(row % 60)}" + f" once more {row}" * (row >= 60) for row in range(passages)]
    put(folder / "corpus.jsonl", lines([{"_id": f"p{row}", "text": text} for row, text in enumerate(texts)]))
    put(folder / "queries.jsonl", lines([{"_id": f"q{row}", "text": f"q says {thing(row)}"} for row in range(60)]))
    for name, content in qrels.items():
        put(folder / "qrels" / name, content)
    return folder


def judged(rows: range, grade: str = "1") -> str:
    return "".join(f"q{row}\tp{row}\t{grade}\n" for row in rows)


def pairs(folder: Path, **files: Sequence[Mapping[str, Any]]) -> Path:
    for name, rows in files.items():
        put(folder / f"{name}.jsonl", lines(rows))
    return folder


def pair(row: int, **more: Any) -> dict[str, Any]:
    return {"query": f"q says {thing(row)}", "passage": f"p says {thing(row)}", **more}


def written(sources: Sequence[Path], out: Path, keep: Sequence[str] = ("test",)) -> tuple[str, ...]:
    material = material_of(load_data(list(sources)), Questions())
    return write_splits(material.data, resplit(material, keep=keep), out)


def shape(data: Dataset) -> tuple[list[str], list[str], list[tuple[str, str, float]]]:
    """Passages, questions and grades by their texts: ids may be others."""
    text = dict(zip(data.passage_ids, data.passages, strict=True))
    asked = dict(zip(data.query_ids, data.queries, strict=True))
    grades = [(asked[q], text[p], g) for q, judged in data.qrels.items() for p, g in judged.items() if g > 0]
    return sorted(data.passages), sorted(data.queries), sorted(grades)


def score(data: Dataset) -> float:
    return evaluate(Bm25Ranker(), data).score.ndcg_10


def test_a_published_split_keeps_its_corpus_beside_pairs_of_somebodys_own(tmp_path: Path) -> None:
    """Two pairs beside scifact threw 4,526 of its 5,183 passages away, and the kept test went from .679 to .835."""
    source = beir(tmp_path / "set", {"train.tsv": judged(range(30)), "test.tsv": judged(range(30, 60), "2")})
    put(tmp_path / "mined.jsonl", lines([pair(20), {**pair(71), "passage": "p says something of our own"}]))
    told = written([source, tmp_path / "mined.jsonl"], tmp_path / "new")
    before, after = load_dataset(source), load_dataset(tmp_path / "new")
    passages, asked, grades = shape(after)
    assert passages == sorted([*before.passages, "p says something of our own"])
    assert (asked, grades) == shape(before)[1:]
    assert any("all 91 passages: rows of pairs would have" in sentence for sentence in told)
    assert any(
        "test is searched among 91 passages here, and among 90 in set: a score here compares with none there"
        in sentence
        for sentence in told
    )


def test_pairs_over_the_sets_own_passages_change_nothing(tmp_path: Path) -> None:
    """A passage that the set has is no second one, which would tie with itself."""
    source = beir(tmp_path / "set", {"train.tsv": judged(range(30)), "test.tsv": judged(range(30, 60))})
    mined = [{"query": f"asks otherwise {row} {thing(row + 200)}", "passage": pair(row)["passage"]} for row in range(9)]
    put(tmp_path / "mined.jsonl", lines(mined))
    told = written([source, tmp_path / "mined.jsonl"], tmp_path / "new")
    assert shape(load_dataset(tmp_path / "new")) == shape(load_dataset(source))
    assert score(load_dataset(tmp_path / "new")) == score(load_dataset(source))
    assert not any("searched among" in sentence for sentence in told)
    found = [query for part in load_data(tmp_path / "new").splits.values() for query in part.queries]
    assert {row["query"] for row in mined} <= {*found}


def test_files_of_pairs_keep_the_passages_of_rows_that_are_left_out(tmp_path: Path) -> None:
    """Rows that touch the kept split were left out, and with them what made its questions hard."""
    trained = [pair(row, negatives=[f"near {thing(row)}"]) for row in range(40)]
    trained += [{**pair(row + 100), "query": pair(row)["query"]} for row in range(40, 50)]
    source = pairs(tmp_path / "set", train=trained, test=[pair(row) for row in range(40, 60)])
    told = written([source], tmp_path / "new")
    before, after = read_dataset(source), read_dataset(tmp_path / "new")
    assert shape(after) == shape(before) and score(after) == score(before)
    assert not after.ignored and not any("share their id" in note for note in after.notes)
    assert told == ("written in the BEIR layout with all 110 passages: rows of pairs would have 100 of them",)
    given = {text for part in load_data(tmp_path / "new").splits.values() for each in part.negatives for text in each}
    assert given == {row["negatives"][0] for row in trained[:40]}


def test_rows_that_hold_everything_stay_rows(tmp_path: Path) -> None:
    source = pairs(
        tmp_path / "set", train=[pair(row, weight=2) for row in range(40)], test=[pair(40 + n) for n in range(9)]
    )
    assert written([source], tmp_path / "new") == ()
    assert json.loads((tmp_path / "new" / "train.jsonl").read_text().splitlines()[0])["weight"] == 2
    assert shape(read_dataset(tmp_path / "new")) == shape(read_dataset(source))


def test_what_the_layout_cannot_hold_is_told(tmp_path: Path) -> None:
    """Weights, and a negative that is right elsewhere."""
    trained = [pair(row, weight=2) for row in range(40)] + [{**pair(0), "passage": "another"}]
    trained += [{**pair(1), "passage": "yet another", "negatives": [pair(1)["passage"]]}]
    trained += [{**pair(45), "passage": "left out with its passage"}]
    source = pairs(tmp_path / "set", train=trained, test=[pair(row) for row in range(40, 60)])
    told = written([source], tmp_path / "new")
    assert shape(read_dataset(tmp_path / "new")) == shape(read_dataset(source))
    assert any("40 of 62 examples have a weight" in sentence for sentence in told)
    assert any("1 given negatives are right answers of the same query elsewhere" in sentence for sentence in told)


def test_labelled_pairs_that_lose_passages_are_told_with_both_numbers(tmp_path: Path) -> None:
    trained = [pair(row, label=row % 2) for row in range(40)] + [{**pair(45, label=1), "passage": "goes away"}]
    source = pairs(tmp_path / "set", train=trained, test=[pair(row, label=1) for row in range(40, 60)])
    told = written([source], tmp_path / "new")
    assert told == (
        "test is searched among 60 passages here, and among 61 in set: a score here compares with none there",
    )


def test_a_split_of_two_sources_compares_with_neither(tmp_path: Path) -> None:
    one = beir(tmp_path / "one", {"train.tsv": judged(range(30)), "test.tsv": judged(range(30, 60))})
    put(
        tmp_path / "test.jsonl",
        lines([{"query": f"asks {n} {thing(n + 300)}", "passage": f"says {thing(n + 400)}"} for n in range(5)]),
    )
    told = written([one, tmp_path / "test.jsonl"], tmp_path / "new")
    assert any(
        "test is searched among 95 passages here, and among 90 in one and among 5 in test.jsonl" in t for t in told
    )
    assert len(load_dataset(tmp_path / "new").query_ids) == 35


GRADES = ("1234567", "0.33333333", "7654321.5", "-1", "1e-9", "3")


@pytest.mark.parametrize("beside", [False, True])
def test_judgements_of_a_kept_split_are_exact(tmp_path: Path, beside: bool) -> None:
    """Also 0, queries all of whose judgements are 0, passages and queries that are not there, and large grades."""
    test = "".join(f"q{row}\tp{row}\t{GRADES[row % 6]}\n" for row in range(36, 56))
    test += "q56\tp3\t0\nq57\tp4\t0\nq58\tgone\t1\nq58\tp5\t0\nnobody\tp6\t2\n"
    source = beir(tmp_path / "set", {"train.tsv": judged(range(36), "0.123456789"), "test.tsv": test})
    put(tmp_path / "more.jsonl", lines([pair(row + 200) for row in range(5)]))
    written([source, tmp_path / "more.jsonl"] if beside else [source], tmp_path / "new")
    rows = [line.split("\t") for line in (tmp_path / "new/qrels/test.tsv").read_text().splitlines()]
    found = {(q.removeprefix("set/"), p.removeprefix("set/"), float(g)) for q, p, g in rows if g != "score"}
    assert found == {(q, p, float(g)) for q, p, g in (line.split("\t") for line in test.splitlines())}
    if not beside:
        assert (tmp_path / "new/qrels/test.tsv").read_text() == test
    assert "\t0.123456789\n" in (tmp_path / "new/qrels/train.tsv").read_text()


@pytest.mark.parametrize("name", ["test.trec", "test.qrels", "test-00000-of-00001.tsv", "qrels.test.tsv"])
def test_a_kept_file_of_judgements_is_copied(tmp_path: Path, name: str) -> None:
    content = "".join(f"q{row} 0 p{row} 1\n" for row in range(30, 60)) + "q3 0 p9 0\n"
    source = beir(tmp_path / "set", {"train.tsv": judged(range(30)), name: content})
    written([source], tmp_path / "new")
    assert (tmp_path / "new" / "qrels" / name).read_text() == content
    assert load_dataset(tmp_path / "new").qrels == load_dataset(source).qrels


def test_the_command_says_what_is_not_as_it_was(tmp_path: Path) -> None:
    source = beir(tmp_path / "set", {"train.tsv": judged(range(30)), "test.tsv": judged(range(30, 60))})
    put(tmp_path / "mined.jsonl", lines([pair(100)]))
    asked = ["doctor", "data", str(source), str(tmp_path / "mined.jsonl"), "--write-splits", str(tmp_path / "new")]
    done = CliRunner().invoke(cli, [*asked, "--keep", "test"])
    said = " ".join(done.stderr.split())
    assert "note: written in the BEIR layout with all 91 passages" in said
    assert "test is searched among 91 passages here, and among 90 in set" in said
