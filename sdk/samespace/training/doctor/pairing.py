"""How well the set's own pairs are found among all others: the evidence for whether pairs belong together.

Each text of a sample is held against every other by its words, by its character 4-grams, and by the base encoder where
there is one. A query that has other passages, or a passage that has other queries, is held against these too: that
shows what belongs together where a query and its passage share no word. What a pair gets is its place, from 0 (nearer
than all others) to 1 (farther, or no evidence at all), by the evidence that speaks best for it.

What a wrong pair would get is not assumed: it is measured on pairs that are put together at random.
What it gives up: more than some thousand examples; a sample is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...evaluation.baselines import tokenized
from ...evaluation.retrieval import Embedder
from ...evaluation.words import canonical, has_words
from ...progress import Advance
from ...text import Role
from ...vectors import Vectors
from ..data.examples import Examples
from .languages import scripts

MOST: Final = 2000
"""Examples of a split that are looked at, spread evenly."""
_GRAM: Final = 4
_MOST_CHARS: Final = 4000
_RANDOM: Final = 5

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where pairs stand among others.

    Attributes:
        rows: (n,) the examples that were looked at, rows of the split.
        places: (n,) in [0, 1], of each; 0 where nothing else is as near.
        random: (m,) the same of pairs put together at random.
        nearness: (n,) how near the two texts are, on a scale of its own: 1 - place by words or encoder alone.
        strangers: (m,) the same of pairs put together at random.
        evidence: share of the pairs for which words show anything at all.
        queries: number of different queries.
    """

    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.float64]
    random: npt.NDArray[np.float64]
    nearness: npt.NDArray[np.float64]
    strangers: npt.NDArray[np.float64]
    evidence: float
    queries: int


def sampled(count: int, most: int = MOST) -> npt.NDArray[np.int64]:
    """Up to *most* of *count* places, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def with_words(examples: Examples) -> npt.NDArray[np.int64]:
    """Rows of the examples of which both texts have words; others are told of elsewhere."""
    both = zip(examples.queries, examples.passages, strict=True)
    return np.flatnonzero([has_words(query) and has_words(passage) for query, passage in both]).astype(np.int64)


def comparable(examples: Examples, embedder: Embedder | None) -> npt.NDArray[np.int64]:
    """Rows that can be told: with words and, where there is no encoder, of scripts that can share some."""
    rows = with_words(examples)
    if embedder is not None:
        return rows
    alike = [bool(scripts(examples.queries[row]) & scripts(examples.passages[row])) for row in rows]
    return np.compress(np.array(alike, dtype=bool), rows)


def placed(
    examples: Examples, embedder: Embedder | None = None, *, most: int = MOST, progress: Advance | None = None
) -> Placed:
    """Places of up to *most* `comparable` examples, one at least; the same answer whenever it is asked."""
    worded = comparable(examples, embedder)
    rows = worded[sampled(len(worded), most)]
    queries, asked = _distinct([examples.queries[row] for row in rows])
    passages, said = _distinct([examples.passages[row] for row in rows])
    right = np.zeros((len(queries), len(passages)), dtype=bool)
    right[asked, said] = True
    direct = [nearness_by(_words(queries), _words(passages)), nearness_by(_grams(queries), _grams(passages))]
    if embedder is not None:
        direct.append(_cosines(queries, passages, embedder, progress))
    by_itself = np.minimum.reduce([_standing(scores, right) for scores in direct])
    partners = _Partners(queries, passages, right)
    own = np.minimum(by_itself[asked, said], partners.of_pairs(asked, said))
    random = np.random.default_rng(0)
    ones = np.repeat(np.arange(len(queries)), _RANDOM)
    others = random.integers(0, len(passages), len(ones))
    wrong = ~right[ones, others]
    ones, others = ones[wrong], others[wrong]
    by_chance = np.minimum(by_itself[ones, others], partners.of_pairs(ones, others, without_one=random))
    return Placed(
        rows=rows,
        places=own.astype(np.float64),
        random=by_chance.astype(np.float64),
        nearness=1.0 - by_itself[asked, said].astype(np.float64),
        strangers=1.0 - by_itself[ones, others].astype(np.float64),
        evidence=float((direct[0][asked, said] > 0).mean()),
        queries=len(queries),
    )


def _distinct(texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The texts that are different in canonical form, and for each text its place among them."""
    place: dict[str, int] = {}
    kept: list[str] = []
    rows = []
    for text in texts:
        key = canonical(text)
        if key not in place:
            place[key] = len(kept)
            kept.append(text)
        rows.append(place[key])
    return kept, np.array(rows, dtype=np.int64)


def _words(texts: Sequence[str]) -> list[list[str]]:
    words: list[list[str]] = tokenized([text[:_MOST_CHARS] for text in texts], return_ids=False)
    return words


