"""What the words of a text come down to: stems of those that mean something, and signs.

Of a question all that may change it counts, and in its order: "from PDF" is not "to PDF", "paris to london" is not
"london to paris", vitamin A is no vitamin, and customs are no customers. Of a passage the rough content is enough: it
is asked whether the words that a query asks for are there.

What it leaves to others: what is equal in them (`leakage`, `whole_questions`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

from .wrapping import bare, pieces, plain

_SMALL: Final = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have how i if in into is it its
    me my of on or our shall should so some than that the their them then there these they this those to us was we were
    what which will with would you your please exactly actually""".split()  # noqa: SIM905
)
_SAYS_NOTHING: Final = frozenset(
    """an the is are am be been do does did can could should would shall please exactly actually some any this that
    these those there what which you your my our me""".split()  # noqa: SIM905
)
"""Words without which a question is the same one."""
_WORDS_OF_A_QUESTION: Final = 2
_CONTRACTED: Final = (
    (re.compile(r"\b(?:can t|cannot)\b"), "can not"),
    (re.compile(r"\bwon t\b"), "will not"),
    (re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|could|should|would)n t\b"), r"\1 not"),
    (re.compile(r"\b(what|where|who|when|how|why|that|it|there|here|he|she) s\b"), r"\1 is"),
    (re.compile(r"\b(you|we|they|what) re\b"), r"\1 are"),
    (re.compile(r"\bi m\b"), "i am"),
    (re.compile(r"\b(i|you|we|they) ve\b"), r"\1 have"),
    (re.compile(r"\b(i|you|we|they|it|he|she|that) ll\b"), r"\1 will"),
)
"""English contractions as a canonical form has them, and what they are short for."""
_SHORT: Final = 2
"""Letters of the short part of a contraction."""
_STEMMERS: Final = ((0x0400, 0x04FF, "russian"), (0x0600, 0x06FF, "arabic"), (0x0370, 0x03FF, "greek"))
_HANGUL: Final = range(0xAC00, 0xD7A4)


def question_key(text: str) -> str:
    """What is equal for one question in other small words, plurals and wrapping; "" below two words with content.

    Accents are left out: `leakage` looks at them.
    """
    told = words_that_tell(pieces(plain(text)))
    return " ".join(told) if sum(word not in _SMALL for word in told) >= _WORDS_OF_A_QUESTION else ""


@lru_cache(maxsize=100_000)
def asked_words(text: str) -> tuple[str, ...]:
    """The words of a question that tell, without its wrapping."""
    return tuple(words_that_tell(pieces(bare(text))))


def words_that_tell(words: Sequence[str]) -> list[str]:
    """Those of a question's words, in order and without plural, that may make it another question."""
    told = []
    words = _in_full(words)
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if word == "a":  # an article; behind a noun it is a letter: "vitamin a"
            small = at + 1 < len(words) and (not before or before in _SMALL)
        elif word == "i":
            small = at + 1 < len(words) and before in _SMALL
        elif word == "to":
            small = before == "how"
        else:
            small = word in _SAYS_NOTHING
        if not small:
            told.append(_singular(word))
    return told


def _in_full(words: Sequence[str]) -> Sequence[str]:
    if not any(len(word) <= _SHORT or word == "cannot" for word in words):
        return words
    text = " ".join(words)
    for pattern, whole in _CONTRACTED:
        text = pattern.sub(whole, text)
    return text.split(" ")


@lru_cache(maxsize=100_000)
def content(text: str) -> frozenset[str]:
    """The stems of the words of a text, and its signs, without small words and wrapping."""
    return frozenset(_stem(word) for word in pieces(bare(text)) if word not in _SMALL)


def _singular(word: str) -> str:
    """Source: the S stemmer of Harman 1991, "How effective is suffixing?"."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("us", "ss")) else word


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
