"""Exact search and the score of a ranker on a retrieval set.

A ranker orders passages for queries: an encoder does (`DenseRanker`), BM25 does (`baselines.Bm25Ranker`). The
search is exact, so that a score is the encoder's and not an index's. Long texts get the vector that the
encoder gives them (its windows, pooled): nothing is cut for the sake of the score.

What it leaves to others: the formulas (`metrics`), whether a difference means anything (`significance`).
What it gives up: speed on millions of passages, where an index belongs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import RequestInvalid
from ..progress import Advance
from ..text import Role
from ..vectors import Vectors
from . import metrics
from .dataset import Dataset

DEPTH: Final = 100
"""How many passages a run keeps for each query: the deepest that a score looks."""
_QUERY_BLOCK: Final = 256
_PASSAGE_BLOCK: Final = 65_536

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """What was found for each query, best first.

    Attributes:
        rows: (queries, depth) int64, row of the passage in the set; -1 where nothing more was found.
        scores: (queries, depth) float32, the ranker's own scale; -inf where nothing more was found.
    """

    rows: Int64
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a ranker did on one split; each metric is the mean over the queries, in [0, 1].

    Attributes:
        encoder: the ranker's name.
        space_id: the encoder's space; None for BM25.
        data, split: the set and its split.
        queries: how many queries were asked.
        ndcg_10, recall_100, mrr_10: the metrics.
        seconds: wall time of encoding or indexing, and search.
    """

    encoder: str
    space_id: str | None
    data: str
    split: str
    queries: int
    ndcg_10: float
    recall_100: float
    mrr_10: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The plain form, with the metrics under their usual names."""
        return {
            "encoder": self.encoder,
            "space_id": self.space_id,
            "data": self.data,
            "split": self.split,
            "queries": self.queries,
            "ndcg@10": self.ndcg_10,
            "recall@100": self.recall_100,
            "mrr@10": self.mrr_10,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A score with what it was made from.

    Attributes:
        run: what was found.
        per_query: metric name ("ndcg@10", ...) -> (queries,) float64, in the set's order of queries.
    """

    score: Score
    run: Run
    per_query: Mapping[str, npt.NDArray[np.float64]]


class Embedder(Protocol):
    """What is needed of an encoder here; `samespace.Encoder` and an exportable checkpoint both are one."""

    @property
    def name(self) -> str: ...

    @property
    def space_id(self) -> str: ...

    def encode(self, texts: Sequence[str], role: Role, *, progress: Advance | None = None) -> Vectors:
        """One vector a text; *progress* is called with each number of texts done."""
        ...


class Ranker(Protocol):
    """What can be scored."""

    @property
    def name(self) -> str: ...

    @property
    def space_id(self) -> str | None: ...

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        """The *depth* best passages for each query of *dataset*; *progress* gets the number of texts done."""
        ...


@dataclass(frozen=True, slots=True)
class DenseRanker:
    """An encoder as a ranker: exact search by cosine."""

    encoder: Embedder

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def space_id(self) -> str:
        return self.encoder.space_id

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        queries = self.encoder.encode(dataset.queries, "query", progress=progress)
        passages = self.encoder.encode(dataset.passages, "passage", progress=progress)
        return search(queries, passages, depth)


@dataclass(frozen=True, slots=True)
class VectorRanker:
    """Vectors that are there already as a ranker: exact search by cosine.

    Attributes:
        queries, passages: (n, dims), float32, unit rows, in the order of the set; the texts are not looked at.
    """

    name: str
    queries: npt.NDArray[np.float32]
    passages: npt.NDArray[np.float32]

    @property
    def space_id(self) -> None:
        return None

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        # What is scored before it is an encoder has no space id yet; its name keeps it apart.
        return search(Vectors(self.queries, self.name), Vectors(self.passages, self.name), depth)


def search(queries: Vectors, passages: Vectors, depth: int) -> Run:
    """The *depth* nearest passages of each query by cosine, exactly; equal scores in the passages' order.

    Works in blocks: memory is that of the vectors and about 100 MB.

    Raises:
        SpaceMismatch: queries and passages are of different spaces.
        RequestInvalid: *depth* below 1.
    """
    if depth < 1:
        raise RequestInvalid(field="depth", reason=f"{depth}; expected 1 or more")
    rows = np.full((len(queries), depth), -1, dtype=np.int64)
    scores = np.full((len(queries), depth), -np.inf, dtype=np.float32)
    for first in range(0, len(queries), _QUERY_BLOCK):
        block = queries[first : first + _QUERY_BLOCK]
        for start in range(0, len(passages), _PASSAGE_BLOCK):
            cosines = block.compare(passages[start : start + _PASSAGE_BLOCK])  # (queries, passages) of the blocks
            for query, cosine in enumerate(cosines, start=first):
                near = top(cosine, depth)
                # What was found in earlier blocks comes first: a stable sort keeps it ahead of equal scores.
                merged_rows = np.concatenate([rows[query], near + start])
                merged_scores = np.concatenate([scores[query], cosine[near]])
                order = np.argsort(-merged_scores, kind="stable")[:depth]
                rows[query], scores[query] = merged_rows[order], merged_scores[order]
    return Run(rows, scores)


def top(scores: npt.NDArray[np.float32], k: int) -> Int64:
    """Positions of the *k* highest of (n,) scores, best first, equal ones in order; (min(k, n),) int64."""
    n = len(scores)
    if n > k:
        lowest = np.partition(scores, n - k)[n - k]
        candidates = np.flatnonzero(scores >= lowest)  # k, and any that tie with the last of them
    else:
        candidates = np.arange(n)
    return np.asarray(candidates[np.argsort(-scores[candidates], kind="stable")][:k], dtype=np.int64)


def evaluate(ranker: Ranker, dataset: Dataset, *, progress: Advance | None = None) -> Evaluation:
    """Score *ranker* on the queries of *dataset*: nDCG@10, recall@100 and MRR@10.

    *progress* is called with each number of texts encoded, `len(queries) + len(passages)` in all.
    """
    began = time.perf_counter()
    run = ranker.rank(dataset, DEPTH, progress)
    seconds = time.perf_counter() - began
    found = _grades(run, dataset)
    judged = [tuple(dataset.qrels[query].values()) for query in dataset.query_ids]
    per_query = {
        "ndcg@10": metrics.ndcg(found, judged, 10),
        "recall@100": metrics.recall(found, judged, 100),
        "mrr@10": metrics.mrr(found, 10),
    }
    score = Score(
        encoder=ranker.name,
        space_id=ranker.space_id,
        data=dataset.name,
        split=dataset.split,
        queries=len(dataset.query_ids),
        ndcg_10=float(per_query["ndcg@10"].mean()),
        recall_100=float(per_query["recall@100"].mean()),
        mrr_10=float(per_query["mrr@10"].mean()),
        seconds=seconds,
    )
    return Evaluation(score, run, per_query)


def _grades(run: Run, dataset: Dataset) -> metrics.Grades:
    """The grade of each passage of *run*: (queries, depth) int64, 0 for unjudged or nothing found."""
    grades = np.zeros(run.rows.shape, dtype=np.int64)
    for row, query in enumerate(dataset.query_ids):
        judged = dataset.qrels[query]
        for rank, passage in enumerate(run.rows[row]):
            if passage >= 0:
                grades[row, rank] = judged.get(dataset.passage_ids[passage], 0)
    return grades
