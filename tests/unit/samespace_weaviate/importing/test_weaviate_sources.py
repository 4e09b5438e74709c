"""samespace_weaviate.importing.sources"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samespace.errors import DataInvalid
from samespace_weaviate import Passage
from samespace_weaviate.importing.sources import Fields, count_passages, read_passages


def test_passages_are_read_from_a_beir_folder_and_from_any_jsonl(tmp_path: Path) -> None:
    """The text is title and text, as BEIR has it; other fields become properties, empty ones do not."""
    rows = [{"_id": "1", "title": "A", "text": "b", "year": 2026}, {"id": 2, "text": "c", "metadata": {}}]
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    wanted = [Passage("1", "A b", {"title": "A", "year": 2026}), Passage("2", "c", {})]
    assert list(read_passages(tmp_path)) == list(read_passages(file)) == wanted
    assert count_passages(tmp_path) == 2


def test_a_table_is_read_with_fields_of_other_names(tmp_path: Path) -> None:
    """CSV, with line breaks inside a field; the id that has another name than usual leaves "id" a property."""
    file = tmp_path / "a.csv"
    file.write_text('key,id,body,head\n1,x,"two\nlines",T\n2,y,z,\n', encoding="utf-8")
    found = list(read_passages(file, fields=Fields(id="key", text="body", title="head")))
    assert found == [Passage("1", "T two\nlines", {"id": "x", "head": "T"}), Passage("2", "z", {"id": "y"})]
    assert count_passages(file) == 2


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Numbers and lists arrive as such, row group after row group."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = [{"id": str(number), "text": f"t{number}", "year": number, "tags": ["a", "b"]} for number in range(5)]
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    assert list(read_passages(file))[3] == Passage("3", "t3", {"year": 3, "tags": ["a", "b"]})
    assert count_passages(file, file) == 10


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "x"}', '{"_id": "1"}', '{"_id": "1", "text": 3}'])
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    """The error names file and line."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"_id": "0", "text": "good"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataInvalid, match="line 2"):
        list(read_passages(file))


@pytest.mark.parametrize(("name", "reason"), [("none.jsonl", "no such file"), ("a.txt", "expected one of")])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, reason: str) -> None:
    """Before anything is imported."""
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataInvalid, match=reason):
        count_passages(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.parquet", b"junk that is longer than a footer", "cannot be read as Parquet"),
        ("a.csv", "_id,text\n1,caf\u00e9\n".encode("latin-1"), "is not UTF-8"),
        ("a.jsonl", '{"_id": "1", "text": "caf\u00e9"}\n'.encode("latin-1"), "is not UTF-8"),
    ],
)
def test_bytes_that_are_not_what_the_name_promises_are_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    """A damaged or differently encoded file is named; pyarrow's and Python's own errors do not get out."""
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataInvalid, match=reason) as refused:
        list(read_passages(file))
    assert name in str(refused.value)


def test_a_record_with_a_text_that_is_none_is_refused_with_the_types_it_has(tmp_path: Path) -> None:
    """A number in place of the text: its name alone would not say what is wrong."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"_id": "1", "text": 3}\n', encoding="utf-8")
    with pytest.raises(DataInvalid, match=r'found "_id" \(str\), "text" \(int\)'):
        list(read_passages(file))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jsonl", '{"_id": "1", "text": "a", "text": "b"}', "'text' twice, with 'a' and 'b'"),
        ("a.jsonl", '{"_id": "1", "id": "2", "text": "a"}', "\"_id\" '1' and \"id\" '2'"),
        ("a.csv", "id,text,text\n1,a,b\n", "the column 'text' 2 times"),
        ("a.csv", "id,text\n1,one, two\n", "has 3 cells, the header has 2"),
        ("a.tsv", "id\ttext\n1\ta\tb\n", "has 3 cells, the header has 2"),
    ],
)
def test_nothing_wins_in_silence(tmp_path: Path, name: str, content: str, reason: str) -> None:
    """Of two values for one thing none is taken, and nothing is cut off."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataInvalid, match=reason):
        list(read_passages(tmp_path / name))


def test_a_parquet_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    file = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array(["1"]), *[pa.array(["a"])] * 2], ["id", "text", "text"]), file)
    with pytest.raises(DataInvalid, match="the column 'text' 2 times"):
        list(read_passages(file))


def test_two_ids_that_agree_are_one(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"_id": "1", "id": 1, "text": "a"}\n', encoding="utf-8")
    assert list(read_passages(file)) == [Passage("1", "a", {})]
