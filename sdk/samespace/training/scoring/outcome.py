"""What training came to: the trained encoder beside its base and BM25, on the splits that it did not see.

Each encoder encodes the corpus once, whatever the number of splits. Long texts get the vector that the encoder
gives them everywhere else: windows, pooled.

What it leaves to others: how an encoder is run (`export.fastest`), metrics (`evaluation`), showing it (`report`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...evaluation import (
    Comparison,
    Dataset,
    DenseRanker,
    Embedder,
    Evaluation,
    effective_rank,
    evaluate,
    load_dataset,
    mean_cosine,
    uniformity,
)
from ...evaluation.dataset import is_retrieval_set
from ...exporting.fastest import fastest
from ...model.checkpoint import Checkpoint
from ...progress import Progress, silent
from ...report.verdicts import BASE, BM25, TEACHER, TRAINED
from ...text import Role
from ...vectors import Vectors
from ..data.examples import TrainingData
from ..data.retrieval_set import as_dataset
from .beside import by_teacher, by_words
from .changes import Change, changes

_ISOTROPY_TEXTS: Final = 1000
_COSINES: Final = 5000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the rankers did on each split.

    Attributes:
        evaluations: split -> BM25, BASE, TRAINED, TEACHER -> what it scored.
        versus: split -> BM25, BASE, TEACHER -> the trained encoder's nDCG@10 against it; see `strongest`.
        isotropy: BASE, TRAINED -> effective rank, mean cosine and uniformity of some passages.
        runtime: BASE, TRAINED -> what computed the vectors.
        vectors: BASE, TRAINED -> (texts, dim), some passages' vectors, for pictures.
        cosines: BASE, TRAINED -> "right answers", "other passages" -> some cosines of the last split.
        changes: split -> the queries that changed most against the base, best first.
    """

    evaluations: Mapping[str, Mapping[str, Evaluation]]
    versus: Mapping[str, Mapping[str, Comparison]]
    isotropy: Mapping[str, Mapping[str, float]]
    runtime: Mapping[str, str]
    vectors: Mapping[str, npt.NDArray[np.float32]]
    cosines: Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
    changes: Mapping[str, Sequence[Change]]

    def better(self, unfair: Collection[str] = ()) -> bool | None:
        """Whether the trained encoder is better than its base on the last split that is not among *unfair*.

        Better is: a higher mean, and p < 0.05; and on no other fair split lower with p < 0.05. The last split is the
        test split, where there is one. None where nothing was scored, or only on splits that had a part in the run:
        these flatter.
        """
        fair = [found[BASE] for split, found in self.versus.items() if split not in unfair]
        return fair[-1].better and not any(each.worse for each in fair) if fair else None

    def to_json(self, unfair: Collection[str] = ()) -> dict[str, Any]:
        """What the run record says; *unfair* are the splits that had a part in the run."""
        return {
            "scores": {
                split: {name: each.score.to_json() for name, each in found.items()}
                for split, found in self.evaluations.items()
            },
            "comparisons": {
                split: {name: comparison.to_json() for name, comparison in each.items()}
                for split, each in self.versus.items()
            },
            "isotropy": {name: dict(each) for name, each in self.isotropy.items()},
            "runtime": dict(self.runtime),
            "better_than_base": self.better(unfair),
        }


def score(
    base: Checkpoint,
    trained: Checkpoint,
    datasets: Mapping[str, Dataset],
    progress: Progress = silent,
    teacher: str = "",
) -> Outcome:
    """Score BM25, *base*, *trained* and *teacher* on *datasets*, by split; {} gives an empty outcome.

    Args:
        teacher: encoder that was learned from; "" for none.
    """
    if not datasets:
        return Outcome({}, {}, {}, {}, {}, {}, {})
    found: dict[str, dict[str, Evaluation]] = {split: {} for split in datasets}
    for split, evaluation in by_words(datasets).items():
        found[split][BM25] = evaluation
    isotropy, runtime, vectors, cosines = {}, {}, {}, {}
    texts = all_texts(datasets.values())
    for name, checkpoint in ((BASE, base), (TRAINED, trained)):
        with (
            fastest(checkpoint, texts) as (encoder, how),
            progress(f"scoring the {name} encoder", len(texts)) as advance,
        ):
            once = Once(encoder)
            for split, dataset in datasets.items():
                scored = evaluate(DenseRanker(once), dataset, progress=advance)
                found[split][name] = replace(scored, score=replace(scored.score, encoder=name))
            rows = once.sample(_ISOTROPY_TEXTS)
            cosines[name] = _cosines(once, list(datasets.values())[-1])
        runtime[name], vectors[name] = how, rows
        isotropy[name] = {
            "effective_rank": effective_rank(rows),
            "mean_cosine": mean_cosine(rows) if len(rows) > 1 else 1.0,
            "uniformity": uniformity(rows) if len(rows) > 1 else 0.0,
            "texts": float(len(rows)),
        }
    for split, evaluation in by_teacher(teacher, datasets, progress).items():
        found[split][TEACHER] = evaluation
    versus: dict[str, dict[str, Comparison]] = {
        split: {name: each[TRAINED].against(each[name]) for name in (BM25, BASE, TEACHER) if name in each}
        for split, each in found.items()
    }
    changed = {split: changes(datasets[split], each[BASE], each[TRAINED]) for split, each in found.items()}
    return Outcome(found, versus, isotropy, runtime, vectors, cosines, changed)


