"""Lists for distillation: made-up queries, candidates that rankers put high, and what a teacher says of them.

A query's candidates are its own passage, the first ones of BM25 and of the base in turn, and some from deeper. All go
to the teacher; what it puts above the query's own passage is no negative, but learned as an answer. The teacher reads
what the student will read: texts are cut where the student's window ends.

What it leaves to others: who the teacher is (`finetuning.teachers`, `fusion`), learning from the lists (`stage`).
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
from ..finetuning.teachers import TextPair
from .fusion import fused
from .signals import SIGNALS, MadePair

NEGATIVES: Final = 7
_NEAR, _DEEP = 10, 5
_ASKS: Final = tuple(signal.name for signal in SIGNALS if signal.asks)

Score = Callable[[Sequence[TextPair]], Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a teacher is asked.

    Attributes:
        queries: made-up, each once.
        own: of each query, the row of its passage.
        passages: of the training documents, as the student reads them.
        near: of each query, rows of candidates, its own not among them.
        agreement: of each query, how far BM25 and the base agree on each passage; None where BM25 is not installed.
    """

    queries: Sequence[str]
    own: Sequence[int]
    passages: Sequence[str]
    near: Sequence[Sequence[int]]
    agreement: Sequence[Mapping[int, float]] | None

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the trainer's data."""
        return [
            {"query": query, "passage": self.passages[own], "negatives": [self.passages[row] for row in near]}
            for query, own, near in zip(self.queries, self.own, self.near, strict=True)
        ]

    def pairs(self) -> list[TextPair]:
        """All that the teacher is asked, query by query, the own passage first."""
        return [
            (query, self.passages[row])
            for query, own, near in zip(self.queries, self.own, self.near, strict=True)
            for row in (own, *near)
        ]

    def agreed(self) -> list[dict[str, Any]]:
        """Rows of a file of scores: the agreement of BM25 and the base as a teacher."""
        assert self.agreement is not None
        return [
            {"query": query, "passage": self.passages[row], "score": said[row]}
            for query, own, near, said in zip(self.queries, self.own, self.near, self.agreement, strict=True)
            for row in (own, *near)
        ]


def asked(train: Mapping[str, Sequence[MadePair]], most: int) -> list[MadePair]:
    """Up to *most* pairs that a person could ask, of all kinds alike, evenly spread over the documents."""
    kinds = [train[name] for name in _ASKS if train[name]]
    chosen: list[MadePair] = []
    for place, pairs in enumerate(sorted(kinds, key=len)):
        room = (most - len(chosen)) // (len(kinds) - place)
        count = min(room, len(pairs))
        chosen += [pairs[row * len(pairs) // count] for row in range(count)]
    return list({pair.query: pair for pair in chosen}.values())


def mine(pairs: Sequence[MadePair], others: Sequence[str], encode: Callable[[Sequence[str], Role], Float32],
         encoders: Mapping[Role, TextEncoder]) -> Candidates:  # fmt: skip
    """Candidates of each of *pairs*, among their own passages and *others*.

    Args:
        others: further passages of the training documents.
        encode: the base's unit vectors of texts.
        encoders: the student's text path, which says where a text is cut.
    """
    queries = first_windows([pair.query for pair in pairs], encoders["query"], "query")
    own = first_windows([pair.passage for pair in pairs], encoders["passage"], "passage")
    passages = list(dict.fromkeys([*own, *first_windows(others, encoders["passage"], "passage")]))
    place = {text: row for row, text in enumerate(passages)}
    q, p = encode(queries, "query"), encode(passages, "passage")
    by_vectors = rank_vectors(q, p)
    by_words = _by_words(queries, passages)
    near, agreement = [], []
    for row, text in enumerate(own):
        rankings = [_rows(each, row) for each in (by_words, by_vectors) if each is not None]
        chosen = _candidates([[at for at in rows if at != place[text]] for rows in rankings])
        near.append(chosen)
        if by_words is not None:
            scores = fused(q[row] @ p.T, by_words.rows[row], by_words.scores[row])
            agreement.append({at: float(scores[at]) for at in (place[text], *chosen)})
    return Candidates(
        queries, [place[text] for text in own], passages, near, agreement if by_words is not None else None
    )


def first_windows(texts: Sequence[str], encoder: TextEncoder, role: Role) -> list[str]:
    """*texts* up to where the first window of *encoder* ends."""
    return [text[: each.windows[0].end].rstrip() or text
            for text, each in zip(texts, encoder.tokenize(texts, role), strict=True)]  # fmt: skip


def _by_words(queries: Sequence[str], passages: Sequence[str]) -> Found | None:
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
