"""Which documents are trained on, and the questions that are made of the others. Pure.

Documents are divided, and not pairs: two pairs of one page know each other. Which part a document falls into follows
from a digest of its text, so that a page that moves or is renamed stays where it was. What is searched is everything:
held-out questions have to find their passages among those of all documents. Training passages that are near-duplicates
of held-out ones, and made-up queries that held-out ones repeat, leave training; development questions that the test
part repeats leave development.

Where the documents are in several languages, each is asked about by itself, and counts alike. So do questions in the
words of their passage, and questions in other words.

What it leaves to others: making pairs (`signals`), scoring (`evaluation`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...errors import DataInvalid
from ...evaluation import Dataset
from ...evaluation.words import canonical
from ..data.near_duplicates import find_near
from ..doctor.languages import SECOND, language
from .documents import Library, SourceDocument
from .signals import SIGNALS, MadePair, made_pairs

PARTS: Final = ("train", "dev", "test")
LEAST_QUESTIONS: Final = 20
"""Fewer held-out questions can tell nothing: not even a gain of ten points would be more than chance."""
_SHARE: Final = 0.2
_MOST: Final = {"dev": 300, "test": 600}
_OF_A_KIND: Final = 200
"""Development questions of one kind, at most; of the test part twice as many."""
OTHER_WORDS, OWN_WORDS = "other words", "own words"
_JUDGES: Final = tuple(signal.name for signal in SIGNALS if signal.asks)
_NEAREST: Final = 3
"""Kinds that judge, at most: the nearest to questions that are there."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Documents in their parts, and what is made of them.

    Attributes:
        parts: "train", "dev", "test" of each document, in the library's order.
        train: pairs of each signal out of training documents.
        questions: "dev", "test" -> kind, with its language and words where these are told apart -> retrieval set over
            the passages of all documents.
        left_out: training pairs that left because held-out ones repeat them.
    """

    parts: tuple[str, ...]
    train: Mapping[str, tuple[MadePair, ...]]
    questions: Mapping[str, Mapping[str, Dataset]]
    left_out: int

    def count(self, part: str) -> int:
        """Held-out questions of *part*, of all kinds."""
        return sum(len(dataset.queries) for dataset in self.questions[part].values())


def hold_out(library: Library, generated: Sequence[MadePair] = ()) -> HeldOut:
    """Divide the documents of *library*, and with them the pairs that a generator wrote.

    Raises:
        DataInvalid: too few held-out questions, or nothing to train on, can be made of them.
    """
    documents = library.documents
    parts = tuple(_part(document, len(documents)) for document in documents)
    made = {**made_pairs(documents), "generated": tuple(generated)}
    held = {part: {name: _of(part, pairs, parts) for name, pairs in made.items()} for part in PARTS}
    dev = {name: _apart(pairs, held["test"]) for name, pairs in held["dev"].items()}
    questions = {"dev": _judging(library, dev, "dev"), "test": _judging(library, held["test"], "test")}
    train, left_out = _without_held_out(held["train"], documents, parts)
    split = HeldOut(parts, train, questions, left_out)
    for part in ("dev", "test"):
        if split.count(part) < LEAST_QUESTIONS:
            raise DataInvalid(
                path=str(library.source),
                reason=f"{len(documents)} documents give {split.count(part)} held-out questions for the {part} part, "
                f"and at least {LEAST_QUESTIONS} are needed; add documents, or texts with titles, headings or several "
                "sentences. With pairs of your own: samespace train",
            )
    if not any(train.values()):
        raise DataInvalid(path=str(library.source), reason="no pair to train on can be made of these documents")
    return split


def without_asked(held: HeldOut, questions: Sequence[str]) -> HeldOut:
    """*held* without training pairs that ask what people's *questions* ask: these judge, and may not be taught.

    A page of frequent questions has people's questions as its headings.
    """
    asked = {canonical(question) for question in questions}
    train, left_out = {}, held.left_out
    for name, pairs in held.train.items():
        near = find_near([pair.query for pair in pairs], questions)
        kept = [pair for pair, at in zip(pairs, near, strict=True) if at < 0 and canonical(pair.query) not in asked]
        train[name], left_out = tuple(kept), left_out + len(pairs) - len(kept)
    return replace(held, train=train, left_out=left_out)


def not_asked(log: Sequence[str], questions: Sequence[str]) -> list[str]:
    """The queries of a *log* that are none of people's *questions*, nor nearly one: these judge."""
    asked = {canonical(question) for question in questions}
    near = find_near(log, questions)
    return [query for query, at in zip(log, near, strict=True) if at < 0 and canonical(query) not in asked]