def strongest(bases: Sequence[Checkpoint], datasets: Mapping[str, Dataset], progress: Progress = silent) -> Checkpoint:
    """Which of *bases*, one model with several prompts, finds most on the last of *datasets*; the first where all do.

    A base that lost to its own weights behind prompts that it never learned would make any training look good.
    """
    first, *others = bases
    different = [each for each in others if each.identity.space_id() != first.identity.space_id()]
    if not different or not datasets:
        return first
    dataset = list(datasets.values())[-1]
    found = []
    for checkpoint in (first, *different):
        with (
            fastest(checkpoint, all_texts([dataset])) as (encoder, _),
            progress("scoring the base with its own prompts and the run's", len(dataset.passages)) as advance,
        ):
            found.append(evaluate(DenseRanker(encoder), dataset, progress=advance).score.ndcg_10)
    return (first, *different)[int(np.argmax(found))]


def held_out(data: TrainingData, folder: Path, splits: Sequence[str]) -> dict[str, Dataset]:
    """Those of *splits* that the data has, as retrieval sets; a BEIR folder with its grades."""
    beir = folder.is_dir() and is_retrieval_set(folder)
    return {
        split: load_dataset(folder, split) if beir else as_dataset(data, split)
        for split in splits
        if split in data.splits
    }


class Once:
    """An encoder that encodes what it has encoded before only once."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder = encoder
        self._done: dict[tuple[Role, tuple[str, ...]], Vectors] = {}

    @property
    def name(self) -> str:
        """The encoder's."""
        return self._encoder.name

    @property
    def space_id(self) -> str:
        """The encoder's."""
        return self._encoder.space_id

    def encode(self, texts: Sequence[str], role: Role, *, progress: Any = None) -> Vectors:
        """As the encoder does."""
        key = role, tuple(texts)
        if key not in self._done:
            self._done[key] = self._encoder.encode(texts, role, progress=progress)
        return self._done[key]

    def sample(self, most: int) -> npt.NDArray[np.float32]:
        """(up to *most*, dim): vectors of passages that were encoded, evenly spread."""
        rows = np.concatenate([np.asarray(made) for (role, _), made in self._done.items() if role == "passage"])
        return np.asarray(rows[:: max(1, len(rows) // most)][:most], dtype=np.float32)


def _cosines(encoder: Once, dataset: Dataset) -> dict[str, npt.NDArray[np.float32]]:
    """Cosines of queries with their right answers, and with as many other passages, drawn with a fixed seed."""
    q = np.asarray(encoder.encode(dataset.queries, "query"))
    p = np.asarray(encoder.encode(dataset.passages, "passage"))
    place = {name: row for row, name in enumerate(dataset.passage_ids)}
    right = [
        (query, place[passage])
        for query, name in enumerate(dataset.query_ids)
        for passage, grade in dataset.qrels[name].items()
        if grade > 0
    ][:_COSINES]
    rows = np.array(right)
    others = np.random.default_rng(0).integers(0, len(p), len(rows))
    return {
        "right answers": np.einsum("nd,nd->n", q[rows[:, 0]], p[rows[:, 1]]),
        "other passages": np.einsum("nd,nd->n", q[rows[:, 0]], p[others]),
    }


def all_texts(datasets: Collection[Dataset]) -> list[str]:
    """Every text that scoring on *datasets* encodes: a corpus that they share once."""
    corpora = dict.fromkeys(dataset.passages for dataset in datasets)
    return [text for texts in (*corpora, *(dataset.queries for dataset in datasets)) for text in texts]
