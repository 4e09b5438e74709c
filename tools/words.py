"""Measure how the documentation reads: words of a paragraph, and words of a sentence.

    python tools/words.py            # the figures, and each sentence that is too long
    python tools/words.py --check    # exit code 1 beyond the bounds; `make docs` and the tests do this

A paragraph is a block of prose or one item of a list. Code, tables, headings and comments are no prose.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MEDIAN_WORDS: Final = 25
"""The median paragraph of all pages may have so many words; beyond 40 readers begin to skip."""
PARAGRAPH_WORDS: Final = 70
SENTENCE_WORDS: Final = 25
_FENCE: Final = re.compile(r"^\s*(```|~~~).*?^\s*\1\s*$", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_ITEM: Final = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
_NOT_PROSE: Final = re.compile(r"^(#|\||\s*!\[|:::|\s{4,}\S)")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE: Final = re.compile(r"`[^`]*`")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?:;])[)\"'*]*\s+")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of a page, as plain words; *line* is where it begins, from 1."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> int:
        return len(self.text.split())

    @property
    def sentences(self) -> list[str]:
        """Its sentences; a colon or a semicolon ends one, because a reader may rest there."""
        return [each for each in _SENTENCE_END.split(self.text) if each]


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that are held to the bounds."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]


def paragraphs(page: Path) -> Iterator[Paragraph]:
    """The paragraphs of *page* in order; a code span counts as one word."""
    text = page.read_text(encoding="utf-8")
    for hidden in (_FENCE, _COMMENT):
        text = hidden.sub(lambda found: "\n" * found[0].count("\n"), text)
    begun, lines = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        item = _ITEM.match(line)
        indented = bool(lines) and line.startswith("    ")  # the rest of an item
        ends = not line.strip() or item or (_NOT_PROSE.match(line) and not indented)
        if ends and lines:
            yield Paragraph(page, begun, _plain(" ".join(lines)))
            lines = []
        if not line.strip() or (_NOT_PROSE.match(line) and not indented and not item):
            continue
        begun = begun if lines else number
        lines.append(line[item.end() :] if item else line)


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _CODE.sub("code", text))
    return " ".join(text.replace("**", "").split())


def problems(found: list[Paragraph]) -> list[str]:
    """What is beyond a bound, one sentence each."""
    said = []
    middle = median(each.words for each in found)
    if middle > MEDIAN_WORDS:
        said.append(f"the median paragraph has {middle:.0f} words; the bound is {MEDIAN_WORDS}")
    for each in found:
        place = f"{each.page.relative_to(ROOT)}:{each.line}"
        if each.words > PARAGRAPH_WORDS:
            said.append(f"{place}: a paragraph of {each.words} words; the bound is {PARAGRAPH_WORDS}: {each.text[:60]}")
        for sentence in each.sentences:
            if len(sentence.split()) > SENTENCE_WORDS:
                said.append(f"{place}: a sentence of {len(sentence.split())} words: {sentence}")
    return said


def main() -> None:
    """Print the figures, and with --check end with 1 beyond the bounds."""
    found = [each for page in pages() for each in paragraphs(page)]
    counts = [each.words for each in found]
    said = problems(found)
    for line in said:
        sys.stdout.write(f"{line}\n")
    size = f"{median(counts):.0f} words at the median, {max(counts)} at most"
    sys.stdout.write(f"{len(pages())} pages, {len(counts)} paragraphs: {size}\n")
    if "--check" in sys.argv and said:
        sys.exit(1)


if __name__ == "__main__":
    main()
