"""What the words of a text are, in any script: for BM25, for duplicates, for lengths. Pure.

Words are letters and digits with the marks that stand on or beside them, after NFKC. Signs that mean something (`+`,
`#`, `=`, an emoji) are kept where texts are compared: C++ is not C#. Scripts without spaces between words have no
words here: BM25 gets their characters and pairs of characters instead.

What it gives up: words of Chinese, Japanese, Thai, Lao, Khmer and Burmese; that takes a dictionary.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Character class of the scripts that put no space between words: Thai, Lao, Burmese, Khmer, kana, Han."""
_ASCII_WORD: Final = re.compile(r"\w+")
_ASCII_SIGN: Final = re.compile(r"[+<=>|~$^#%&@*/\\]|::|\?\.|\(\)|\[\]|\{\}")
_LAST_MARK: Final = 0x1F000
_MEANING: Final = frozenset("#%&@*/\\‰′″§")
"""Punctuation by Unicode's table, and yet what two texts may differ in."""
_ORNAMENT: Final = frozenset("`´¨¸¯")
_TRADE_MARKS: Final = {ord(char): None for char in "©®™℠"}
_ONE_LETTER: Final = str.maketrans("şţŞŢیکʼʻ", "șțȘȚيك''") | {0x640: None}
"""Letters in two encodings: Romanian's cedilla for its comma, Persian's yeh and kaf, apostrophes that are letters; and
the stretch within an Arabic word."""
_RAISED: Final = re.compile(r"(?<=\d)(?=[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2079\u2080-\u2089\u2150-\u215e])")
"""Where a power, an index or a fraction stands behind a digit, whose digits NFKC would make one number with it."""
_VARIATION: Final = re.compile("[\ufe00-\ufe0f]")
_ATTRIBUTES: Final = r"(?:\s[^<>=]{0,300}=[^<>]{0,1000})?\s{0,9}/?>"
_TAG: Final = re.compile(
    r"</?(?:a|article|aside|blockquote|body|br|caption|center|dd|div|dl|dt|figcaption|figure|footer|h[1-6]|head|header"
    r"|hr|html|iframe|img|li|main|nav|noscript|ol|p|pre|script|section|style|svg|table|tbody|td|tfoot|th|thead|title|tr"
    rf"|ul){_ATTRIBUTES}|<!--.{{0,20000}}?-->|<!doctype [^<>]{{0,300}}>",
    re.IGNORECASE | re.DOTALL,
)
"""HTML's own tags: `vector<int>` is none."""
_TAG_IN_WORD: Final = re.compile(
    r"</?(?:abbr|acronym|b|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|samp|small|span|strike|strong|sub|sup|tt|u|wbr)"
    rf"{_ATTRIBUTES}",
    re.IGNORECASE,
)
"""Tags that may stand within a word, and show no space: H<sub>2</sub>O."""
_UNSEEN: Final = re.compile(r"<(script|style)\b[^<>]{0,300}>.{0,20000}?</\1>", re.IGNORECASE | re.DOTALL)
_PAIRS: Final = (
    "аaАAЬbВBсcСCԁdеeҽeЕEԌGһhНHіiӏiјjЈJКKІlӀlМMоoОOрpРPԛqгrѕsЅSТTѵvѴVԝwԜWѡwхxХXуyУYүyҮY"
    "αaΑAΒBϲcϹCΕEΗHιiϳjΚKΙlΜMνvΝNοoσoΟOρpΡPΤTυuΧXγyΥYΖZ"
    "ցgհhոnօoՕOգqզqՏSսuՍUɑaɡgᴄcᴏoᴠvᴡwᴢz"
)  # fmt: skip
"""Cyrillic, Greek, Armenian and phonetic letters with the Latin ones that they look like: confusables.txt of Unicode
Technical Standard 39, those that become one ASCII letter."""
_LOOK_ALIKE: Final = str.maketrans(dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True)))
_MIXED: Final = re.compile(f"[A-Za-z][{_PAIRS[::2]}]|[{_PAIRS[::2]}][A-Za-z]")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}\d{0,2});", re.IGNORECASE)


@cache
def mark_class() -> str:
    """All combining marks as the inside of a character class: `\\w` of Python has none of them."""
    marks = [code for code in range(0x300, _LAST_MARK) if unicodedata.category(chr(code))[0] == "M"]
    ranges: list[list[int]] = []
    for code in marks:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)


@cache
def word_pattern() -> re.Pattern[str]:
    """One word: letters, digits, underscores, and their marks."""
    return re.compile(rf"[\w{mark_class()}]+")


