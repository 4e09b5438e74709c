"""Whether a question stands whole in another text: behind a label or an instruction, before a body, among others.

That its words are there is not enough: "what is diabetes" is in "what is diabetes insipidus". So what is around it has
to be apart from it: by the end of a line or sentence or by a colon, by being what many texts begin or end with, or by
being long, as a body is.

What it leaves to others: finding the texts that hold its letters (`containment`), what follows (`leakage`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from .containment import inside
from .question_words import PERSONS, abbreviations, spelled, words_that_tell
from .wrapping import bare, numbered_apart, parts, pieces, plain, unaccented

_HELD: Final = 0.8
"""Share of a question's 5-grams that a text has to hold to be looked at."""
_CHARS: Final = 5
_WORDS: Final = 4
"""Words of a question that may stand in another text; shorter ones are also parts of other questions."""
_STEMS: Final = 2
_LONG: Final = 30
"""Content words around a question from which they are a body or another question, and no part of it."""
_AFFIX: Final = 3
"""Content words of a common beginning or end: fewer may be asked for."""
_MOST_AFFIX: Final = 40
_MANY: Final = 10
"""Texts that have to begin or end so."""

Laid = tuple[tuple[str, ...], frozenset[int]]


@lru_cache(maxsize=65_536)
def laid_out(text: str, accents: bool = True, names: frozenset[str] = frozenset()) -> Laid:
    """The words of *text* that tell, in order, and at which of them a sentence, a line or what follows a colon begins.

    Args:
        names: words that tell whatever else they may be, beside the abbreviations of *text*.
    """
    stems: list[str] = []
    starts = set()
    names |= abbreviations(text)
    for part in parts(spelled(text)):
        starts.add(len(stems))
        stems += words_that_tell(pieces(part if accents else unaccented(part)), names)
    return tuple(stems), frozenset(starts)


class TextsThatAsk:
    """Texts that may hold other questions; what many of them begin and end with is counted once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._beginnings: Counter[tuple[str, ...]] | None = None
        self._ends: Counter[tuple[str, ...]] = Counter()

    def holding(self, questions: Sequence[str]) -> list[list[int]]:
        """For each of *questions* the positions of the texts in which it stands whole."""
        asked = [row for row, text in enumerate(questions) if is_long_enough(text)]
        near = inside([plain(questions[row]) for row in asked], list(map(plain, self._texts)), _HELD, chars=_CHARS)
        found: list[list[int]] = [[] for _ in questions]
        for row, others in zip(asked, near, strict=True):
            found[row] = [each.among for each in others if self.holds(each.among, questions[row])]
        return found

    def holds(self, position: int, question: str) -> bool:
        """Whether *question* stands whole in one of the texts."""
        text = self._texts[position]
        if numbered_apart(text, question):
            return False
        accents = all(bare(each) != plain(each) for each in (text, question))
        names = abbreviations(question)
        stems, starts = laid_out(text, accents, names)
        names |= abbreviations(text)
        word_for_word = f" {plain(question)} " in f" {plain(text)} "
        return any(
            self._apart(stems, starts, at, at + len(wanted), word_for_word)
            for wanted in {laid_out(question, accents, names)[0], laid_out(question, accents, names | PERSONS)[0]}
            for at in _places(wanted, stems)
        )

    def _apart(self, stems: tuple[str, ...], starts: frozenset[int], low: int, high: int, word_for_word: bool) -> bool:
        """Whether what stands before *low* and from *high* on is no part of what stands between."""
        before, after = stems[:low], stems[high:]
        if _numbered(before) or _numbered(after):
            return False
        clean_before, clean_after = not before or low in starts, not after or high in starts
        if clean_before and clean_after:
            return True
        if not word_for_word:  # "what is gout" is not in "what are the genes of gout"
            return False
        clean_before = clean_before or self._common(before, after=False)
        clean_after = clean_after or self._common(after, after=True)
        if clean_before and clean_after:
            return True
        follows = clean_before and len(after) >= _LONG and after[0][0].isalnum()
        return follows or (clean_after and len(before) >= _LONG and before[-1][-1].isalnum())

    def _common(self, around: tuple[str, ...], *, after: bool) -> bool:
        """Whether many of the texts begin, or end, with *around*."""
        if not _AFFIX <= len(around) <= _MOST_AFFIX:
            return False
        if self._beginnings is None:
            self._beginnings = Counter()
            for text in dict.fromkeys(self._texts):
                stems, _ = laid_out(text, True)
                most = min(_MOST_AFFIX, len(stems) - 1)
                self._beginnings.update(stems[:count] for count in range(_AFFIX, most + 1))
                self._ends.update(stems[-count:] for count in range(_AFFIX, most + 1))
        return (self._ends if after else self._beginnings)[around] >= _MANY


def _numbered(around: tuple[str, ...]) -> bool:
    """Whether *around* is a number and hardly more: "part 1" is another paper than "part 2"."""
    return 0 < len(around) < _AFFIX and any(word.isdecimal() for word in around)


def is_long_enough(question: str) -> bool:
    """Whether *question* has so many words that it is no part of another by chance; two characters are a word."""
    words = pieces(bare(question))
    length = sum(0.5 if len(word) == 1 and not word.isascii() else 1.0 for word in words)
    return length >= _WORDS and len(laid_out(question)[0]) >= _STEMS


def words_in_order(question: str, text: str) -> bool:
    """Whether the content words of *question* stand in *text* one after the other, whatever is around them."""
    wanted = laid_out(question, False)[0]
    return bool(wanted) and any(True for _ in _places(wanted, laid_out(text, False)[0]))


def _places(wanted: tuple[str, ...], stems: tuple[str, ...]) -> Iterator[int]:
    first = wanted[0]
    for at in range(len(stems) - len(wanted) + 1):
        if stems[at] == first and stems[at : at + len(wanted)] == wanted:
            yield at
