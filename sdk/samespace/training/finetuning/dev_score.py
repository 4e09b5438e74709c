"""Development questions: how well a model in the middle of training finds their passages.

What chooses is never what reports. A development question that a reported split asks too chooses nothing: it is left
out here, by its text, whatever the splits are called.

What it leaves to others: whoever chooses by it (`keeping`, `choosing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DataInvalid
from ...evaluation import Dataset, VectorRanker, evaluate
from ...evaluation.words import canonical
from ...text import Role, TextEncoder
from ..data.near_duplicates import find_near
from .encoding import encode


@dataclass(frozen=True, slots=True)
class DevQuestions:
    """Questions over a pool of passages."""

    dataset: Dataset

    @staticmethod
    def of(dataset: Dataset, reported: Iterable[Dataset], passages: int) -> DevQuestions:
        """The questions of *dataset* that none of *reported* asks, over their passages and evenly spread others.

        Args:
            passages: how many in all, where theirs are not more.

        Raises:
            DataInvalid: *reported* ask every question.
        """
        others = {text: None for each in reported for text in each.queries}
        names = [dataset.query_ids[row] for row in rows_apart(dataset.queries, list(others))]
        if not names:
            raise DataInvalid(
                path=str(dataset.folder),
                reason=f"all {len(dataset.queries)} questions of split {dataset.split} are asked by a split that is "
                "reported too, so nothing can be chosen on them; split the set anew: samespace doctor data",
            )
        asked = dict(zip(dataset.query_ids, dataset.queries, strict=True))
        apart = replace(
            dataset,
            query_ids=tuple(names),
            queries=tuple(asked[name] for name in names),
            qrels={name: dataset.qrels[name] for name in names},
        )
        return DevQuestions(apart).over(passages)

    def over(self, passages: int) -> DevQuestions:
        """The same questions over so many passages at most, as `of` takes them."""
        judged = {name for each in self.dataset.qrels.values() for name in each}
        return DevQuestions(pooled(self.dataset, judged, passages))

    def scores(self, model: Any, text_encoders: Mapping[Role, TextEncoder], *, bf16: bool) -> npt.NDArray[np.float64]:
        """(questions,) nDCG@10 of a model in training."""
        dataset = self.dataset
        q = encode(model, text_encoders["query"], dataset.queries, "query", bf16=bf16)
        p = encode(model, text_encoders["passage"], dataset.passages, "passage", bf16=bf16)
        if not (np.isfinite(q).all() and np.isfinite(p).all()):
            return np.zeros(len(dataset.queries))
        return evaluate(VectorRanker("model", q, p), dataset).per_query["ndcg@10"]


def rows_apart(queries: Sequence[str], others: Sequence[str]) -> list[int]:
    """Rows of *queries* that are none of *others*, nor nearly one."""
    asked = {canonical(text) for text in others}
    near = find_near(queries, others) if others else [-1] * len(queries)
    return [row for row, at in enumerate(near) if at < 0 and canonical(queries[row]) not in asked]


def pooled(dataset: Dataset, wanted: Set[str], most: int) -> Dataset:
    """*dataset* over the passages *wanted* and evenly spread others, *most* in all where they are not more."""
    others = [row for row, name in enumerate(dataset.passage_ids) if name not in wanted]
    room = max(0, most - len(wanted))
    kept = {others[row * len(others) // room] for row in range(room)} if len(others) > room else set(others)
    rows = [row for row, name in enumerate(dataset.passage_ids) if name in wanted or row in kept]
    return replace(
        dataset,
        passage_ids=tuple(dataset.passage_ids[row] for row in rows),
        passages=tuple(dataset.passages[row] for row in rows),
    )
