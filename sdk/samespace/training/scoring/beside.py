"""Rankers that stand beside base and trained encoder in a table of scores: BM25, and the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import ExtraMissing
from ...evaluation import Bm25Ranker, Dataset, Evaluation, VectorRanker, evaluate
from ...progress import Progress
from ...report.verdicts import TEACHER


def by_words(datasets: Mapping[str, Dataset]) -> dict[str, Evaluation]:
    """What BM25 scores on each; {} without the extra `eval`."""
    try:
        return {name: evaluate(Bm25Ranker(), dataset) for name, dataset in datasets.items()}
    except ExtraMissing:
        return {}


def by_teacher(
    teacher: str, datasets: Mapping[str, Dataset], progress: Progress, cache: Path | None = None
) -> dict[str, Evaluation]:
    """What *teacher* scores on each; {} for none, and for one that reads pairs, which cannot rank a corpus."""
    from ..finetuning.teachers import EncoderTeacher, open_teacher

    opened = open_teacher(teacher, cache) if teacher else None
    if not isinstance(opened, EncoderTeacher):
        return {}
    queries = list(dict.fromkeys(text for each in datasets.values() for text in each.queries))
    passages = list(dict.fromkeys(text for each in datasets.values() for text in each.passages))
    with progress("scoring the teacher", len(queries) + len(passages)) as advance:
        opened.read(queries, passages, advance)
    return {
        name: evaluate(VectorRanker(TEACHER, *opened.vectors(each.queries, each.passages)), each)
        for name, each in datasets.items()
    }
