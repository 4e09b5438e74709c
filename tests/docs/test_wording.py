"""The pages keep to short sentences and short paragraphs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import median
from types import ModuleType

import pytest

from fakes.doc_pages import ROOT


@pytest.fixture(scope="module")
def words() -> ModuleType:
    """tools/words.py as a module."""
    import sys

    spec = importlib.util.spec_from_file_location("samespace_words", ROOT / "tools" / "words.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sentences_and_paragraphs_are_short(words: ModuleType) -> None:
    """README, CONTRIBUTING and docs: no sentence above 25 words, a median paragraph of 25 words at most."""
    found = [each for page in words.pages() for each in words.paragraphs(page)]
    assert words.problems(found) == []
    assert 10 <= median(each.words for each in found) <= words.MEDIAN_WORDS
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_what_counts_as_a_paragraph(words: ModuleType, tmp_path: Path) -> None:
    """Code, tables, headings and comments are no prose; each item of a list is a paragraph; a code span is one word."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading of five words\n\nOne two\nthree `a b c`.\n\n| a | table |\n\n```\nsome code here\n```\n\n"
        "<!-- a comment -->\n- first item\n  goes on\n- [second](link.md) item\n\n    indented code\n"
    )
    found = list(words.paragraphs(page))
    assert [(each.line, each.words) for each in found] == [(3, 4), (13, 4), (15, 2)]


def test_a_long_sentence_is_named_with_its_place(words: ModuleType) -> None:
    """26 words without a stop are reported; the same words in two sentences are not."""
    page = ROOT / "README.md"
    long = words.Paragraph(page, 7, " ".join(["word"] * 26) + ".")
    two = words.Paragraph(page, 7, " ".join(["word"] * 13) + ". " + " ".join(["word"] * 13) + ".")
    short = words.Paragraph(page, 9, "word")
    assert words.problems([short, short, long]) == [f"README.md:7: a sentence of 26 words: {long.text}"]
    assert words.problems([short, short, two]) == []
