"""Exact search and the score of a ranker on a retrieval set.

A ranker orders passages for queries: an encoder does (`DenseRanker`), BM25 does (`baselines.Bm25Ranker`). The
search is exact, so that a score is the encoder's and not an index's. Long texts get the vector that the
encoder gives them (its windows, pooled): nothing is cut for the sake of the score.

What it leaves to others: the formulas (`metrics`), whether a difference means anything (`significance`).
What it gives up: speed on millions of passages, where an index belongs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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
from .significance import Comparison, paired_bootstrap

DEPTH: Final = 100
"""How many passages a run keeps for each query: the deepest that a score looks."""
SAME: Final = 1e-6
"""Cosines that differ by less are equal: float32 knows no better, and another block of a product rounds otherwise."""
TIED: Final = 0.01
"""Share of queries from which ties are worth a word."""
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
        constant: queries for which all passages have one score: their ranking is the order of ids.
        tied: queries for which equal scores of passages of unlike grades are among the first 10, or reach into them.
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
    constant: int = 0
    tied: int = 0

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
            "constant_rankings": self.constant,
            "tied_rankings": self.tied,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A score with what it was made from.

    Attributes:
        run: what was found.
        per_query: metric name ("ndcg@10", ...) -> (queries,) float64, in the set's order of queries.
        texts: of the queries.
    """

    score: Score
    run: Run
    per_query: Mapping[str, npt.NDArray[np.float64]]
    texts: tuple[str, ...] = ()

    def against(self, other: Evaluation) -> Comparison:
        """How much better its nDCG@10 is than that of *other* on the same queries."""
        return paired_bootstrap(self.per_query["ndcg@10"], other.per_query["ndcg@10"], texts=self.texts or None)


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
        return search(queries, passages, depth, ranks=tie_ranks(dataset.passage_ids))


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
        ranks = tie_ranks(dataset.passage_ids)
        return search(Vectors(self.queries, self.name), Vectors(self.passages, self.name), depth, ranks=ranks)


def tie_ranks(names: Sequence[str]) -> Int64:
    """Where each passage comes among equal scores: (n,) int64, 0 for the last id in the order of its bytes.

    Source: trec_eval 9, `comp_sim_docno` of form_res_rels.c: equal similarities go by document id, descending.
    """
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__, reverse=True)] = np.arange(len(names))
    return ranks


def search(
    queries: Vectors, passages: Vectors, depth: int, *, ranks: Int64 | None = None, starts: Int64 | None = None
) -> Run:
    """The *depth* nearest passages of each query by cosine, exactly.

    Works in blocks: memory is that of the vectors and about 100 MB.

    Args:
        ranks: (passages,), which of equal scores comes first, the lowest; None: in the passages' order.
        starts: (passages,), ascending, the first row of *passages* that is a passage's; it has the score of its best
            row. None: each row is a passage.

    Raises:
        SpaceMismatch: queries and passages are of different spaces.
        RequestInvalid: *depth* below 1.
    """
    if depth < 1:
        raise RequestInvalid(field="depth", reason=f"{depth}; expected 1 or more")
    firsts = np.arange(len(passages)) if starts is None else starts
    order = np.arange(len(firsts)) if ranks is None else ranks
    rows = np.full((len(queries), depth), -1, dtype=np.int64)
    scores = np.full((len(queries), depth), -np.inf, dtype=np.float32)
    for first in range(0, len(queries), _QUERY_BLOCK):
        block = queries[first : first + _QUERY_BLOCK]
        for low, high in _passage_blocks(firsts, len(passages)):
            begin, end = firsts[low], firsts[high] if high < len(firsts) else len(passages)
            cosines = block.compare(passages[int(begin) : int(end)])  # (queries, rows) of the blocks
            if starts is not None:
                cosines = np.maximum.reduceat(cosines, firsts[low:high] - begin, axis=1)  # (queries, passages)
            for query, cosine in enumerate(settled(cosines), start=first):
                near = top(cosine, depth, order[low:high])
                merged_rows = np.concatenate([rows[query], near + low])
                merged_scores = np.concatenate([scores[query], cosine[near]])
                best = np.lexsort((np.where(merged_rows < 0, 0, order[merged_rows]), -merged_scores))[:depth]
                rows[query], scores[query] = merged_rows[best], merged_scores[best]
    return Run(rows, scores)


def _passage_blocks(firsts: Int64, count: int) -> Iterator[tuple[int, int]]:
    """(first passage, one past the last) of blocks of about `_PASSAGE_BLOCK` rows of *count*."""
    low = 0
    while low < len(firsts):
        high = int(np.searchsorted(firsts, firsts[low] + _PASSAGE_BLOCK))
        high = max(low + 1, high)
        yield low, high
        low = high


