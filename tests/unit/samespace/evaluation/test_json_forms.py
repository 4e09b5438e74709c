"""JSON lines, one array, or one object around the rows: which of them a .json file is, and no row is lost for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid
from samespace.evaluation import load_dataset
from samespace.evaluation.files import ROW_NAMES, read_rows
from samespace.evaluation.part_texts import read_texts
from samespace.training.data.formats import QUERY
from samespace.training.data.sources import load_data

TEXTS = [{"_id": f"d{number}", "text": f"passage about thing {number}"} for number in range(4)]
LISTS: list[list[Any]] = [
    [], ["one"], ["one", "two"], [{"_id": "x", "text": "inner"}],
    [{"_id": "x", "text": "a"}, {"_id": "y", "text": "b"}],
    [["one"], ["two"]], [{}], [1, 2], [None],
]  # fmt: skip


def lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("many", [1, 2, 4])
@pytest.mark.parametrize("begin", ["", "\ufeff", "\n\n", "\ufeff \r\n\n"])
@pytest.mark.parametrize("listed", LISTS, ids=json.dumps)
def test_a_row_with_one_list_is_a_row(tmp_path: Path, listed: list[Any], begin: str, many: int) -> None:
    """An empty list in the first row was taken for all rows of the file, and the row was gone."""
    rows = [{**row, "tags": listed} for row in TEXTS[:many]]
    (tmp_path / "corpus.json").write_text(begin + lines(rows), encoding="utf-8")
    assert [row for _, row in read_rows(tmp_path / "corpus.json")] == rows
    assert read_texts(tmp_path, "passage")[0] == {row["_id"]: row["text"] for row in TEXTS[:many]}


@pytest.mark.parametrize("negatives", [[], ["no"], [{"title": "No", "text": "not at all"}]])
@pytest.mark.parametrize("many", [1, 3])
def test_no_pair_is_lost_for_its_negatives(tmp_path: Path, negatives: list[Any], many: int) -> None:
    rows = [
        {"query": f"how is {n} done", "passage": f"by pressing {n}", "negatives": negatives if n == 0 else ["never"]}
        for n in range(many)
    ]
    (tmp_path / "train.json").write_text(lines(rows))
    assert len(load_data(tmp_path).splits["train"]) == many


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "around",
    [{}, {"version": "1.1"}, {"version": "1.1", "total": 4, "note": None, "about": {"made": "by hand"}}],
)
@pytest.mark.parametrize("name", ["data", "corpus", "rows", "passage"])
def test_an_object_around_the_rows_is_taken_off(
    tmp_path: Path, name: str, around: dict[str, Any], indent: int | None
) -> None:
    """On one line or on many, with whatever else it says of the file."""
    (tmp_path / "corpus.json").write_text(json.dumps({**around, name: TEXTS}, indent=indent) + "\n\n")
    assert len(read_texts(tmp_path, "passage")[0]) == 4


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("listed", LISTS, ids=json.dumps)
def test_a_document_of_one_row_is_that_row(tmp_path: Path, listed: list[Any], indent: int | None) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({**TEXTS[0], "tags": listed}, indent=indent))
    assert read_texts(tmp_path, "passage")[0] == {"d0": "passage about thing 0"}
    (tmp_path / "corpus.json").write_text(json.dumps([{**TEXTS[0], "tags": listed}], indent=indent))
    assert read_texts(tmp_path, "passage")[0] == {"d0": "passage about thing 0"}


def test_a_line_behind_a_document_is_no_part_of_it(tmp_path: Path) -> None:
    """Two objects around rows, one a line, are two rows that nobody knows; a broken second line is named."""
    (tmp_path / "train.json").write_text(lines([{"data": [{"query": "a", "passage": "b"}]}] * 2))
    with pytest.raises(DataInvalid, match="line 1: has no query"):
        load_data(tmp_path)
    (tmp_path / "train.json").write_text('{"query": "a", "passage": "b", "negatives": []}\n{"query": \n')
    with pytest.raises(DataInvalid, match="line 2: is not JSON"):
        load_data(tmp_path)


def test_a_set_of_such_files_is_whole(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(lines([{**row, "tags": []} for row in TEXTS]))
    (tmp_path / "queries.json").write_text(lines([{"_id": "q1", "text": "which", "metadata": []}]))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.json").write_text(
        lines([{"query-id": "q1", "corpus-id": f"d{n}", "score": 1, "by": []} for n in range(2)])
    )
    data = load_dataset(tmp_path)
    assert (len(data.passages), data.qrels) == (4, {"q1": {"d0": 1, "d1": 1}})


def test_every_name_of_a_query_tells_a_row() -> None:
    """A column that training reads and this does not know would be taken for something that wraps rows."""
    assert set(QUERY) <= ROW_NAMES
