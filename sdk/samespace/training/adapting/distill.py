"""What is learned from a teacher: made-up queries, candidates that rankers put high, and the teacher's scores.

A query's candidates are its own passage, the first ones of BM25 and of the base in turn, and some from deeper; other
pieces of its own section, which may hold the very words of the query, are none. What a teacher puts above the query's
own passage is no negative, but learned as an answer. The teacher reads what the student will read: texts are cut where
the student's window ends.

A teacher of vectors scores every query with every passage (`score_table`). A cross-encoder is asked about lists.

What it leaves to others: who the teacher is (`finetuning.teachers`, `fusion`), learning (`stage`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...errors import ExtraMissing
from ...text import Role, TextEncoder
from ...vectors import Float32
from ..finetuning.mining import Found, interleave, rank_bm25, rank_vectors
from ..finetuning.score_table import ScoreTable
from ..finetuning.teachers import TextPair
from ..imitating.neighbours import drawn_together
from .fusion import Mixture
from .signals import SIGNALS, MadePair, few_words

NEGATIVES: Final = 7
_NEAR, _DEEP = 10, 5
_ASKS: Final = tuple(signal.name for signal in SIGNALS if signal.asks)

Score = Callable[[Sequence[TextPair]], Sequence[float | None]]
Place = tuple[int, int]
"""Document and section that a text comes from."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a teacher is asked.

    Attributes:
        queries: made-up, each once.
        own: of each query, the row of its passage.
        passages: of the training documents, as the student reads them.
        groups: (passages,), equal for pieces of one section.
        near: of each query, rows of candidates, its own section not among them.
        q, p: the base's unit vectors of queries and passages.
        by_words: BM25's ranking; None where it is not installed.
    """

    queries: Sequence[str]
    own: Sequence[int]
    passages: Sequence[str]
    groups: Sequence[int]
    near: Sequence[Sequence[int]]
    q: Float32
    p: Float32
    by_words: Found | None

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the trainer's data."""
        return [
            {"query": query, "passage": self.passages[own], "negatives": [self.passages[row] for row in near]}
            for query, own, near in zip(self.queries, self.own, self.near, strict=True)
        ]

    def pairs(self) -> list[TextPair]:
        """All that a cross-encoder is asked, query by query, the own passage first."""
        return [
            (query, self.passages[row])
            for query, own, near in zip(self.queries, self.own, self.near, strict=True)
            for row in (own, *near)
        ]

    def wanted(self) -> list[int]:
        """Rows of the passages that any query has as a candidate."""
        return sorted({row for own, near in zip(self.own, self.near, strict=True) for row in (own, *near)})

    def table(self, name: str, mixture: Mixture, q: Float32, p: Float32) -> ScoreTable:
        """Scores of all queries with all `wanted` passages.

        Args:
            q, p: unit vectors of `queries` and `passages`, the base's or better ones.
        """
        drawn = drawn_together(p, mixture.neighbours, self.groups)
        scores, wanted = Mixture(mixture.words).scores(q, drawn, self.by_words), self.wanted()
        return ScoreTable(
            name,
            {query: row for row, query in enumerate(self.queries)},
            {self.passages[row]: column for column, row in enumerate(wanted)},
            np.ascontiguousarray(scores[:, wanted]),
        )


