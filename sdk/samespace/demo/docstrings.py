"""Questions and answers out of docstrings: a summary line, and the text below it. Pure: source text in, pairs out.

Only documentation that reads like an answer passes: English prose, not a list of parameters, not a stub, not
a text that repeats its own summary.

What it leaves to others: which files to read, duplicates, splits (`pydoc_set`).
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..training.data.near_duplicates import canonical

QUERY_WORDS: Final = (4, 25)
PASSAGE_WORDS: Final = (20, 160)
"""At least and at most; a longer rest is shortened to whole paragraphs."""

_NOT_PROSE: Final = re.compile(r"^\s*(>>>|\.\. |[:@]\w+|[-*+=~^#|]|\d+[.)]|`{3}|\$)")
_SECTION: Final = re.compile(
    r"^\s*(args|arguments|parameters|params|returns?|yields?|raises?|examples?|notes?|see also|references|attributes|"
    r"methods|warnings?|warns|usage|keyword arguments|other parameters|inputs?|outputs?|shape|todo)\s*:{0,2}\s*$",
    re.IGNORECASE,
)
_STUB: Final = re.compile(
    r"\b(deprecated|internal use|private|not implemented|see (the )?(docs|documentation|base class)|alias (for|of)|"
    r"backwards? compatib|auto-?generated|do not (use|edit)|copyright|license[ds]?|todo|test case|unit ?tests?)\b",
    re.IGNORECASE,
)
_COMMON: Final = frozenset(
    (
        "the",
        "a",
        "an",
        "of",
        "to",
        "in",
        "is",
        "are",
        "for",
        "and",
        "or",
        "that",
        "this",
        "with",
        "be",
        "by",
        "it",
        "as",
    )
)

Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Documented:
    """One docstring that passed: *name* is its place in the module, dotted; "" for the module itself."""

    name: str
    query: str
    passage: str


def documented(source: str) -> Iterator[Documented]:
    """The pairs of one module, in the order of the file; none if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes of other people's code
            module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for name, node in _public(module, ""):
        text = ast.get_docstring(node)
        if text and (pair := question_and_answer(text)):
            yield Documented(name, *pair)


def question_and_answer(docstring: str) -> tuple[str, str] | None:
    """(summary, the rest) of a cleaned docstring, or None if it does not make a fair pair."""
    paragraphs = [part for part in re.split(r"\n\s*\n", inspect.cleandoc(docstring)) if part.strip()]
    if len(paragraphs) < 2:
        return None
    query = " ".join(paragraphs[0].split())
    words = query.split()
    if not QUERY_WORDS[0] <= len(words) <= QUERY_WORDS[1] or not _is_prose(paragraphs[0]) or _STUB.search(query):
        return None
    if not query.isascii() or "http" in query:
        return None
    if not _is_prose(paragraphs[1]) or len(paragraphs[1].split()) < PASSAGE_WORDS[0] // 2:
        return None
    passage = _shortened(paragraphs[1:])
    if len(passage.split()) < PASSAGE_WORDS[0] or _STUB.search(passage) or not _is_english(passage):
        return None
    if canonical(query) in canonical(passage):
        return None
    return query, passage


def _public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Node]]:
    """Module, classes and functions with a public name, each with its dotted place."""
    if isinstance(node, ast.Module):
        yield "", node
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{prefix}{child.name}.")


def _is_prose(paragraph: str) -> bool:
    first = paragraph.strip().splitlines()[0]
    lines = paragraph.strip().splitlines()
    return not (
        _NOT_PROSE.match(first)
        or _SECTION.match(first)
        or (len(lines) > 1 and set(lines[1].strip()) <= set("-=~^"))  # a heading, underlined
    )


def _shortened(paragraphs: list[str]) -> str:
    """Whole paragraphs of prose from the start, as many as fit; ends at the first section of another kind."""
    kept: list[str] = []
    count = 0
    for paragraph in paragraphs:
        words = " ".join(paragraph.split())
        count += len(words.split())
        if count > PASSAGE_WORDS[1] or not _is_prose(paragraph):
            break
        kept.append(words)
    return "\n".join(kept)


def _is_english(text: str) -> bool:
    words = text.lower().split()
    ascii_share = sum(character.isascii() for character in text) / len(text)
    return ascii_share > 0.97 and sum(word in _COMMON for word in words) / len(words) > 0.15
