"""What the words of a question come down to: stems of those that mean something, and signs.

What it leaves to others: what is equal in them (`leakage`, `whole_questions`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .wrapping import bare, plain

_SMALL: Final = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have how i if in into is it its
    me my of on or our shall should so some than that the their them then there these they this those to us was we were
    what which will with would you your please exactly actually""".split()  # noqa: SIM905
)


_WORDS_OF_A_QUESTION: Final = 2


def question_key(text: str) -> str:
    """What is equal for one question in other small words, endings and wrapping; "" below two content words.

    Accents are left out: `leakage` looks at them.
    """
    stems = stems_of(plain(text).split())
    return " ".join(stems) if len(stems) >= _WORDS_OF_A_QUESTION else ""


def stems_of(words: Iterable[str]) -> list[str]:
    """The stems of those that are not small words, in order."""
    return [_stem(word) for word in words if word not in _SMALL]


@lru_cache(maxsize=100_000)
def content(text: str) -> frozenset[str]:
    """The stems of the words of a text, and its signs, without small words and wrapping."""
    return frozenset(stems_of(bare(text).split()))


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    from Stemmer import Stemmer

    return str(Stemmer("english").stemWord(word)) if word.isascii() and word.isalpha() else word
