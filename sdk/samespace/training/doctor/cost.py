"""What leaked texts do to a score: the same ranker on held-out queries that leaked and on those that did not.

BM25 and the untouched base have seen no training text, so a difference between the two halves is only that one half is
easier. What training adds to it on the leaked half is the part that nobody should believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ...evaluation.dataset import Dataset
from ...evaluation.retrieval import Ranker, evaluate
from ..data.retrieval_set import as_dataset
from .diagnosis import Check, DataFinding, Table, share
from .duplicates import LeakedText
from .material import Material

FEW: Final = 20
"""Queries below which a mean says little."""


def cost_of_leaks(material: Material, leaks: Sequence[LeakedText], rankers: Sequence[Ranker]) -> Check:
    """nDCG@10 of each ranker on the leaked and on the clean queries of each held-out split.

    A query has leaked when it, or a passage that answers it, is a near-duplicate of what is trained on.
    """
    rows: list[tuple[object, ...]] = []
    numbers: dict[str, Any] = {}
    findings = []
    for split in dict.fromkeys(leak.split for leak in leaks):
        dataset = as_dataset(material.data, split)
        leaked = leaked_queries(dataset, [leak for leak in leaks if leak.split == split])
        for ranker in rankers:
            ndcg = evaluate(ranker, dataset).per_query["ndcg@10"]
            means = [_mean(ndcg[chosen]) for chosen in (np.ones_like(leaked), leaked, ~leaked)]
            rows.append((split, ranker.name, *(_shown(mean) for mean in means)))
            numbers.setdefault(split, {"leaked": int(leaked.sum()), "clean": int((~leaked).sum()), "ndcg@10": {}})
            numbers[split]["ndcg@10"][ranker.name] = dict(zip(("all", "leaked", "clean"), means, strict=True))
        clean = int((~leaked).sum())
        few = f" {clean} clean queries are too few to tell much." if clean < FEW else ""
        scores = "; ".join(
            f"{name} {_shown(each['all'])} on all, {_shown(each['leaked'])} on leaked, {_shown(each['clean'])} on clean"
            for name, each in numbers[split]["ndcg@10"].items()
        )
        findings.append(
            DataFinding(
                f"cost_on_{split}",
                "note",
                f"{int(leaked.sum())} of {len(leaked)} queries of {split} ({share(int(leaked.sum()), len(leaked))}) "
                f"have leaked, or have an answer that did. Before any training, nDCG@10: {scores}.{few}",
            )
        )
    head = ("split", "ranker", "nDCG@10 on all", "on leaked", "on clean")
    return Check("cost", "What the leaks cost", tuple(findings), numbers, (Table(head, tuple(rows)),))


def leaked_queries(dataset: Dataset, leaks: Sequence[LeakedText]) -> Any:
    """Which of the queries of *dataset* leaked, or have an answer that did: (queries,) bool."""
    queries = {leak.held_out.id for leak in leaks if leak.held_out.role == "query"}
    passages = {leak.held_out.id for leak in leaks if leak.held_out.role == "passage"}
    return np.array([name in queries or not passages.isdisjoint(dataset.qrels[name]) for name in dataset.query_ids])


def _mean(values: Any) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
