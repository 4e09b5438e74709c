"""One split of training data as a retrieval set, with what was met on reading it and what the set lacks of it."""

from __future__ import annotations

from collections.abc import Container, Iterator

from ...errors import DataInvalid
from ...evaluation.dataset import Dataset
from ...evaluation.excerpts import clipped
from .examples import RELEVANT, TrainingData


def as_dataset(data: TrainingData, split: str) -> Dataset:
    """One split as a retrieval set over the whole corpus: what an encoder or BM25 is scored on.

    Labelled pairs are relevant from `RELEVANT` on. Grades are lost: all are 1. Score a BEIR folder by `load_dataset`.

    Raises:
        DataInvalid: there is no such split, or nothing in it is relevant.
    """
    examples = data.splits.get(split)
    if examples is None:
        raise DataInvalid(path=data.name, reason=f"has no split {split!r}; it has {', '.join(data.splits) or 'none'}")
    qrels: dict[str, dict[str, float]] = {}
    texts: dict[str, str] = {}
    for row, label in enumerate(examples.labels):
        if label >= RELEVANT:
            texts[examples.query_ids[row]] = examples.queries[row]
            qrels.setdefault(examples.query_ids[row], {})[examples.passage_ids[row]] = 1
    if not qrels:
        raise DataInvalid(path=data.name, reason=f"no pair of split {split!r} has a label of {RELEVANT} or more")
    return Dataset(
        folder=data.sources[0],
        split=split,
        passage_ids=tuple(data.corpus),
        passages=tuple(data.corpus.values()),
        query_ids=tuple(texts),
        queries=tuple(texts.values()),
        qrels=qrels,
        notes=(*data.notes, *_left_out(data, split, texts)),
    )


def _left_out(data: TrainingData, split: str, asked: Container[str]) -> Iterator[str]:
    """What a retrieval set lacks of *data*, as sentences."""
    if data.empty:
        count = "1 row has" if len(data.empty) == 1 else f"{len(data.empty)} rows have"
        yield f"{count} an empty text, such as {clipped(data.empty[0])}; they are left out"
    examples = data.splits[split]
    if silent := [name for name in dict.fromkeys(examples.query_ids) if name not in asked]:
        yield (
            f"{len(silent)} queries of {split} have no pair with a label of {RELEVANT} or more, such as "
            f"{clipped(silent[0])}; they are not asked"
        )
    if graded := [label for label in examples.labels if RELEVANT <= label < 1]:
        yield f"{len(graded)} pairs of {split} have a label from {RELEVANT} to below 1; each counts as relevant, like 1"
