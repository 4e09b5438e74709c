"""What may stand around a text and does not change it: markdown, list numbers, labels in front, tags of a chat.

Two texts that differ in such wrapping alone are one text, so it is left out before texts are held against each other.
Marks that many leave out, such as accents, are left out for a second look: who types without them asks the same.

What it leaves to others: prompts that many texts begin with (`prompted`), whether a difference matters (`leakage`).
What it gives up: labels in languages that are not listed.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ...evaluation.words import SPACELESS, canonical, without_markup

_PAIRED: Final = re.compile(
    r"(?<![\w*_~`])(\*{1,3}|_{1,3}|~~|`{1,3})(?=[^\s*_~`])([^\n]{1,2000}?)(?<=[^\s*_~`])\1(?![\w*_~`])"
)
"""Emphasis and code: the same signs right before and right after words. `2 ** 3` and `**kwargs` have no partner."""
_OF_LINES: Final = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+)+", re.MULTILINE)
_CHAT: Final = re.compile(r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|</?s>|<</?SYS>>")
_INSTRUCTED: Final = re.compile(
    r"\A\s*(?:instruct|instruction|task)\s*:.{1,2000}?\n\s*(?:query|question|input)\s*:", re.IGNORECASE | re.DOTALL
)
_LABEL: Final = re.compile(
    r"\A\s*(?:\(?(\d{1,3})[.):][ \t]+"
    r"|(?:q|qn|faq|a|question|query|search[_ ]query|title|subject|topic|user|human|input|prompt|passage|document"
    r"|search[_ ]document|answer|text|context|antwort|respuesta|frage|pregunta|pergunta"
    r"|domanda|vraag|вопрос|问题|問題|問|问|質問|질문)"
    r"[\s-]{0,2}(?:(?:no\.?|nr\.?|#)?\s?(\d{1,6}))?\s{0,2}[:：.)\]][ \t\n]*)(?=\S)",
    re.IGNORECASE,
)
_COUNTS: Final = re.compile(
    r"\A\s*(?:q|qn|faq|question|frage|pregunta|pergunta|domanda|vraag|вопрос|问题|問題|問|问|質問|질문)(?![^\W\d_])",
    re.IGNORECASE,
)
_LINK: Final = re.compile(
    r"!?\[([^\[\]\n]{1,500})\]"
    r"\((?=[^()\s]{0,500}[/#.:])[^()\s]{1,500}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?(?:[ \t]+\"[^\"\n]{0,300}\")?\)"
)
"""A link or a picture of markdown: what is shown, and where it leads. `ops[0](3)` leads nowhere."""
_TIMES: Final = 3
_COUNTED: Final = 10
_LEFT_OUT: Final = re.compile("[\u0591-\u05c7\u064b-\u0652]")
_TYPED: Final = str.maketrans(dict(zip("łđðøıħŧ", "lddoiht", strict=True)) | {"æ": "ae", "œ": "oe"})
"""Latin letters that no mark makes, as they are typed where a keyboard lacks them."""
_DOTS: Final = "\u0308"
_SPACELESS: Final = re.compile(f"[{SPACELESS}]")
_EDGE: Final = re.compile(r"\n+|(?<=[.?!;:…])[\"'”’)\]*_]*\s+|(?<=[。？！；：])|\s[-–—|•·/]+\s|\s*[|]\s*")


class _Unwrapped(NamedTuple):
    """A text without its wrapping, and the numbers of its labels; "" for none."""

    text: str
    number: str
    counting: str


def unwrapped(text: str) -> str:
    """*text* without its wrapping, as it is written else."""
    return _unwrapped(text).text


def list_number(text: str) -> str:
    """The number that stands in front of *text*, alone or in a label; "" for none."""
    return _unwrapped(text).number


def counting_number(text: str) -> str:
    """The same where it may count texts, as in a list of questions: "title 42" has it of something else."""
    return _unwrapped(text).counting


@lru_cache(maxsize=32_768)
def _unwrapped(text: str) -> _Unwrapped:
    number = counting = ""
    for _ in range(_TIMES):
        if "&" not in text or (plain := html.unescape(text)) == text:
            break
        text = plain
    text = _CHAT.sub("\n", text)
    text = _LINK.sub(r"\1", _OF_LINES.sub("", text))
    for _ in range(_TIMES):
        before = text
        text = _INSTRUCTED.sub("", _PAIRED.sub(r"\2", text))
        if label := _LABEL.match(text):
            text, found = text[label.end() :], label[1] or label[2] or ""
            number = number or found
            if label[1] or _COUNTS.match(label[0]):
                counting = counting or found
        if text == before:
            break
    return _Unwrapped(text, number, counting)


@lru_cache(maxsize=32_768)
def bare(text: str) -> str:
    """The canonical form of what is wrapped; of the whole where nothing else is there."""
    return canonical(unwrapped(text)) or canonical(text)


@lru_cache(maxsize=32_768)
def unaccented(text: str) -> str:
    """*text*, in lower case, without marks that many leave out: of Latin and Greek letters, vowels of Arabic and
    Hebrew, the dots of a Russian ё.

    Other scripts keep theirs: they are vowels that all write, or make other letters.
    """
    if text.isascii():
        return text
    kept: list[str] = []
    left_out = False
    for char in unicodedata.normalize("NFD", text.translate(_TYPED)):
        if unicodedata.combining(char):
            if left_out or _LEFT_OUT.match(char) or (char == _DOTS and kept[-1:] in (["е"], ["Е"])):
                continue
        else:
            left_out = char.isascii() or unicodedata.name(char, "").startswith(("LATIN", "GREEK"))
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def plain(text: str) -> str:
    """The canonical form of what is wrapped, without accents of Latin letters."""
    return unaccented(bare(text))


def accents_alone(left: str, right: str) -> bool:
    """Whether one text is the other, typed without accents: it has none at all. Else they are other words.

    Turkish has two letters i, which are one in another alphabet's capitals.
    """
    if (without := unaccented(left)) != unaccented(right) or without.count(" ") < 2:
        return False
    return without in (left, right) or left.replace("ı", "i") == right.replace("ı", "i")


def same_text(left: str, right: str) -> bool:
    """Whether two texts differ in wrapping, case, punctuation or left-out accents alone."""
    one, other = bare(left), bare(right)
    return (one == other or accents_alone(one, other)) and not numbered_apart(left, right)


def numbered_apart(left: str, right: str) -> bool:
    """Whether two texts stand behind different numbers, which may be asked for: "2. Weltkrieg", "Q3: revenue"."""
    one, other = list_number(left), list_number(right)
    return bool(one and other) and int(one) != int(other)


def in_a_list(texts: Iterable[str]) -> bool:
    """Whether the numbers in front of *texts* count them: so many different ones are not asked for."""
    return len({number for number in map(counting_number, texts) if number}) >= _COUNTED


def parts(text: str) -> list[str]:
    """The sentences, lines and labelled pieces of *text*, each in canonical form; those without a word are left out."""
    found = (canonical(piece) for piece in _EDGE.split(without_markup(unwrapped(text))))
    return [piece for piece in found if piece]


def pieces(text: str) -> list[str]:
    """The words of a canonical form; of scripts without spaces, the characters."""
    if text.isascii():
        return text.split()
    return _SPACELESS.sub(lambda char: f" {char.group()} ", text).split()
