"""Which words of a question may make it another one, in their order.

"from PDF" is not "to PDF", "paris to london" is not "london to paris", vitamin A is no vitamin, an A record no record,
and who asks for your messages does not ask for theirs. What tells nothing is known by its place: an article before its
noun, an auxiliary verb where a question has it.

What it leaves to others: stems (`content`), whether two questions are one (`leakage`). What it gives up: small words of
other languages than English count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

SMALL: Final = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have how i if in into is it its
    me my of on or our shall should so some than that the their them then there these they this those to us was we were
    what which will with would you your please exactly actually""".split()  # noqa: SIM905
)
_SAYS_NOTHING: Final = frozenset(
    """the please exactly actually some any this that these those there you your my our""".split()  # noqa: SIM905
)
"""Words without which a question is the same one."""
_ASKS: Final = frozenset(["how", "what", "why", "when", "where", "who", "which", "whom", "whose"])
_ENGLISH: Final = (SMALL | _ASKS) - frozenset(
    "a an any am as by can do has i in me my on so some to us was will".split()  # noqa: SIM905
)
"""Small words that hardly another language writes: where none is, "do", "me" and "an" may be words of that language."""
_FIRST_PERSON: Final = frozenset("i me my mine we us our".split())  # noqa: SIM905
_SECOND_PERSON: Final = frozenset("you your".split())  # noqa: SIM905
PERSONS: Final = _FIRST_PERSON | _SECOND_PERSON
_ARTICLES: Final = frozenset(["a", "an", "the"])
_AUXILIARY: Final = frozenset("is are am be been do does".split())  # noqa: SIM905
_MODAL: Final = frozenset("can could shall should did would".split())  # noqa: SIM905
_ASKS_WHICH: Final = ("what", "which")
_BEFORE_WHICH: Final = ("in", "on", "at")
_VOWELS: Final = tuple("aeiouh8")
_SUBJECTS: Final = frozenset(["i", "you", "we", "one"])
_STANDS_BEHIND: Final = frozenset(
    """i you we they he she it the a an this that these those there my your our his her its their not""".split()  # noqa: SIM905
)
"""What an auxiliary verb is followed by in a question: "a do while loop" has none of them."""
_NEGATED: Final = "(do|does|did|is|are|was|were|has|have|had|could|should|would|must|need)"
_IS: Final = "what|where|who|when|how|why|that|it|there|here|he|she"
_CONTRACTED: Final = (
    (re.compile(r"\b(?:can ?t|cannot)\b"), "can not"),
    (re.compile(r"\bwon ?t\b"), "will not"),
    (re.compile(rf"\b{_NEGATED}n ?t\b"), r"\1 not"),
    (re.compile(r"\bmustn ?t\b"), "must not"),
    (re.compile(rf"\b({_IS}) s\b"), r"\1 is"),
    (re.compile(r"\b(what|where|who|when|how|that|there)s\b"), r"\1 is"),
    (re.compile(r"\b(you|they) ?re\b"), r"\1 are"),
    (re.compile(r"\b(we|what) re\b"), r"\1 are"),
    (re.compile(r"\bi ?m\b"), "i am"),
    (re.compile(r"\b(i|you|they) ?ve\b"), r"\1 have"),
    (re.compile(r"\bwe ve\b"), "we have"),
    (re.compile(r"\b(i|we|he|she) ll\b"), r"\1 will"),
    (re.compile(r"\b(you|they|it|that|who|what|there) ?ll\b"), r"\1 will"),
    (re.compile(r"\b(i|we|he|she|it) d\b"), r"\1 would"),
    (re.compile(r"\b(you|they) ?d\b"), r"\1 would"),
    (re.compile(r"\blet s\b"), "let us"),
)
"""English contractions as a canonical form has them, also typed without an apostrophe, and what they are short for."""
_MAY_BE_SHORT: Final = re.compile(
    rf"\b(?:\w{{1,2}}|cannot|cant|wont|{_NEGATED}nt|mustnt|needn|mustn"
    r"|(?:what|where|who|when|how|that|there)s|(?:you|they)(?:re|ve|ll|d)|ive|(?:it|that|who|what|there)ll)\b"
)
_ABBREVIATION: Final = re.compile(r"(?<![\w'’])(?:[A-Z]{2}|[B-HJ-Z])(?![\w'’])")
_LOWER: Final = re.compile(r"[a-z]")
_INITIALS: Final = re.compile(r"(?<![\w.])(?:[A-Za-z]\.){2,}(?!\w)")
_POSSESSIVE: Final = re.compile(r"(?<![\w'’])([^\W\d_]{3,})['’ʼ]s(?!\w)")
_IS_SHORT: Final = frozenset([*_IS.split("|"), "let"])


