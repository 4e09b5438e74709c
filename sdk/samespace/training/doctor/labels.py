"""Whether labels can teach anything, and how positives are spread over pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np

from ..data.examples import Examples
from ..data.near_duplicates import canonical
from ..data.sources import RELEVANT, without_repeats
from .diagnosis import Check, DataFinding, Histogram, Table, TextName, few, share
from .material import Material

FEW: Final = 0.05
"""Share of the rarer class below which labels count as out of balance."""
SAME: Final = 0.01
"""Share of pairs with one text on both sides that is worth a warning."""
CONFLICT: Final = 0.5
"""Difference of two labels of one pair from which they contradict each other."""
HUB: Final = 0.05
"""Share of the examples that one passage may answer."""
UNEVEN: Final = 3
"""And so many times the examples that each passage would answer if all answered as many."""


def balance(material: Material) -> Check:
    """Labels of the training split, or how its positives are spread."""
    trained = material.trained
    kept, dropped = without_repeats(trained)
    findings = []
    if dropped:
        findings.append(
            DataFinding(
                "repeated_examples",
                "warning" if dropped >= 0.05 * len(trained) else "note",
                f"{dropped} of {len(trained)} training examples ({share(dropped, len(trained))}) repeat another one; "
                "training leaves them out.",
                "Remove them, so that counts mean what they say" if dropped >= 0.05 * len(trained) else "",
            )
        )
    if trained.labelled:
        return _labels(material, kept, findings)
    return _pairs(material, kept, findings)


def _labels(material: Material, kept: Examples, findings: list[DataFinding]) -> Check:
    labels = np.asarray(kept.labels, dtype=np.float64)
    positive = int((labels >= RELEVANT).sum())
    rarer = min(positive, len(labels) - positive)
    lowest, highest = float(labels.min()), float(labels.max())
    if lowest == highest:
        findings.append(
            DataFinding(
                "constant_labels",
                "error",
                f"all {len(labels)} training labels are {lowest:g}: an encoder that maps every text to one vector "
                "would be perfect.",
                "Add pairs with other labels; pairs that all belong together are trained without a label, against the "
                "others of the batch",
            )
        )
    elif rarer == 0:
        side = "at or above" if positive else "below"
        findings.append(
            DataFinding(
                "one_class",
                "error",
                f"all {len(labels)} training labels, {lowest:g} to {highest:g}, are {side} {RELEVANT:g}: there is only "
                "one class.",
                "Add pairs of the other class, or rescale the labels so that 0 means nothing in common",
            )
        )
    elif rarer < FEW * len(labels):
        findings.append(
            DataFinding(
                "labels_out_of_balance",
                "warning",
                f"{positive} of {len(labels)} training labels are {RELEVANT:g} or more: one class has "
                f"{share(rarer, len(labels))}.",
                "Weigh the rarer class more (column weight), and watch a metric that ignores the balance, not accuracy",
            )
        )
    conflicts = _conflicts(kept)
    if conflicts:
        findings.append(
            DataFinding(
                "contradictory_labels",
                "warning",
                f"{len(conflicts)} pairs have two labels that differ by {CONFLICT:g} or more.",
                "Decide on one label for each",
                few(conflicts),
            )
        )
    numbers: dict[str, Any] = {
        "examples": len(kept), "positive": positive, "lowest": lowest, "highest": highest,
        "mean": round(float(labels.mean()), 4), "distinct": len(set(kept.labels)), "contradictory": len(conflicts),
    }  # fmt: skip
    shown = {
        f"{split}": part.labels for split, part in material.data.splits.items() if part.labelled
    }  # the splits should look alike
    return Check("labels", "Labels", tuple(findings), numbers, histograms=(Histogram("label", shown, high=1.0),))


def _conflicts(kept: Examples) -> list[tuple[TextName, ...]]:
    given: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (query, passage) in enumerate(zip(kept.queries, kept.passages, strict=True)):
        given[canonical(query), canonical(passage)].append(row)
    return [
        (TextName("query", kept.query_ids[rows[0]]), TextName("passage", kept.passage_ids[rows[0]]))
        for rows in given.values()
        if max(kept.labels[row] for row in rows) - min(kept.labels[row] for row in rows) >= CONFLICT
    ]


def _pairs(material: Material, kept: Examples, findings: list[DataFinding]) -> Check:
    of_query = Counter(kept.query_ids)
    of_passage = Counter(kept.passage_ids)
    negatives = sum(1 for each in kept.negatives if each)
    hubs = [
        name
        for name, count in of_passage.items()
        if count >= HUB * len(kept) and len(of_passage) > 1 and count > max(2, UNEVEN * len(kept) / len(of_passage))
    ]
    if len(of_passage) == 1 and len(kept) > 1:
        findings.append(
            DataFinding(
                "one_passage",
                "error",
                f"all {len(kept)} training examples have the same passage: no other one is left to tell it from.",
                "Add passages that answer other queries",
                ((TextName("passage", kept.passage_ids[0]),),),
            )
        )
    elif hubs and len(kept) >= 2 / HUB and material.trains:
        findings.append(
            DataFinding(
                "popular_passages",
                "warning",
                f"{len(hubs)} passages answer {share(HUB, 1)} or more of the training examples each.",
                "Batches hold a passage once, so most of its examples wait; merge or thin out its queries",
                few([(TextName("passage", name),) for name in hubs]),
            )
        )
    same = [
        (TextName("query", kept.query_ids[row]), TextName("passage", kept.passage_ids[row]))
        for row in range(len(kept))
        if canonical(kept.queries[row]) == canonical(kept.passages[row])
    ]
    if same:
        findings.append(
            DataFinding(
                "query_is_passage",
                "warning" if len(same) >= SAME * len(kept) else "note",
                f"{len(same)} training examples ({share(len(same), len(kept))}) have one text as query and passage.",
                "They are solved by any encoder: remove them" if len(same) >= SAME * len(kept) else "",
                few(same),
            )
        )
    numbers: dict[str, Any] = {
        "examples": len(kept), "queries": len(of_query), "passages": len(of_passage),
        "passages_a_query": round(len(kept) / max(1, len(of_query)), 3),
        "queries_a_passage": round(len(kept) / max(1, len(of_passage)), 3),
        "with_negatives": negatives, "same_text": len(same),
    }  # fmt: skip
    head = ("training examples", "queries", "passages", "positives of a query", "with known negatives")
    row = (len(kept), len(of_query), len(of_passage), f"{numbers['passages_a_query']:.2f}", negatives)
    return Check("labels", "Pairs", tuple(findings), numbers, (Table(head, (row,)),))