def _grams(texts: Sequence[str]) -> list[list[str]]:
    """Character 4-grams of the words, with their ends marked."""
    grams = []
    for text in texts:
        plain = f" {canonical(text[:_MOST_CHARS])} "
        grams.append([plain[at : at + _GRAM] for at in range(max(1, len(plain) - _GRAM + 1))])
    return grams


def nearness_by(queries: Sequence[Sequence[str]], passages: Sequence[Sequence[str]]) -> Float32:
    """(queries, passages) BM25 scores of tokens, 0 where none is shared."""
    import bm25s

    scores = np.zeros((len(queries), len(passages)), dtype=np.float32)
    vocabulary = {token for passage in passages for token in passage}
    if not vocabulary:
        return scores
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index([list(passage) or [""] for passage in passages], show_progress=False)
    for row, query in enumerate(queries):
        known = [token for token in dict.fromkeys(query) if token in vocabulary]
        if known:
            scores[row] = index.get_scores(known)
    return scores


def _cosines(queries: Sequence[str], passages: Sequence[str], embedder: Embedder, progress: Advance | None) -> Float32:
    """(queries, passages), above 0: there is always evidence."""
    q, p = embedder.encode(queries, "query", progress=progress), embedder.encode(passages, "passage", progress=progress)
    return np.asarray(np.asarray(q) @ np.asarray(p).T + 2.0, dtype=np.float32)


def _standing(scores: Float32, right: npt.NDArray[np.bool_]) -> Float32:
    """(queries, passages) which share of the passages that are not right is as near or nearer; 1 where nothing is."""
    places = np.ones(scores.shape, dtype=np.float32)
    for row, (values, known) in enumerate(zip(scores, right, strict=True)):
        others = np.sort(values[~known])
        if len(others):
            low, high = np.searchsorted(others, values, "left"), np.searchsorted(others, values, "right")
            places[row] = 1.0 - (low + high) / (2 * len(others))
        places[row][values <= 0] = 1.0
    return places


class _Partners:
    """What other passages of a query, and other queries of a passage, say about a pair."""

    def __init__(self, queries: Sequence[str], passages: Sequence[str], right: npt.NDArray[np.bool_]) -> None:
        self._right = right
        self._of_query = [np.flatnonzero(row) for row in right]
        self._of_passage = [np.flatnonzero(column) for column in right.T]
        several_queries = any(len(each) > 1 for each in self._of_passage)
        several_passages = any(len(each) > 1 for each in self._of_query)
        self._queries = self._among(queries, right) if several_queries else None
        self._passages = self._among(passages, right.T) if several_passages else None

    @staticmethod
    def _among(texts: Sequence[str], right: npt.NDArray[np.bool_]) -> Float32:
        """(texts, texts) places of each text among those of its kind; a text says nothing about itself."""
        words = _words(texts)
        scores = nearness_by(words, words)
        itself = np.eye(len(texts), dtype=bool)
        places = _standing(scores, itself)
        places[itself] = 1.0
        return places

    def of_pairs(self, queries: Any, passages: Any, without_one: np.random.Generator | None = None) -> Float32:
        """(n,) the best place that partners give each pair, 1 without any; the best of many counts as less.

        A pair of the set is no witness for itself. A pair by chance lacks one likewise: *without_one* draws it.
        """
        found = np.ones(len(queries), dtype=np.float32)
        for at, (query, passage) in enumerate(zip(queries, passages, strict=True)):
            for among, mine, own in (
                (self._queries, query, self._of_passage[passage]),
                (self._passages, passage, self._of_query[query]),
            ):
                if among is None:
                    continue
                others = own[own != mine]
                if without_one is not None and len(others) == len(own) and len(others):
                    others = np.delete(others, without_one.integers(0, len(others)))
                if len(others):
                    found[at] = min(found[at], 1.0 - (1.0 - float(among[mine, others].min())) ** len(others))
        return found


class Remembering:
    """An encoder that encodes each text once, for checks that look at the same texts."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[Role, str], npt.NDArray[np.float32]] = {}

    @property
    def name(self) -> str:
        """The encoder's."""
        return self._embedder.name

    @property
    def space_id(self) -> str:
        """The encoder's."""
        return self._embedder.space_id

    def encode(self, texts: Sequence[str], role: Role, *, progress: Advance | None = None) -> Vectors:
        """As the encoder does."""
        fresh = list(dict.fromkeys(text for text in texts if (role, text) not in self._known))
        if fresh:
            rows = np.asarray(self._embedder.encode(fresh, role, progress=progress))
            self._known.update(((role, text), row) for text, row in zip(fresh, rows, strict=True))
        return Vectors(np.stack([self._known[role, text] for text in texts]), self.space_id)
