"""Whether labels and pairs can teach anything: how positives are spread, and what would solve them without reading."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import Any, Final

import numpy as np

from ...evaluation.excerpts import clipped
from ..data.examples import RELEVANT, Examples
from ..data.near_duplicates import canonical
from ..data.prompted import common_beginnings
from ..data.shortcuts import commonest, holding_own, sides, told_by_length
from ..data.sources import without_repeats
from .diagnosis import Check, DataFinding, Histogram, Table, TextName, few, interval, share
from .material import Material
from .wrong_pairs import Share, excess

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

COPIED: Final = 0.05
"""Lower bound of the difference between splits in how many pairs hold their own text, from which it is told."""
ENOUGH: Final = 20
"""Pairs below which nothing is said of shortcuts."""
SAME_NEGATIVE: Final = 0.2
"""Share of the pairs that may have one text as their given negative."""
UNREAD: Final = 0.8
"""Share of the pairs, by the lower bound, whose negatives may be known by how they look."""
REPEATED: Final = 0.2
"""Share of the rows of a held-out split that may repeat another one."""
TURNED: Final = 0.05
"""Share of pairs whose long text may be on the other side, by the lower bound."""
APART: Final = -0.2
"""Correlation of the lengths below which one side is long because the other is short."""


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


def shortcuts(material: Material) -> Check:
    """What would solve the training pairs without reading them, and what held-out splits repeat."""
    found = [
        _copied(material),
        _same_negative(material) or _known_negatives(material),
        _exchanged(material),
        *map(partial(_repeated, material), material.held_out),
    ]
    return Check("shortcuts", "Shortcuts", tuple(each for each in found if each is not None))


def _of_rows(hits: int, rows: int, *parts: Examples) -> Share:
    """A share of *rows*, of which as many are independent as *parts* have queries."""
    queries = sum(len(set(part.queries)) for part in parts)
    return Share(hits / rows, *interval(hits, rows, min(rows, queries)))


def _pairs_of(examples: Examples, rows: list[int]) -> tuple[tuple[TextName, ...], ...]:
    return few(
        [(TextName("query", examples.query_ids[row]), TextName("passage", examples.passage_ids[row])) for row in rows]
    )


def _belonging(examples: Examples) -> list[int]:
    return [row for row, label in enumerate(examples.labels) if label >= RELEVANT]


def _copied(material: Material) -> DataFinding | None:
    """One text of a pair has the other in it, in training and not held out, or the other way round."""
    trained, held = material.trained, [material.data.splits[split] for split in material.held_out]
    rows, others = _belonging(trained), [_belonging(part) for part in held]
    total = sum(map(len, others))
    if min(len(rows), total) < ENOUGH:
        return None
    own = holding_own(trained, rows)
    theirs = [holding_own(part, chosen) for part, chosen in zip(held, others, strict=True)]
    here, there = _of_rows(len(own), len(rows), trained), _of_rows(sum(map(len, theirs)), total, *held)
    says = (
        f"{here} of the training pairs hold their own text: the whole query stands in its passage, or the passage in "
        f"its query. In the held-out splits it is {there}. "
    )
    if excess(here, there) > COPIED:
        says += "To copy is enough in training, and does not help where it is scored."
        return DataFinding(
            "own_text",
            "warning",
            says,
            "Take the one text out of the other, as in the held-out pairs",
            _pairs_of(trained, own),
        )
    if excess(there, here) > COPIED:
        says += "To copy is enough where it is scored, so a score is too good."
        part, chosen = next((part, chosen) for part, chosen in zip(held, theirs, strict=True) if chosen)
        return DataFinding(
            "own_text", "warning", says, "Take the one text out of the other, as in training", _pairs_of(part, chosen)
        )
    return None


def _same_negative(material: Material) -> DataFinding | None:
    """One text is the wrong passage of many pairs, and hardly ever a right one: it is learned, and nothing else."""
    trained = material.trained
    right = _belonging(trained)
    if trained.labelled:
        rows = [row for row, label in enumerate(trained.labels) if label < RELEVANT]
        given: list[tuple[str, ...]] = [(trained.passages[row],) for row in rows]
    else:
        rows = [row for row, texts in enumerate(trained.negatives) if texts]
        given = [trained.negatives[row] for row in rows]
    text, bearers = commonest(given)
    answers = len({trained.passages[row] for row in right})
    if not right or len(bearers) < max(ENOUGH, SAME_NEGATIVE * len(rows), UNEVEN * len(rows) / max(1, answers)):
        return None
    as_right = sum(canonical(trained.passages[row]) == text for row in right) / len(right)
    if UNEVEN * as_right > len(bearers) / len(rows):
        return None
    row = rows[bearers[0]]
    ids = (trained.passage_ids[row],) if trained.labelled else trained.negative_ids[row]
    said = zip(ids, given[bearers[0]], strict=True)
    name = next(name for name, negative in said if canonical(negative) == text)
    return DataFinding(
        "same_negative",
        "warning",
        f"one text is the wrong passage of {len(bearers)} of {len(rows)} training pairs that have one "
        f"({share(len(bearers), len(rows))}): to know it is enough to tell it apart.",
        "Give other negatives, such as mined ones (negatives in the training's configuration), or none",
        ((TextName("passage", name),),),
    )


def _known_negatives(material: Material) -> DataFinding | None:
    """Given negatives that are known unread: by their length, or by what they begin with."""
    trained = material.trained
    rows = [] if trained.labelled else [row for row, texts in enumerate(trained.negatives) if texts]
    if len(rows) < ENOUGH:
        return None
    kinds = ("twice as long as each of its given negatives", "half as long as each of its given negatives")
    told = [(found, f"is {kind}") for kind, found in zip(kinds, told_by_length(trained, rows), strict=True)]
    negatives = [text for row in rows for text in trained.negatives[row]]
    mark = next(iter(common_beginnings(negatives, UNREAD)), "")
    if mark:
        bare = [row for row in rows if not trained.passages[row].startswith(mark)]
        told.append((bare, f"does not begin with {clipped(mark)}, as its given negatives do"))
    found, how = max(told, key=lambda each: len(each[0]))
    part = _of_rows(len(found), len(rows), trained)
    if part.low < UNREAD:
        return None
    return DataFinding(
        "unread_negatives",
        "warning",
        f"The right passage {how} in {part} of the training pairs that have some: it is known without reading it.",
        "Give negatives that look like passages, such as mined ones (mine in the training's configuration), or none",
        _pairs_of(trained, found),
    )


def _exchanged(material: Material) -> DataFinding | None:
    """The long text is the query in some pairs and the passage in the others, or in other splits."""
    trained = material.trained
    ours = sides(trained)
    long = len(ours.queries) + len(ours.passages)
    if long < max(2 * ENOUGH, ours.total / 2):
        return None
    here = _of_rows(len(ours.queries), long, trained)
    fewer = ours.queries if here.value <= 0.5 else ours.passages
    advice = "Look at these (--show-texts), and exchange query and passage where they are in each other's column"
    if min(here.low, 1 - here.high) > TURNED and ours.correlation < APART:
        says = (
            f"query and passage look exchanged in some rows: the query is the long text in {here} of {long} training "
            "pairs with one of at least twice the length, and the passage in the others."
        )
        return DataFinding(
            "exchanged_columns", "warning", says[0].upper() + says[1:], advice, _pairs_of(trained, fewer)
        )
    for split in material.held_out:
        part = material.data.splits[split]
        theirs = sides(part)
        count = len(theirs.queries) + len(theirs.passages)
        if count < max(ENOUGH, theirs.total / 2):
            continue
        there = _of_rows(len(theirs.queries), count, part)
        if (here.value - 0.5) * (there.value - 0.5) < 0 and abs(here.value - there.value) > 0.5:
            says = (
                f"Query and passage look exchanged between splits: the query is the long text in {here} of the "
                f"training pairs with a long one, and in {there} of those of {split}."
            )
            return DataFinding(
                "exchanged_columns", "warning", says, advice, _pairs_of(part, [*theirs.queries, *theirs.passages])
            )
    return None


def _repeated(material: Material, split: str) -> DataFinding | None:
    """A held-out split with few different pairs: its score is of so many."""
    part = material.data.splits[split]
    kept, dropped = without_repeats(part)
    if dropped < REPEATED * len(part) or len(part) < ENOUGH:
        return None
    return DataFinding(
        "repeated_held_out",
        "warning",
        f"{dropped} of {len(part)} rows of {split} ({share(dropped, len(part))}) repeat another one: a score on it is "
        f"of {len(kept)} pairs and {len(set(kept.queries))} queries.",
        "Remove them, so that counts mean what they say",
        _pairs_of(kept, list(range(len(kept)))),
    )
