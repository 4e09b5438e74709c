"""What the words of a text come down to: stems of those that mean something, and signs.

Of a question all that may change it counts, and in its order (`question_words`). Of a passage the rough content is
enough: it is asked whether the words that a query asks for are there.

What it leaves to others: what is equal in them (`leakage`, `whole_questions`).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, Final

from .question_words import SMALL, abbreviations, spelled, words_that_tell
from .wrapping import bare, pieces, plain

_WORDS_OF_A_QUESTION: Final = 2
_STEMMERS: Final = ((0x0400, 0x04FF, "russian"), (0x0600, 0x06FF, "arabic"), (0x0370, 0x03FF, "greek"))
_HANGUL: Final = range(0xAC00, 0xD7A4)
_HIRAGANA: Final = range(0x3041, 0x30A0)


def question_key(text: str) -> str:
    """What is equal for one question in other small words, plurals and wrapping; "" below two words with content.

    Accents are left out: `leakage` looks at them.
    """
    told = words_that_tell(pieces(plain(spelled(text))), abbreviations(text))
    return " ".join(told) if sum(word not in SMALL for word in told) >= _WORDS_OF_A_QUESTION else ""


@lru_cache(maxsize=100_000)
def asked_words(text: str) -> tuple[str, ...]:
    """The words of a question that tell, without its wrapping."""
    return tuple(words_that_tell(pieces(bare(spelled(text))), abbreviations(text)))


@lru_cache(maxsize=100_000)
def content(text: str) -> frozenset[str]:
    """The stems of the words of a text, and its signs, without small words and wrapping."""
    return frozenset(_stem(word) for word in pieces(bare(text)) if word not in SMALL and not is_syllable(word))


def is_syllable(word: str) -> bool:
    """Whether *word* is one hiragana, which says nothing by itself: a particle, or a piece of an ending."""
    return len(word) == 1 and ord(word) in _HIRAGANA


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    if not word.isalpha():
        return word
    if word.isascii():
        return str(_stemmer("english").stemWord(word))
    code = ord(word[0])
    if code in _HANGUL:  # particles are written at the end of a word
        return word[:2]
    name = next((name for low, high, name in _STEMMERS if low <= code <= high), None)
    return word if name is None else str(_stemmer(name).stemWord(word))


@cache
def _stemmer(name: str) -> Any:
    from Stemmer import Stemmer

    return Stemmer(name)
