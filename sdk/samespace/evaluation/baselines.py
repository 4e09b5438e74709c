"""BM25: the baseline that an encoder has to beat before it is worth its cost.

Lucene's variant with k1 1.2 and b 0.75, English stemmer and stop words, over title and text; extra `eval`.

Scripts without spaces between words (Chinese, Japanese, Thai, ...) are searched by characters and pairs of characters,
words with combining marks (Hindi, ...) as a whole; both after NFKC.

What it gives up: stems and stop words of other languages, so BM25 scores below what a tuned one would there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..extras import require_extra
from ..progress import Advance
from .dataset import Dataset
from .retrieval import Run, tie_ranks, top
from .words import mark_class, spaced

K1: Final = 1.2
B: Final = 0.75


@dataclass(frozen=True, slots=True)
class Bm25Ranker:
    """BM25 as a ranker; a passage that shares no word with the query is not found.

    Raises:
        ExtraMissing: `bm25s` or the stemmer is not installed.

    Source: Robertson and Zaragoza 2009, section 3; idf as Lucene has it; implementation bm25s, arXiv:2407.03618.
    """

    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        require_extra("eval", feature="BM25", modules=("bm25s", "Stemmer"))

    @property
    def name(self) -> str:
        return "bm25"

    @property
    def space_id(self) -> None:
        return None

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        import bm25s

        rows = np.full((len(dataset.queries), depth), -1, dtype=np.int64)
        scores = np.full(rows.shape, -np.inf, dtype=np.float32)
        passages = tokenized(dataset.passages)
        if not passages.vocab:
            return Run(rows, scores)
        ranks = tie_ranks(dataset.passage_ids)
        index = bm25s.BM25(k1=self.k1, b=self.b)
        index.index(passages, show_progress=False)
        if progress is not None:
            progress(len(dataset.passages))
        words = tokenized(dataset.queries, return_ids=False)
        for row, query in enumerate(words):
            known = [word for word in query if word in passages.vocab]
            if known:
                scored = np.asarray(index.get_scores(known), dtype=np.float32)  # (passages,)
                near = top(scored, depth, ranks)
                near = near[scored[near] > 0]
                rows[row, : len(near)], scores[row, : len(near)] = near, scored[near]
            if progress is not None:
                progress(1)
        return Run(rows, scores)


def tokenized(texts: Sequence[str], **more: Any) -> Any:
    """Stemmed words without stop words, as BM25 counts them; *more* is for `bm25s.tokenize`."""
    import bm25s
    from Stemmer import Stemmer

    return bm25s.tokenize(
        [spaced(text) for text in texts],
        token_pattern=rf"(?u)(?<![\w{mark_class()}])\w[\w{mark_class()}]+",
        stopwords="en",
        stemmer=Stemmer("english"),
        show_progress=False,
        **more,
    )
