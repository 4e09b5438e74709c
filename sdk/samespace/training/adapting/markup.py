"""Markdown, HTML and plain text as sections: a heading, the text below it, and the links in it.

Markdown becomes HTML by markdown-it, so that there is one reader of markup; that is the standard library's parser.

What it leaves to others: files (`documents`).
What it gives up: tables as tables (their cells are text), and pages that only a script fills.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from ...extras import require_extra

_HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")
_SILENT: Final = frozenset(
    ("script", "style", "noscript", "template", "svg", "nav", "footer", "aside", "form", "button")
)
_BLOCKS: Final = frozenset((
    "p", "div", "li", "ul", "ol", "table", "tr", "td", "th", "pre", "blockquote", "section", "article", "main",
    "header", "dl", "dt", "dd", "br", "hr", "figure", "figcaption",
))  # fmt: skip
_FRONT_MATTER: Final = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
_TITLE_LINE: Final = re.compile(r"^title\s*:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Link:
    """A link in a text: what is written, and where it goes, as the page has it."""

    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a document.

    Attributes:
        heading: what stands above it; "" for nothing.
        text: its own text, paragraphs divided by a blank line; headings are not in it.
        links: those in the text.
    """

    heading: str
    text: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of markup: its title, "" for none, and its sections in order."""

    title: str
    sections: tuple[Section, ...]


def read_markdown(text: str) -> Page:
    """A page of Markdown; a title in its front matter goes before its first heading.

    Raises:
        ExtraMissing: markdown-it is not installed.
    """
    require_extra("train", feature="reading Markdown", modules=("markdown_it",))
    from markdown_it import MarkdownIt

    front = _FRONT_MATTER.match(text)
    titled = _TITLE_LINE.search(front.group(1)) if front else None
    page = read_html(
        MarkdownIt("commonmark", {"html": True}).enable("table").render(text[front.end() if front else 0 :])
    )
    return Page(titled.group(1).strip().strip("\"'"), page.sections) if titled else page


def read_html(text: str) -> Page:
    """A page of HTML: what is in its navigation, forms and scripts is not read."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end_section("")
    title = _line(reader.title) or next((section.heading for section in reader.sections if section.heading), "")
    return Page(title, tuple(section for section in reader.sections if section.text))


def read_plain(text: str) -> Page:
    """A plain text: a first line that is short, ends no sentence and stands alone is its title."""
    first, _, rest = text.strip().partition("\n")
    alone = rest.startswith("\n") and 0 < len(first) <= 100 and not first.rstrip().endswith((".", ",", ";", "。"))
    body = _paragraphs(rest if alone else text)
    return Page(first.strip() if alone else "", (Section(first.strip() if alone else "", body),) if body else ())


@dataclass
class _Reader(HTMLParser):
    """Gathers sections while the parser goes by."""

    sections: list[Section] = field(default_factory=list)
    title: str = ""
    heading: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._text: list[str] = []
        self._links: list[Link] = []
        self._silent = 0
        self._into: list[str] | None = None  # the text of a heading or a title
        self._link: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._into = []
        elif tag in _SILENT:
            self._silent += 1
        elif self._silent:
            return
        elif tag in _HEADINGS:
            self._into = []
        elif tag == "a":
            self._link = (dict(attrs).get("href") or "", [])
        elif tag in _BLOCKS:
            self._text.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._into is not None:
            self.title, self._into = "".join(self._into), None
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._silent:
            return
        elif tag in _HEADINGS and self._into is not None:
            heading, self._into = _line("".join(self._into)), None
            self.end_section(heading)
        elif tag == "a" and self._link is not None:
            target, words = self._link
            self._link = None
            if target and _line("".join(words)):
                self._links.append(Link(_line("".join(words)), target))
        elif tag in _BLOCKS:
            self._text.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)
        elif not self._silent:
            self._text.append(data)
            if self._link is not None:
                self._link[1].append(data)

    def end_section(self, following: str) -> None:
        """What came since the last heading is a section; *following* is the heading of the next."""
        text = _paragraphs("".join(self._text))
        if text or self.heading:
            self.sections.append(Section(self.heading, text, tuple(self._links)))
        self.heading, self._text, self._links = following, [], []


def _line(text: str) -> str:
    return " ".join(text.replace("¶", " ").split())


def _paragraphs(text: str) -> str:
    return "\n\n".join(line for part in re.split(r"\n\s*\n", text) if (line := " ".join(part.split())))
