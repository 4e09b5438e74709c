"""Two ways to score an encoder on long passages: one pooled vector a passage, or its best window.

Pooling blurs what stands late in a long passage; the best window finds it, and costs one vector a window. Which of them
a collection should have is a choice, so both are scored. Queries, and passages of one window, are encoded once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np

from ..progress import Advance
from ..text import LongTexts, Role
from ..vectors import Vectors
from .dataset import Dataset
from .retrieval import Embedder, Evaluation, Int64, Run, evaluate, search, tie_ranks

Ways = Literal["auto", "pool", "windows"]
WAYS: Final[tuple[Ways, ...]] = ("auto", "pool", "windows")
LONG: Final = 0.05
"""Share of passages with several windows from which a set is long."""
POOLED: Final = "pooled"
BEST_WINDOW: Final = "best window"


class Detailed(Protocol):
    """What is needed of vectors with their windows; `samespace.Encoded` is one."""

    @property
    def vectors(self) -> Vectors: ...

    @property
    def windows(self) -> tuple[int, ...]: ...


class WindowEmbedder(Embedder, Protocol):
    """An encoder that tells windows apart; `samespace.Encoder` is one."""

    def encode_detailed(
        self, texts: Sequence[str], role: Role, *, long_texts: LongTexts = "pool", progress: Advance | None = None
    ) -> Detailed:
        """One vector a text, or with "windows" one a window, and how many windows each text has."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedRanker:
    """What was encoded already as a ranker.

    Attributes:
        starts: (passages,) first row of each passage; None where each has one.
    """

    name: str
    space_id: str | None
    queries: Vectors
    passages: Vectors
    starts: Int64 | None = None

    def rank(self, dataset: Dataset, depth: int, progress: Advance | None = None) -> Run:
        return search(self.queries, self.passages, depth, ranks=tie_ranks(dataset.passage_ids), starts=self.starts)


def evaluate_long(
    encoder: WindowEmbedder, dataset: Dataset, ways: Ways = "auto", progress: Advance | None = None
) -> dict[str, Evaluation]:
    """Score *encoder*: `POOLED`, `BEST_WINDOW`, or with "auto" the first and, on a long set, the second beside it.

    Returns:
        The way -> what it scored; the way that was asked for first.
    """
    began = time.perf_counter()
    queries = encoder.encode(dataset.queries, "query", progress=progress)
    pooled = encoder.encode_detailed(dataset.passages, "passage", progress=progress)
    windows = np.asarray(pooled.windows)
    found: dict[str, Evaluation] = {}
    if ways != "windows":
        ranker = EncodedRanker(encoder.name, encoder.space_id, queries, pooled.vectors)
        found[POOLED] = evaluate(ranker, dataset)
    if ways == "windows" or (ways == "auto" and (windows > 1).sum() >= LONG * len(windows) and (windows > 1).any()):
        rows, starts = _by_window(encoder, dataset, pooled.vectors, windows)
        name = f"{encoder.name}, {BEST_WINDOW}"
        found[BEST_WINDOW] = evaluate(EncodedRanker(name, encoder.space_id, queries, rows, starts), dataset)
    seconds = time.perf_counter() - began
    return {way: replace(each, score=replace(each.score, seconds=seconds)) for way, each in found.items()}


def _by_window(encoder: WindowEmbedder, dataset: Dataset, pooled: Vectors, windows: Int64) -> tuple[Vectors, Int64]:
    """One row a window, those of a passage side by side, and where each passage begins."""
    long = np.flatnonzero(windows > 1)
    starts = np.concatenate([[0], np.cumsum(windows)[:-1]]).astype(np.int64)
    if not len(long):
        return pooled, starts
    parts = encoder.encode_detailed([dataset.passages[row] for row in long], "passage", long_texts="windows")
    rows = np.empty((int(windows.sum()), pooled.shape[1]), dtype=np.float32)
    rows[starts[windows == 1]] = np.asarray(pooled)[windows == 1]
    first = 0
    for row in long:
        last = first + int(windows[row])
        rows[starts[row] : starts[row] + windows[row]] = np.asarray(parts.vectors)[first:last]
        first = last
    return Vectors(rows, pooled.space_id), starts
