"""Signals: pairs of a made-up query and a passage that answers it, out of documents alone. Pure.

generated    a question that a language model wrote, to the section that it read (`training.asking`)
questions    a heading that asks, or "Q: ... A: ...", to what stands below it
headings     a title or heading to its section, without the heading
links        the text of a link to the page that it goes to
openings     the first sentence of a passage to the rest of it
cloze        a sentence out of the middle to the passage without it (Lee et al. 2019, arXiv:1906.00300)
neighbours   a section to the next, or one half of a text to the other
crops        two independent cuts of one text (Izacard et al. 2021, arXiv:2112.09118)

None of them is a person's question. The first ones come nearest, and those that nobody would ask judge nothing.

What it leaves to others: which of them help (`trial`), which documents are held out (`heldout`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ...evaluation.words import canonical
from .documents import SourceDocument, link_target
from .sentences import is_question, sentences, word_count

_LEAST_PASSAGE_WORDS: Final = 8
_LEAST_SENTENCE_WORDS: Final = 5
_MOST_QUERY_WORDS: Final = 40
_OFTEN: Final = 3
"""A heading of so many sections, such as "Introduction", says nothing about one."""
_CROP: Final = (0.1, 0.5)
_FAQ: Final = re.compile(r"(?:^|\n)\s*(?:Q|Question|Frage)\s*[:.]\s*(.+?)\n+\s*(?:A|Answer|Antwort)\s*[:.]\s*"
                         r"(.+?)(?=\n\s*(?:Q|Question|Frage)\s*[:.]|\Z)", re.DOTALL | re.IGNORECASE)  # fmt: skip
_BARE_LINKS: Final = frozenset({"here", "this", "link", "more", "read more", "see", "docs", "source", "edit", "next",
                                "previous", "home", "top"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class MadePair:
    """A made-up query and the passage that it wants.

    Attributes:
        document, section: positions in the library, of the passage.
        passage: the text that answers, without what became the query.
    """

    query: str
    passage: str
    document: int
    section: int


@dataclass(frozen=True, slots=True)
class Signal:
    """One way to make pairs.

    Attributes:
        name: for people.
        says: what it pairs, for people.
        make: documents to pairs, in a fixed order.
        asks: whether a person could ask like that, so that held-out pairs of it may judge.
    """

    name: str
    says: str
    make: Callable[[Sequence[SourceDocument]], Iterator[MadePair]]
    asks: bool


def questions(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """Headings that ask, first sentences that ask, and lines of "Q:" and "A:"."""
    for place, number, heading, text in _sections(documents):
        faq = list(_FAQ.finditer(text))
        for match in faq:
            yield MadePair(" ".join(match.group(1).split()), match.group(2).strip(), place, number)
        if faq:
            continue
        parts = sentences(text)
        if heading and is_question(heading):
            yield MadePair(heading, text, place, number)
        elif len(parts) > 1 and is_question(parts[0]):
            yield MadePair(parts[0], " ".join(parts[1:]), place, number)


def headings(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """Titles and headings that say something; a short heading goes with its title."""
    counts = Counter(canonical(heading) for *_, heading, _ in _sections(documents) if heading)
    for place, number, heading, text in _sections(documents):
        title = documents[place].title
        if not heading or is_question(heading):
            continue
        short = word_count(heading) < 3 or counts[canonical(heading)] >= _OFTEN
        if short and title and canonical(title) != canonical(heading):
            yield MadePair(f"{title}: {heading}", text, place, number)
        elif counts[canonical(heading)] < _OFTEN and word_count(heading) > 1:
            yield MadePair(heading, text, place, number)


def links(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """Texts of links to the beginning of another page of the same folder."""
    place_of = {document.name: place for place, document in enumerate(documents)}
    place_of |= {name.rpartition(".")[0]: place for name, place in place_of.items() if "." in name}
    for document in documents:
        for link in (link for section in document.sections for link in section.links):
            place = place_of.get(link_target(document.name, link.target))
            if place is None or documents[place] is document or canonical(link.text) in _BARE_LINKS:
                continue
            if documents[place].sections and word_count(link.text) > 1:
                yield MadePair(link.text, documents[place].sections[0].text, place, 0)


def openings(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """First sentences; those that ask are `questions`."""
    for place, number, _, text in _sections(documents):
        parts = sentences(text)
        if len(parts) > 1 and word_count(parts[0]) >= _LEAST_SENTENCE_WORDS and not is_question(parts[0]):
            yield MadePair(parts[0], " ".join(parts[1:]), place, number)


def cloze(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """One sentence of each passage, not its first, drawn by the text's digest."""
    for place, number, _, text in _sections(documents):
        parts = sentences(text)
        able = [row for row, part in enumerate(parts) if row and word_count(part) >= _LEAST_SENTENCE_WORDS]
        if len(parts) > 2 and able:
            row = able[int(_draw(text, "cloze") * len(able))]
            yield MadePair(parts[row], " ".join(parts[:row] + parts[row + 1 :]), place, number)