@cache
def _token_pattern() -> re.Pattern[str]:
    return re.compile(rf"[\w{mark_class()}]+|[^\w\s{mark_class()}]+")


def words(text: str) -> list[str]:
    """The words of *text* as they are written; of a script without spaces, what stands between spaces."""
    return word_pattern().findall(text)


def normalised(text: str) -> str:
    """NFKC, without case, digits as 0 to 9, and without what is not seen: joiners, direction marks, soft hyphens,
    variants of a sign."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", _RAISED.sub(" ", text.translate(_TRADE_MARKS)))
    seen = "".join(map(_seen, plain.translate(_ONE_LETTER)))
    return unicodedata.normalize("NFKC", _VARIATION.sub("", _in_latin(seen).casefold().replace("i\u0307", "i")))


def _seen(char: str) -> str:
    """*char* where it is seen; a digit of any script as one of 0 to 9."""
    if char.isascii():
        return char
    category = unicodedata.category(char)
    return str(unicodedata.digit(char)) if category == "Nd" else "" if category == "Cf" else char


def _in_latin(text: str) -> str:
    """*text* with the letters of other alphabets that look like Latin ones as these, in words that mix the two.

    In such a text, words of Cyrillic look-alikes alone are Latin too; Russian and Greek words stay as they are.
    """
    if not _MIXED.search(text):
        return text

    def change(word: re.Match[str]) -> str:
        latin = word.group().translate(_LOOK_ALIKE)
        whole = latin.isascii() and (_MIXED.search(word.group()) or word.group()[0] >= "\u0400")  # Greek comes before
        return latin if whole else word.group()

    return word_pattern().sub(change, text)


def without_markup(text: str) -> str:
    """*text* without HTML's tags, and with the characters that its entities stand for: a web page as it is read."""
    if "<" in text:
        text = _TAG.sub(" ", _TAG_IN_WORD.sub("", _UNSEEN.sub(" ", text)))
    return html.unescape(text) if "&" in text and _ENTITY.search(text) else text


@lru_cache(maxsize=32_768)
def canonical(text: str) -> str:
    """What duplicates are judged by: words and meaningful signs, without case, one space between; else what is there.

    Texts that differ in case, spaces, punctuation, Unicode form or HTML's markup alone have one canonical form.
    """
    plain = normalised(without_markup(text))
    if plain.isascii() and not _ASCII_SIGN.search(plain):
        return " ".join(_ASCII_WORD.findall(plain)) or "".join(plain.split())
    kept = [token for token in _token_pattern().findall(plain) if token[0].isalnum() or _is_kept(token)]
    cleaned = [token if token[0].isalnum() else _trimmed(token) for token in kept]
    return " ".join(cleaned) or "".join(plain.split())


def has_words(text: str) -> bool:
    """Whether *text* has a letter, a digit or a sign that means something."""
    return any(token[0].isalnum() or _is_kept(token) for token in _token_pattern().findall(normalised(text)))


@lru_cache(maxsize=65_536)
def _is_kept(run: str) -> bool:
    """Whether a run that begins with no letter says something: a mark, an underscore, a sign, or an operator."""
    if word_pattern().match(run):
        return True
    if any(char in _MEANING or (unicodedata.category(char)[0] == "S" and char not in _ORNAMENT) for char in run):
        return True
    return run in ("::", "?.", "()", "[]", "{}")


@lru_cache(maxsize=65_536)
def _trimmed(run: str) -> str:
    """*run* without the punctuation of the sentence around it."""
    if run in ("::", "?.", "()", "[]", "{}"):
        return run
    return run.rstrip(".,;:!?)]}\"'»”’…。、，！？；：`").lstrip("([{\"'«“‘¿¡`") or run


def spaced(text: str) -> str:
    """*text* for a tokenizer that looks for words: scripts without spaces as characters and pairs of characters.

    A lone character gets an underscore, because single letters are no words to BM25's tokenizer.
    """
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return _spaceless_pattern().sub(lambda found: f" {' '.join(_pieces(found.group()))} ", plain)


@cache
def _spaceless_pattern() -> re.Pattern[str]:
    return re.compile(f"[{SPACELESS}]+")


@cache
def _cluster_pattern() -> re.Pattern[str]:
    return re.compile(rf"[^{mark_class()}][{mark_class()}]*|[{mark_class()}]+")


def _pieces(run: str) -> list[str]:
    """Characters, each with its marks, and neighbours; punctuation is in no class of scripts."""
    clusters = _cluster_pattern().findall(run)
    return [f"{each}_" for each in clusters] + [a + b for a, b in pairwise(clusters)]
