"""Documents are read from what people have: rows, Markdown, HTML, text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("markdown_it", reason="needs the extra train")

from samespace.errors import DataInvalid
from samespace.training.adapting.documents import link_target, read_documents
from samespace.training.adapting.markup import Link, read_html, read_markdown, read_plain


def test_markdown_has_sections_with_their_links() -> None:
    """A heading opens a section; code and tables are text; front matter gives the title and is no text."""
    page = read_markdown(
        "---\ntitle: Handbook\n---\nBefore.\n\n# Leave\n\nTwo *weeks*, see [pay](pay.md).\n\n```\nask --now\n```\n\n"
        "| a | b |\n| - | - |\n| one | two |\n\n## Sick\n\n- Call us.\n- Stay home.\n"
    )
    assert page.title == "Handbook"
    assert [(part.heading, part.text) for part in page.sections] == [
        ("", "Before."),
        ("Leave", "Two weeks, see pay.\n\nask --now\n\na\n\nb\n\none\n\ntwo"),
        ("Sick", "Call us.\n\nStay home."),
    ]
    assert page.sections[1].links == (Link("pay", "pay.md"),)


def test_html_is_read_without_its_furniture() -> None:
    """Navigation, scripts, styles and forms are no text; a missing end tag loses nothing."""
    page = read_html(
        "<html><head><title>Shop &amp; more</title><style>p {}</style><body><nav><a href='x'>Home</a></nav>"
        "<header><h1>Returns</h1></header><p>Send it <b>back</b>.<p>We pay.<script>alert(1)</script>"
        "<h2>How long?<a href='#l'>¶</a></h2><p>30 days.</p><form>Mail</form></body>"
    )
    assert page.title == "Shop & more"
    assert [(part.heading, part.text) for part in page.sections] == [
        ("Returns", "Send it back.\n\nWe pay."),
        ("How long?", "30 days."),
    ]


def test_plain_text_has_a_title_where_a_line_stands_alone() -> None:
    """A first line that ends a sentence, or has text below it, is text."""
    assert read_plain("Returns\n\nSend it back.\nWe pay.").title == "Returns"
    assert read_plain("Returns are easy.\n\nSend it back.").title == ""
    assert read_plain("Returns are\neasy.").sections[0].text == "Returns are easy."


def test_a_folder_is_read_as_pages(tmp_path: Path) -> None:
    """Pages in folders below too, hidden ones not; rows beside pages are told, and a page without text too."""
    (tmp_path / "sub" / ".git").mkdir(parents=True)
    (tmp_path / "sub" / "a.md").write_text("# A\n\nText of a.\n", encoding="utf-8")
    (tmp_path / "b.html").write_text("<p>Text of b.", encoding="utf-8")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "sub" / ".git" / "c.md").write_text("# C\n\nHidden.\n", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "row"}\n', encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    library = read_documents(tmp_path)
    assert [document.name for document in library.documents] == ["b.html", "sub/a.md"]
    assert library.notes == (
        "1 files are neither texts nor rows and are left out",
        "1 files of rows beside the texts are left out",
        "1 of 3 documents have no text and are left out",
    )


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_rows_are_documents(tmp_path: Path, form: str) -> None:
    """Title and text by their usual names; one id twice is two documents; a BEIR folder is its corpus alone."""
    rows = [{"id": "1", "title": "T", "content": "Text one."}, {"id": "1", "title": "", "content": "Text two."}]
    file = tmp_path / "corpus" if form == "jsonl" else tmp_path / "documents"
    file = file.with_suffix(f".{form}")
    if form == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "Never read."}\n', encoding="utf-8")
    elif form == "csv":
        file.write_text("id,title,content\n1,T,Text one.\n1,,Text two.\n", encoding="utf-8")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    library = read_documents(tmp_path if form == "jsonl" else file)
    assert [(each.name, each.title, each.sections[0].text) for each in library.documents] == [
        ("1", "T", "Text one."),
        ("1 (2)", "", "Text two."),
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No such place, no text, a row without a text, bytes that are no UTF-8."""
    with pytest.raises(DataInvalid, match="no such file"):
        read_documents(tmp_path / "nowhere")
    with pytest.raises(DataInvalid, match="no document with a text"):
        read_documents(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"number": 1}\n', encoding="utf-8")
    with pytest.raises(DataInvalid, match=r"line 1.*found 'number'"):
        read_documents(tmp_path / "a.jsonl")
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 and more")
    with pytest.raises(DataInvalid, match="UTF-8"):
        read_documents(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "target", "path"),
    [
        ("guide/a.md", "b.md", "guide/b.md"),
        ("guide/a.md", "../c.md#part", "c.md"),
        ("guide/a.md", "/d%20e.md?x=1", "d e.md"),
        ("a.md", "https://elsewhere.example/b.md", ""),
        ("a.md", "#below", ""),
        ("a.md", "mailto:someone@example.com", ""),
    ],
)
def test_links_stay_in_the_folder(name: str, target: str, path: str) -> None:
    """Relative and absolute paths, without fragment; what leaves the folder goes nowhere."""
    assert link_target(name, target) == path
