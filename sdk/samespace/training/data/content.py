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
    """the please exactly actually some any this that these those there you your my our me""".split()  # noqa: SIM905
)
"""Words without which a question is the same one."""
_ASKS: Final = frozenset(["how", "what", "why", "when", "where", "who", "which", "whom", "whose"])
_AUXILIARY: Final = frozenset("is are am be been do does did can could would shall should".split())  # noqa: SIM905
_ASKS_WHICH: Final = ("what", "which")
_VOWELS: Final = tuple("aeiouh8")
_STANDS_BEHIND: Final = frozenset(
    """i you we they he she it the a an this that these those there my your our his her its their not""".split()  # noqa: SIM905
)
"""What an auxiliary verb is followed by in a question: "a do while loop" and "best can opener" have none."""
_WORDS_OF_A_QUESTION: Final = 2
_NEGATED: Final = "(do|does|did|is|are|was|were|has|have|had|could|should|would)"
_CONTRACTED: Final = (
    (re.compile(r"\b(?:can ?t|cannot)\b"), "can not"),
    (re.compile(r"\bwon ?t\b"), "will not"),
    (re.compile(rf"\b{_NEGATED}n ?t\b"), r"\1 not"),
    (re.compile(r"\b(what|where|who|when|how|why|that|it|there|here|he|she) s\b"), r"\1 is"),
    (re.compile(r"\b(what|where|who|when|how|that)s\b"), r"\1 is"),
    (re.compile(r"\b(you|they) ?re\b"), r"\1 are"),
    (re.compile(r"\b(we|what) re\b"), r"\1 are"),
    (re.compile(r"\bi ?m\b"), "i am"),
    (re.compile(r"\b(i|you|they) ?ve\b"), r"\1 have"),
    (re.compile(r"\bwe ve\b"), "we have"),
    (re.compile(r"\b(i|you|we|they|it|he|she|that) ll\b"), r"\1 will"),
    (re.compile(r"\b(i|you|we|they|it|he|she) d\b"), r"\1 would"),
    (re.compile(r"\blet s\b"), "let us"),
)
"""English contractions as a canonical form has them, also typed without an apostrophe, and what they are short for."""
_MAY_BE_SHORT: Final = re.compile(
    rf"\b(?:\w{{1,2}}|cannot|cant|wont|{_NEGATED}nt"
    r"|(?:what|where|who|when|how|that)s|youre|theyre|ive|youve|theyve)\b"
)
_ABBREVIATION: Final = re.compile(r"(?<![\w\'’])[A-Z]{2}(?![\w\'’])")
_LOWER: Final = re.compile(r"[a-z]")
_STEMMERS: Final = ((0x0400, 0x04FF, "russian"), (0x0600, 0x06FF, "arabic"), (0x0370, 0x03FF, "greek"))
_HANGUL: Final = range(0xAC00, 0xD7A4)


def question_key(text: str) -> str:
    """What is equal for one question in other small words, plurals and wrapping; "" below two words with content.

    Accents are left out: `leakage` looks at them.
    """
    told = words_that_tell(pieces(plain(text)), abbreviations(text))
    return " ".join(told) if sum(word not in _SMALL for word in told) >= _WORDS_OF_A_QUESTION else ""


@lru_cache(maxsize=100_000)
def asked_words(text: str) -> tuple[str, ...]:
    """The words of a question that tell, without its wrapping."""
    return tuple(words_that_tell(pieces(bare(text)), abbreviations(text)))


def abbreviations(text: str) -> frozenset[str]:
    """The words of two capitals, in lower case, of a text that is not written in capitals: "ME"."""
    return frozenset(map(str.lower, _ABBREVIATION.findall(text))) if _LOWER.search(text) else frozenset()


def words_that_tell(words: Sequence[str], names: frozenset[str] = frozenset()) -> list[str]:
    """Those of a question's words, in order and without plural, that may make it another question.

    Args:
        names: words that tell whatever else they may be, such as `abbreviations`.
    """
    told = []
    words = _in_full(words)
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word == "a":  # an article; behind a noun it is a letter: "vitamin a"
            small = bool(after) and (not before or before in _SMALL)
        elif word == "an":
            small = after[:1] in _VOWELS
        elif word == "i":
            small = bool(after) and before in _SMALL
        elif word == "to":
            small = before == "how"
        elif word in _ASKS_WHICH:
            small = not after or after in _AUXILIARY or after in _STANDS_BEHIND
        elif word in _AUXILIARY:
            small = _helps(words, at, before, after)
        else:
            small = word in _SAYS_NOTHING
        if word in names or not small:
            told.append("which" if word in _ASKS_WHICH else _singular(word))
    return told


def _helps(words: Sequence[str], at: int, before: str, after: str) -> bool:
    """Whether an auxiliary verb says nothing here: where a question has it, which "best can opener" is not."""
    if not before or before in _ASKS or after in _STANDS_BEHIND:
        return words[at] != "should" or before in _ASKS  # "should I" asks for advice
    return at > 1 and words[at - 2] in _ASKS and before not in _AUXILIARY  # how long do, which year did


def _in_full(words: Sequence[str]) -> Sequence[str]:
    text = " ".join(words)
    if not _MAY_BE_SHORT.search(text):
        return words
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