def settled(cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(queries, passages) with what is equal up to rounding made equal; rows that hardly differ become one number."""
    rounded = np.round(cosines / SAME) * SAME
    flat = np.ptp(cosines, axis=1) < 2 * SAME
    rounded[flat] = rounded[flat, :1]
    return np.asarray(rounded, dtype=np.float32)


def top(scores: npt.NDArray[np.float32], k: int, ranks: Int64 | None = None) -> Int64:
    """Positions of the *k* highest of (n,) scores, best first, equal ones by *ranks* or in order: (min(k, n),)."""
    n = len(scores)
    if n > k:
        lowest = np.partition(scores, n - k)[n - k]
        candidates = np.flatnonzero(scores >= lowest)  # k, and any that tie with the last of them
    else:
        candidates = np.arange(n)
    second = candidates if ranks is None else ranks[candidates]
    return np.asarray(candidates[np.lexsort((second, -scores[candidates]))][:k], dtype=np.int64)


def evaluate(ranker: Ranker, dataset: Dataset, *, progress: Advance | None = None) -> Evaluation:
    """Score *ranker* on the queries of *dataset*: nDCG@10, recall@100 and MRR@10.

    *progress* is called with each number of texts encoded, `len(queries) + len(passages)` in all.
    """
    began = time.perf_counter()
    run = ranker.rank(dataset, DEPTH + bool(dataset.ignored), progress)
    seconds = time.perf_counter() - began
    if dataset.ignored:
        run = _without_own(run, dataset)
    found = grades_of(run, dataset)
    judged = [dataset.judged(query) for query in dataset.query_ids]
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
        constant=int(_constant(run).sum()),
        tied=int(_tied(run, found).sum()),
    )
    return Evaluation(score, run, per_query, tuple(dataset.queries))


def remarks(score: Score, dataset: Dataset) -> list[str]:
    """What has to be known beside a score, as sentences: what is odd about the set, and ties."""
    said = list(dataset.notes)
    if score.constant:
        said.append(
            f"{score.encoder} gives all passages the same score for {score.constant} of {score.queries} queries: it "
            "tells nothing apart there, and the ranking is the order of ids"
        )
    if score.tied > max(score.constant, TIED * score.queries):
        said.append(
            f"for {score.tied} of {score.queries} queries of {score.encoder} equal scores decide about the first 10; "
            "they are ranked by passage id, as trec_eval does"
        )
    return said


def _without_own(run: Run, dataset: Dataset) -> Run:
    """*run* without the passage that has the query's own id, one rank shorter."""
    place = {name: row for row, name in enumerate(dataset.passage_ids)}
    own = np.array([place[query] if query in dataset.ignored else -2 for query in dataset.query_ids])
    depth = run.rows.shape[1] - 1
    order = np.argsort(run.rows == own[:, None], axis=1, kind="stable")[:, :depth]  # the own one goes to the end
    return Run(np.take_along_axis(run.rows, order, axis=1), np.take_along_axis(run.scores, order, axis=1))


def _constant(run: Run) -> npt.NDArray[np.bool_]:
    """(queries,): several passages were found, and all have one score."""
    found = run.rows >= 0
    high = np.where(found, run.scores, -np.inf).max(axis=1)
    low = np.where(found, run.scores, np.inf).min(axis=1)
    return np.asarray((found.sum(axis=1) > 1) & (high == low))


def _tied(run: Run, found: metrics.Grades, k: int = 10) -> npt.NDArray[np.bool_]:
    """(queries,): passages of unlike grades have the score of one of the first *k*."""
    tied = np.zeros(len(run.rows), dtype=bool)
    for query, (rows, scores, grades) in enumerate(zip(run.rows, run.scores, np.maximum(found, 0), strict=True)):
        first = scores[: min(k, int((rows >= 0).sum()))]
        tied[query] = any(len(set(grades[(scores == score) & (rows >= 0)])) > 1 for score in set(first.tolist()))
    return tied


def grades_of(run: Run, dataset: Dataset) -> metrics.Grades:
    """The grade of each passage of *run*: (queries, depth) float64, 0 for unjudged or nothing found."""
    grades = np.zeros(run.rows.shape, dtype=np.float64)
    for row, query in enumerate(dataset.query_ids):
        judged = dataset.qrels[query]
        for rank, passage in enumerate(run.rows[row]):
            if passage >= 0:
                grades[row, rank] = judged.get(dataset.passage_ids[passage], 0)
    return grades