def spelled(text: str) -> str:
    """*text* with its initials and possessives as many type them: "U.S." as "US", "Crohn's" as "Crohns"."""
    if "." in text:
        text = _INITIALS.sub(lambda found: found[0].replace(".", ""), text)
    return _POSSESSIVE.sub(lambda found: found[0] if found[1].lower() in _IS_SHORT else f"{found[1]}s", text)


@lru_cache(maxsize=100_000)
def abbreviations(text: str) -> frozenset[str]:
    """The words of one or two capitals, in lower case, of a text that is not written in capitals: "ME", "S".

    A letter that also stands behind an apostrophe is none: "What's an S corporation?".
    """
    if not _LOWER.search(text):
        return frozenset()
    plain = text.lower().replace("’", "'")
    found = map(str.lower, _ABBREVIATION.findall(spelled(text)))
    return frozenset(word for word in found if len(word) > 1 or not re.search(rf"'{word}\b", plain))


def words_that_tell(words: Sequence[str], names: frozenset[str] = frozenset()) -> list[str]:
    """Those of a question's words, in order and without plural, that may make it another question.

    Args:
        names: words that tell whatever else they may be, such as `abbreviations`.
    """
    told = []
    words = _in_full(words, names)
    if not (_FIRST_PERSON.isdisjoint(words) or _SECOND_PERSON.isdisjoint(words)):
        names |= PERSONS  # "can you see my messages" and "can I see your messages"
    english = not _ENGLISH.isdisjoint(words)
    for at, word in enumerate(words):
        if word in names or not _says_nothing(words, at, english):
            told.append("which" if word in _ASKS_WHICH else _singular(word))
    return told


def _says_nothing(words: Sequence[str], at: int, english: bool) -> bool:
    """Whether a question is the same one without its word number *at*."""
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in ("a", "i", "we") and before in _ARTICLES:
        return False  # a letter: an A record, an I beam
    if word == "a":  # behind a noun it is a letter, too: vitamin A
        return bool(after) and (before in SMALL if before else english)
    if word == "an":
        return after[:1] in _VOWELS and (english or before in SMALL)
    if word in ("i", "we"):
        return bool(after) and before in SMALL
    if word == "to":
        return before == "how"
    if word == "me":
        return english
    if word in _ASKS_WHICH:
        return not after or after in _AUXILIARY or after in _MODAL or after in _STANDS_BEHIND
    if word in _BEFORE_WHICH:
        return not at and after in _ASKS_WHICH
    if word in _AUXILIARY or word in _MODAL:
        return _helps(words, at, before, after, english)
    return word in _SAYS_NOTHING


def _helps(words: Sequence[str], at: int, before: str, after: str, english: bool) -> bool:
    """Whether an auxiliary verb says nothing here: where a question has it, which "best can opener" is not.

    "Can dogs" is not "do dogs", and "when should I" not "when can I"; how one can is how one does.
    """
    word = words[at]
    if word == "should":
        return after in _SUBJECTS and before in _ASKS and before not in ("when", "why")
    if word in _MODAL:
        return word != "did" and ((after in _SUBJECTS and before not in ("when", "why")) or before == "how")
    if not before:
        return word != "do" or english or after in _STANDS_BEHIND
    if before in _ASKS or after in _STANDS_BEHIND:
        return True
    return at > 1 and words[at - 2] in _ASKS and before not in _AUXILIARY and before not in _MODAL  # how long do


def _in_full(words: Sequence[str], names: frozenset[str]) -> Sequence[str]:
    text = " ".join(word.upper() if len(word) == 1 and word in names else word for word in words)
    if not _MAY_BE_SHORT.search(text):
        return words
    for pattern, whole in _CONTRACTED:
        text = pattern.sub(whole, text)
    return text.lower().split(" ")


def _singular(word: str) -> str:
    """Source: the S stemmer of Harman 1991, "How effective is suffixing?"."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word[:-1] if word.endswith("s") and not word.endswith(("us", "ss")) else word
