"""Development questions as a yardstick: how well a model in training, or a teacher, finds their passages.

What is searched here is a pool: the questions' own passages and evenly spread others. That is quick, and easier than
everything; the verdict is made on everything (`verdict`).

What it leaves to others: the questions (`heldout`), what is tried (`trial`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...evaluation import Dataset, Evaluation, VectorRanker, evaluate
from ...text import Role, TextEncoder
from ...vectors import Float32
from ..finetuning.dev_score import pooled
from ..finetuning.encoding import encode
from ..finetuning.teachers import EncoderTeacher, Teacher
from .distill import ranked_by_words
from .fusion import Mixture

_RERANKED, _ASKED = 10, 40

Scores = Mapping[str, npt.NDArray[np.float64]]
"""Kind of question -> (questions,) nDCG@10."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Development questions over a pool of passages.

    Attributes:
        datasets: kind -> questions; their corpora are nearly the same texts.
    """

    datasets: Mapping[str, Dataset]

    @staticmethod
    def over(datasets: Mapping[str, Dataset], cut: Callable[[Sequence[str]], Sequence[str]], most: int) -> Yardstick:
        """The same questions over at most *most* passages, or those that they want if these are more.

        Args:
            cut: texts to what of them a model in training reads.
        """
        wanted = {name for dataset in datasets.values() for judged in dataset.qrels.values() for name in judged}
        pools = {name: pooled(dataset, wanted, most) for name, dataset in datasets.items()}
        return Yardstick({name: replace(each, passages=tuple(cut(each.passages))) for name, each in pools.items()})

    @property
    def passages(self) -> list[str]:
        """Every passage of any kind, once."""
        return list(dict.fromkeys(text for dataset in self.datasets.values() for text in dataset.passages))

    @property
    def queries(self) -> list[str]:
        """Every question, once."""
        return list(dict.fromkeys(text for dataset in self.datasets.values() for text in dataset.queries))

    @property
    def texts(self) -> Mapping[str, Sequence[str]]:
        """Kind -> its questions."""
        return {name: dataset.queries for name, dataset in self.datasets.items()}

    def of_model(self, model: Any, text_encoders: Mapping[Role, TextEncoder], *, bf16: bool) -> Scores:
        """How a model in training does."""
        q = encode(model, text_encoders["query"], self.queries, "query", bf16=bf16)
        p = encode(model, text_encoders["passage"], self.passages, "passage", bf16=bf16)
        return self.of_vectors(q, p)

    def of_vectors(self, q: Float32, p: Float32) -> Scores:
        """How unit vectors of `queries` and `passages` do."""
        return {
            name: _ndcg(evaluate(VectorRanker("model", rows_q, rows_p), dataset))
            for name, dataset, rows_q, rows_p in self._rows(q, p)
        }

    def of_teacher(self, teacher: Teacher, q: Float32, p: Float32) -> tuple[Scores, Scores]:
        """How a teacher does, and how the model with vectors *q* and *p* does on the same questions.

        A teacher that reads pairs puts the model's first passages of some questions in its own order.
        """
        if isinstance(teacher, EncoderTeacher):
            return self.of_vectors(*teacher.vectors(self.queries, self.passages)), self.of_vectors(q, p)
        theirs, ours = {}, {}
        for name, dataset, rows_q, rows_p in self._rows(q, p):
            some = _first(dataset, _ASKED)
            before = evaluate(VectorRanker("model", rows_q[: len(some.queries)], rows_p), some)
            order = before.run.rows[:, :_RERANKED]
            asked = [(some.queries[row], some.passages[at]) for row, near in enumerate(order) for at in near if at >= 0]
            said = iter(teacher.scores(asked))
            scores = np.full((len(some.queries), len(some.passages)), -np.inf, dtype=np.float32)
            for row, near in enumerate(order):
                for at in near[near >= 0]:
                    score = next(said)
                    scores[row, at] = -np.inf if score is None else score
            theirs[name], ours[name] = ndcg_of(scores, some), _ndcg(before)
        return theirs, ours

    def of_mixtures(self, q: Float32, p: Float32, mixtures: Sequence[Mixture]) -> Mapping[Mixture, Scores]:
        """How unit vectors of `queries` and `passages` do in *mixtures*; those with BM25 only where it is installed."""
        found: dict[Mixture, dict[str, npt.NDArray[np.float64]]] = {}
        for name, dataset, rows_q, rows_p in self._rows(q, p):
            by_words = ranked_by_words(dataset.queries, dataset.passages)
            for mixture in mixtures:
                if not mixture.words or by_words is not None:
                    scores = mixture.scores(rows_q, rows_p, by_words)
                    found.setdefault(mixture, {})[name] = ndcg_of(scores, dataset)
        return found

    def _rows(self, q: Float32, p: Float32) -> Sequence[tuple[str, Dataset, Float32, Float32]]:
        place_q, place_p = ({text: row for row, text in enumerate(texts)} for texts in (self.queries, self.passages))
        return [
            (
                name,
                dataset,
                q[[place_q[text] for text in dataset.queries]],
                p[[place_p[text] for text in dataset.passages]],
            )
            for name, dataset in self.datasets.items()
        ]


def mean(scores: Scores) -> float:
    """The mean over the kinds, each of which counts alike."""
    return float(np.mean([each.mean() for each in scores.values()]))


def ndcg_of(scores: Float32, dataset: Dataset) -> npt.NDArray[np.float64]:
    """(questions,) nDCG@10 of a matrix of scores, (questions, passages); each question has one right passage."""
    place = {name: row for row, name in enumerate(dataset.passage_ids)}
    own = np.array([place[next(iter(dataset.qrels[query]))] for query in dataset.query_ids])
    right = scores[np.arange(len(own)), own]
    rank = 1 + (scores > right[:, None]).sum(axis=1) + ((scores == right[:, None]).sum(axis=1) - 1) / 2
    return np.asarray(np.where(np.isfinite(right) & (rank <= 10), 1 / np.log2(1 + rank), 0.0))


def _ndcg(evaluation: Evaluation) -> npt.NDArray[np.float64]:
    return evaluation.per_query["ndcg@10"]


def _first(dataset: Dataset, most: int) -> Dataset:
    names = dataset.query_ids[:most]
    return replace(dataset, query_ids=names, queries=dataset.queries[:most],
                   qrels={name: dataset.qrels[name] for name in names})  # fmt: skip