def asked(train: Mapping[str, Sequence[MadePair]], most: int) -> list[MadePair]:
    """Up to *most* pairs that a person could ask, of all kinds alike, evenly spread over the documents."""
    kinds = [train[name] for name in _ASKS if train[name]]
    chosen: list[MadePair] = []
    for place, pairs in enumerate(sorted(kinds, key=len)):
        room = (most - len(chosen)) // (len(kinds) - place)
        count = min(room, len(pairs))
        chosen += [pairs[row * len(pairs) // count] for row in range(count)]
    return list({pair.query: pair for pair in chosen}.values())


def mine(pairs: Sequence[MadePair], others: Mapping[Place, str], encode: Callable[[Sequence[str], Role], Float32],
         encoders: Mapping[Role, TextEncoder]) -> Candidates:  # fmt: skip
    """Candidates of each of *pairs*, among their own passages and *others*.

    Args:
        others: the training documents' sections; those that *pairs* have a piece of are there by that piece.
        encode: the base's unit vectors of texts.
        encoders: the student's text path, which says where a text is cut.
    """
    queries = first_windows([pair.query for pair in pairs], encoders["query"], "query")
    own = first_windows([pair.passage for pair in pairs], encoders["passage"], "passage")
    asked_of = {(pair.document, pair.section) for pair in pairs}
    rest = {place: text for place, text in others.items() if place not in asked_of}
    place_of: dict[str, Place] = {}
    for text, pair in zip(own, pairs, strict=True):
        place_of.setdefault(text, (pair.document, pair.section))
    for text, place in zip(first_windows(list(rest.values()), encoders["passage"], "passage"), rest, strict=True):
        place_of.setdefault(text, place)
    passages = list(place_of)
    row_of = {text: row for row, text in enumerate(passages)}
    number = {place: group for group, place in enumerate(dict.fromkeys(place_of.values()))}
    groups = [number[place] for place in place_of.values()]
    q, p = encode(queries, "query"), encode(passages, "passage")
    by_vectors, by_words = rank_vectors(q, p), ranked_by_words(queries, passages)
    near = []
    for row, text in enumerate(own):
        rankings = [_rows(each, row) for each in (by_words, by_vectors) if each is not None]
        mine = groups[row_of[text]]
        near.append(_candidates([[at for at in rows if groups[at] != mine] for rows in rankings]))
    return Candidates(queries, [row_of[text] for text in own], passages, groups, near, q, p, by_words)


def imitation_rows(
    sections: Mapping[Place, str],
    train: Mapping[str, Sequence[MadePair]],
    encoders: Mapping[Role, TextEncoder],
    log: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Rows of the trainer's data for imitation: each section once with a made-up query, then once with a few words.

    They belong together in nothing: each text is learned by itself. The order mixes the documents.

    Args:
        log: what people have asked; it takes the place of the few words, from the first on.
    """
    made = {(pair.document, pair.section): pair.query for name in reversed(_ASKS) for pair in train[name]}
    texts = first_windows(list(sections.values()), encoders["passage"], "passage")
    cuts = [few_words(text) for text in texts]
    whole = [made.get(place, cut) for place, cut in zip(sections, cuts, strict=True)]
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    pairs = [(whole[at], texts[at]) for at in order]
    pairs += [(log[turn % len(log)] if log else cuts[at], texts[at]) for turn, at in enumerate(order)]
    pairs += [(query, texts[order[turn % len(order)]]) for turn, query in enumerate(log[len(order) :])]
    queries = first_windows([query for query, _ in pairs], encoders["query"], "query")
    distinct = dict.fromkeys(zip(queries, (text for _, text in pairs), strict=True))
    return [{"query": query, "passage": text} for query, text in distinct]


def first_windows(texts: Sequence[str], encoder: TextEncoder, role: Role) -> list[str]:
    """*texts* up to where the first window of *encoder* ends."""
    return [text[: each.windows[0].end].rstrip() or text
            for text, each in zip(texts, encoder.tokenize(texts, role), strict=True)]  # fmt: skip


def ranked_by_words(queries: Sequence[str], passages: Sequence[str]) -> Found | None:
    """BM25's best passages; None where it is not installed."""
    try:
        return rank_bm25(queries, passages)
    except ExtraMissing:
        return None


def _rows(found: Found, query: int) -> list[int]:
    return [int(row) for row in found.rows[query] if row >= 0]


def _candidates(rankings: Sequence[Sequence[int]]) -> list[int]:
    """The first of several rankings in turn, then evenly spread deeper ones of the last."""
    first = interleave([rows[:_NEAR] for rows in rankings], _NEAR)
    deep = [row for row in rankings[-1][_NEAR:] if row not in first]
    places = np.linspace(0, len(deep) - 1, min(_DEEP, len(deep))).astype(int)
    return [*first, *(deep[place] for place in places)]