def neighbours(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """A section and the next one; of a document of one section, its halves."""
    for place, document in enumerate(documents):
        texts = [section.text for section in document.sections]
        if len(texts) > 1:
            for number, (left, right) in enumerate(pairwise(texts), start=1):
                yield MadePair(left, right, place, number)
        elif texts and len(parts := sentences(texts[0])) > 3:
            half = len(parts) // 2
            yield MadePair(" ".join(parts[:half]), " ".join(parts[half:]), place, 0)


def crops(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """Two cuts of a tenth to a half of the words each, which may overlap."""
    for place, number, _, text in _sections(documents):
        pieces = text.split() if " " in text else list(text)
        if len(pieces) >= 4 * _LEAST_PASSAGE_WORDS:
            one, other = (_crop(pieces, text, which, " " if " " in text else "") for which in ("one", "other"))
            yield MadePair(one, other, place, number)


def nothing(documents: Sequence[SourceDocument]) -> Iterator[MadePair]:
    """None: a generator has to be asked."""
    return iter(())


SIGNALS: Final = (
    Signal("generated", "questions of a generator, to the sections it read", nothing, asks=True),
    Signal("questions", "headings that ask, to their sections", questions, asks=True),
    Signal("headings", "titles and headings, to their sections", headings, asks=True),
    Signal("links", "texts of links, to the pages they go to", links, asks=True),
    Signal("openings", "first sentences, to the rest", openings, asks=True),
    Signal("cloze", "sentences out of the middle, to their passages", cloze, asks=True),
    Signal("neighbours", "sections, to the next", neighbours, asks=False),
    Signal("crops", "two cuts of one text", crops, asks=False),
)


def made_pairs(documents: Sequence[SourceDocument]) -> Mapping[str, tuple[MadePair, ...]]:
    """The pairs of each signal, by its name; without those that are too short or too long,
    there twice, asked in the very words of the passage, or asked of many passages alike."""
    made: dict[str, tuple[MadePair, ...]] = {}
    for signal in SIGNALS:
        first: dict[tuple[str, str], MadePair] = {}
        for pair in signal.make(documents):
            if usable(pair, asks=signal.asks):
                first.setdefault((canonical(pair.query), canonical(pair.passage)), pair)
        asked = Counter(query for query, _ in first)
        made[signal.name] = tuple(
            pair for (query, _), pair in first.items() if not signal.asks or asked[query] < _OFTEN
        )
    return made


def usable(pair: MadePair, *, asks: bool) -> bool:
    """Whether a pair says something: long enough, and its query no quotation of the passage."""
    query, length = canonical(pair.query), word_count(pair.query)
    if not query or not length or word_count(pair.passage) < _LEAST_PASSAGE_WORDS:
        return False
    return not asks or (length <= _MOST_QUERY_WORDS and query not in canonical(pair.passage))


def _sections(documents: Sequence[SourceDocument]) -> Iterator[tuple[int, int, str, str]]:
    """(document, section, heading, text) of every section."""
    for place, document in enumerate(documents):
        for number, section in enumerate(document.sections):
            yield place, number, section.heading, section.text


def _crop(pieces: Sequence[str], text: str, which: str, between: str) -> str:
    low, high = _CROP
    length = max(_LEAST_PASSAGE_WORDS, int(len(pieces) * (low + (high - low) * _draw(text, f"{which} length"))))
    start = int(_draw(text, f"{which} start") * (len(pieces) - length + 1))
    return between.join(pieces[start : start + length])


def few_words(text: str) -> str:
    """Four to fourteen words in a row, drawn by the text's digest: as long as a question, and about something."""
    between = " " if " " in text else ""
    pieces = text.split() if between else list(text)
    count = 4 + int(11 * _draw(text, "few length"))
    start = int(_draw(text, "few start") * (max(0, len(pieces) - count) + 1))
    return between.join(pieces[start : start + count])


def _draw(text: str, what: str) -> float:
    """A number in [0, 1) that follows from *text* and *what*."""
    digest = hashlib.blake2b(f"{what}\n{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
