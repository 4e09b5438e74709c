"""Sentences of a text, in any script: where one ends is guessed by its punctuation. Pure.

What it gives up: abbreviations that end like a sentence ("e.g. this"); a made-up query may then be half of one.
"""

from __future__ import annotations

import re
from typing import Final

from ...evaluation.words import words

_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？।])\s*|\n\s*\n")
_QUESTION_WORDS: Final = frozenset((
    "how", "what", "why", "when", "where", "which", "who", "whom", "whose", "can", "could", "do", "does", "did",
    "is", "are", "was", "were", "will", "would", "should", "may", "must", "has", "have", "am", "wie", "warum",
    "wann", "wo", "wer", "welche", "welcher", "kann", "comment", "quoi", "pourquoi", "quand", "où", "qui",
    "quel", "quelle", "cómo", "qué", "cuándo", "dónde", "quién", "cuál", "como", "come", "perché", "quando",
    "dove", "chi", "quale", "hoe", "wat", "waarom", "wanneer", "waar",
))  # fmt: skip
_ASKED: Final = ("?", "？", "؟")


def sentences(text: str) -> list[str]:
    """The sentences of *text* in order, each on one line; none is empty."""
    return [line for part in _END.split(text) if part and (line := " ".join(part.split()))]


def word_count(text: str) -> int:
    """Words; of scripts without spaces, a quarter of the characters."""
    return max(len(words(text)), sum(ord(char) >= 0x2E80 for char in text) // 4)


def is_question(line: str) -> bool:
    """Whether *line* asks: by its mark, or by a first word that asks and no full stop."""
    asked = line.rstrip("\"'”’) ")
    first = words(line)[:1]
    return asked.endswith(_ASKED) or (
        bool(first) and first[0].lower() in _QUESTION_WORDS and not asked.endswith((".", ":")) and word_count(line) > 2
    )