def _part(document: SourceDocument, documents: int) -> str:
    """By the digest of the text alone: equal texts are in one part."""
    digest = hashlib.blake2b(canonical(document.text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    drawn = int.from_bytes(digest) / 2**64
    test, dev = (min(_SHARE, _MOST[part] / documents) for part in ("test", "dev"))
    return "test" if drawn < test else "dev" if drawn < test + dev else "train"


def _of(part: str, pairs: Sequence[MadePair], parts: Sequence[str]) -> tuple[MadePair, ...]:
    return tuple(pair for pair in pairs if parts[pair.document] == part)


def _apart(pairs: Sequence[MadePair], test: Mapping[str, Sequence[MadePair]]) -> tuple[MadePair, ...]:
    """*pairs* whose query no test pair has, and whose passage is no near-duplicate of a test passage."""
    asked = {canonical(pair.query) for others in test.values() for pair in others}
    passages = list(dict.fromkeys(pair.passage for others in test.values() for pair in others))
    near = find_near([pair.passage for pair in pairs], passages)
    return tuple(pair for pair, at in zip(pairs, near, strict=True) if at < 0 and canonical(pair.query) not in asked)


def _without_held_out(
    pairs: Mapping[str, Sequence[MadePair]], documents: Sequence[SourceDocument], parts: Sequence[str]
) -> tuple[dict[str, tuple[MadePair, ...]], int]:
    """Training pairs without those that say what a held-out document says, and how many left."""
    held = [section for document, part in zip(documents, parts, strict=True) if part != "train"
            for section in document.sections]  # fmt: skip
    asked = {canonical(section.heading) for section in held if section.heading}
    places = sorted({(pair.document, pair.section) for some in pairs.values() for pair in some})
    near = find_near(
        [documents[place].sections[number].text for place, number in places], [section.text for section in held]
    )
    repeated = {place for place, at in zip(places, near, strict=True) if at >= 0}
    kept = {
        name: tuple(
            pair
            for pair in some
            if (pair.document, pair.section) not in repeated and canonical(pair.query) not in asked
        )
        for name, some in pairs.items()
    }
    return kept, sum(map(len, pairs.values())) - sum(map(len, kept.values()))


def _judging(library: Library, made: Mapping[str, Sequence[MadePair]], part: str) -> dict[str, Dataset]:
    """Retrieval sets of the kinds that come nearest to questions and are there often enough to say something."""
    able = [name for name in _JUDGES if len(made[name]) >= LEAST_QUESTIONS // 2]
    most = _OF_A_KIND * (2 if part == "test" else 1)
    mixed = len(languages_of(library)) > 1
    sets: dict[str, Dataset] = {}
    for name in able[:_NEAREST]:
        spoken: dict[str, list[MadePair]] = {}
        for pair in made[name]:
            spoken.setdefault(language(pair.passage) if mixed else "", []).append(pair)
        for tongue, pairs in spoken.items():
            if len(pairs) >= LEAST_QUESTIONS // 2:
                for words, some in _by_words(_spread(pairs, most)).items():
                    told = ", ".join(each for each in (tongue, words) if each)
                    kind = f"{name} ({told})" if told else name
                    sets[kind] = _dataset(library, kind, some, part)
    return sets


def _by_words(pairs: Sequence[MadePair]) -> dict[str, Sequence[MadePair]]:
    """The half of *pairs* that shares fewer words with its passages, and the other; one part where they are few.

    Whoever wrote a passage wrote its heading. People use other words, and what finds a passage by its words alone looks
    better on made-up questions than it is: on the half with other words it does not.
    """
    if len(pairs) < LEAST_QUESTIONS:
        return {"": pairs}
    order = sorted(range(len(pairs)), key=lambda row: _shared(pairs[row]))
    half = len(pairs) // 2
    low = set(order[:half])
    return {
        OTHER_WORDS: [pair for row, pair in enumerate(pairs) if row in low],
        OWN_WORDS: [pair for row, pair in enumerate(pairs) if row not in low],
    }


def _shared(pair: MadePair) -> float:
    """Share of the query's words that are in the passage."""
    asked, said = set(canonical(pair.query).split()), set(canonical(pair.passage).split())
    return len(asked & said) / max(1, len(asked))


def languages_of(library: Library) -> dict[str, float]:
    """Language -> its share of the documents, the most first; those below `SECOND`, and what is none, are left out."""
    counts = Counter(language(document.text) for document in library.documents)
    known = {name: count for name, count in counts.most_common() if name != "none" and not name.endswith("unknown")}
    return {name: count / sum(known.values()) for name, count in known.items() if count >= SECOND * sum(known.values())}


def kind_of(name: str) -> str:
    """The signal that made the questions called *name*, which may name a language and the words too."""
    return name.partition(" (")[0]


def in_other_words(name: str) -> bool:
    """Whether the questions called *name* are those that share few words with their passages."""
    return OTHER_WORDS in name


def _spread(pairs: Sequence[MadePair], most: int) -> Sequence[MadePair]:
    if len(pairs) <= most:
        return pairs
    return [pairs[row * len(pairs) // most] for row in range(most)]


def _dataset(library: Library, kind: str, pairs: Sequence[MadePair], part: str) -> Dataset:
    """*pairs* as questions over the passages of all documents; their own passages lack what became the question."""
    texts = {
        f"{document.name}#{number}": section.text
        for document in library.documents
        for number, section in enumerate(document.sections)
    }
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, float]] = {}
    for row, pair in enumerate(pairs):
        own = f"{library.documents[pair.document].name}#{pair.section}"
        if f"{kind} {row}" not in queries and not any(own in judged for judged in qrels.values()):
            texts[own] = pair.passage
            queries[f"{kind} {row}"], qrels[f"{kind} {row}"] = pair.query, {own: 1.0}
    return Dataset(
        folder=library.source,
        split=part,
        passage_ids=tuple(texts),
        passages=tuple(texts.values()),
        query_ids=tuple(queries),
        queries=tuple(queries.values()),
        qrels=qrels,
    )
