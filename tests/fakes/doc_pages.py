"""What the tests of the documentation share: the pages, their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TUTORIALS: Final = ROOT / "docs" / "tutorials"
SECOND_TERMINAL: Final = "in a second terminal"
ENDS_WITH_ERROR: Final = "ends with an error"
_FENCE: Final = re.compile(r"^```([a-z]*)(?: title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)")  # a span ends with its paragraph
_OPERATORS: Final = frozenset({"&&", "||", "|", ";", ">", ">>", "<", "(", ")", "&", "do", "done", "then"})
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its title ("" for none) and its text."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that a reader may take a command from, and that links somewhere."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "DESIGN.md")]
    return [*top, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of *page* in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2] or "", found[3])
        for found in _FENCE.finditer(text)
    ]


def without_blocks(page: Path) -> str:
    """The text of *page* with its fenced blocks blanked out, line by line."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), page.read_text(encoding="utf-8"))


def without_code(page: Path) -> str:
    """The text of *page* with its fenced blocks blanked out, and a word in place of each code span."""
    return _SPAN.sub("code", without_blocks(page))


def spans(page: Path) -> list[str]:
    """The code spans of *page*, with white space as single blanks."""
    return [" ".join(found[1].split()) for found in _SPAN.finditer(without_blocks(page))]


def commands(block: Block) -> Iterator[list[str]]:
    """The arguments of each `samespace` that a shell would run in *block*."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = _words(line)
        for place, word in enumerate(words):
            if word == "samespace" and _runs(words[:place]):
                rest = words[place + 1 :]
                end = next((n for n, each in enumerate(rest) if each in _OPERATORS), len(rest))
                yield rest[:end]


def _runs(before: list[str]) -> bool:
    """Whether a word stands where a shell expects a command."""
    while before and _ASSIGNMENT.fullmatch(before[-1]):
        before = before[:-1]
    return not before or before[-1] in _OPERATORS or before[-1] == "-m"


def _words(line: str) -> list[str]:
    for text in (line, line.rpartition('"')[0], line.rpartition("'")[0]):
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            return list(lexer)
        except ValueError:  # a quotation that goes on in the next line
            continue
    raise AssertionError(f"not a line of a shell: {line}")
