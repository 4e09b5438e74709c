"""Text files are cut between records, wherever the blocks that are read begin and end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from samespace.bulk import cuts
from samespace.bulk.files import place_of
from samespace.bulk.plan import BulkPart, Columns, InputFile, cut_rows, kind_of, ranges
from samespace.bulk.rows import read_chunks
from samespace.bulk.text_rows import read_header
from samespace.errors import DataInvalid, RequestInvalid

TEXTS = ["plain", 'with "quotes"', "two\nlines", "comma, here", 'end"', "ümläut", '"', "\n", 'a,\n"b"\n', "last"]


def parts_of(path: Path, part_rows: int) -> list[BulkPart]:
    """The file's parts."""
    place, kind = place_of(str(path)), kind_of(str(path))
    header = read_header(place, kind) if kind != "jsonl" else ()
    return cuts.cut_text(place, InputFile(0, str(path), kind, header), part_rows)


def texts_of(parts: list[BulkPart]) -> list[str]:
    """What is read of all parts, in order."""
    return [text for part in parts for chunk in read_chunks(part, Columns(), skip_empty=True) for text in chunk.texts]


def csv_bytes(*, end: str = "\r\n", last: bool = True) -> bytes:
    """TEXTS as CSV with ids."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(["id", "text"])
    writer.writerows([number, text] for number, text in enumerate(TEXTS))
    data = out.getvalue()
    return (data if last else data.removesuffix(end)).encode()


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("part_rows", [1, 2, 3, 9, 10, 11])
@pytest.mark.parametrize("last", [True, False])
def test_csv_is_cut_outside_of_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, part_rows: int, last: bool
) -> None:
    """Quotes, line feeds in cells and a missing line feed at the end lose and double nothing, for any size of block."""
    monkeypatch.setattr(cuts, "_BLOCK", block)
    path = tmp_path / "texts.csv"
    path.write_bytes(csv_bytes(end="\n" if block == 7 else "\r\n", last=last))
    parts = parts_of(path, part_rows)
    assert [(part.first_row, part.rows) for part in parts] == list(ranges(len(TEXTS), part_rows))
    assert texts_of(parts) == [text for text in TEXTS if text.strip()]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("last", ["\n", ""])
def test_jsonl_is_cut_at_line_feeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, last: str) -> None:
    """Blank lines count as rows, so that a row's number is its line's; a byte order mark is no part of a record."""
    monkeypatch.setattr(cuts, "_BLOCK", block)
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(TEXTS)]
    path.write_text("\ufeff" + "\n".join([lines[0], "", *lines[1:]]) + last)
    for part_rows in (1, 3, 11, 12):
        parts = parts_of(path, part_rows)
        assert sum(part.rows for part in parts) == len(TEXTS) + 1
        assert texts_of(parts) == [text for text in TEXTS if text.strip()]


def test_a_file_without_rows_has_no_parts(tmp_path: Path) -> None:
    """An empty JSONL file, and a CSV file of a header alone."""
    (tmp_path / "none.jsonl").write_bytes(b"")
    (tmp_path / "none.csv").write_text("id,text\n")
    assert parts_of(tmp_path / "none.jsonl", 4) == []
    assert parts_of(tmp_path / "none.csv", 4) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", 'id,text\n1,"open\n2,b\n', "CSV"),
        ("a.csv", "id,text\n1\n", "1 cells; the header has 2"),
        ("a.csv", "id,text\n1,\n", "has no text"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n[]\n', "row 2: is list"),
        ("a.jsonl", '{"id": 1, "text": "a"}\n{\n', "row 2: is not JSON"),
        ("a.jsonl", '{"text": "a"}\n', "_id or id is None"),
        ("a.jsonl", '{"id": 1, "text": 3}\n', "'text' is int; expected text"),
        ("a.jsonl", '{"id": 1, "text": "\\ud800"}\n', "lone surrogate"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: str, reason: str) -> None:
    """File, row and reason."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataInvalid, match=reason):
        for part in parts_of(tmp_path / name, 10):
            list(read_chunks(part, Columns(), skip_empty=False))


def test_a_file_that_was_changed_meanwhile_is_an_error(tmp_path: Path) -> None:
    """Rows are counted when the file is cut and again when they are read."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n')
    (part,) = parts_of(path, 10)
    path.write_text(f'{{"id": 1, "text": "{"a" * 24}"}}\n')  # as many bytes, one row
    with pytest.raises(DataInvalid, match="2 rows were counted and 1 read"):
        list(read_chunks(part, Columns(), skip_empty=False))


def test_names_of_parts_sort_like_their_rows() -> None:
    """By input, then by place in it."""
    files = [
        part.file
        for number in (0, 1, 11)
        for part in cut_rows(InputFile(number, f"{number}.parquet", "parquet"), 2500, 1000)
    ]
    assert files == sorted(files) and len(set(files)) == 9


def test_compressed_text_is_refused_with_what_to_do() -> None:
    """It cannot be cut."""
    with pytest.raises(RequestInvalid, match="unpack it"):
        kind_of("corpus.jsonl.gz")
