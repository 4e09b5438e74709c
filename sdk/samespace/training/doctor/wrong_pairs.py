"""Pairs that do not belong together: shuffled rows, wrong positives, labels the wrong way round.

Each pair of a sample is placed among all others (`pairing`). Right pairs are near the top; a wrong pair is where a pair
of chance is. So the share of pairs in the lower part, over the share that chance puts there, bounds how many are wrong.
It is held against two measures: what right pairs of low overlap may look like, and what the held-out splits of the same
set show. Source of the ratio: Storey 2002, "A direct approach to false discovery rates", section 2.

What it gives up: single wrong pairs. And without an encoder, sets whose right pairs share no words: it says so then.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...evaluation.retrieval import Embedder
from ...progress import Advance
from ..data.examples import RELEVANT, Examples
from ..data.near_duplicates import canonical
from ..data.sources import without_repeats
from .diagnosis import Check, DataFinding, Severity, Table, TextName, few, interval, share
from .languages import language
from .material import Material
from .pairing import Placed, comparable, placed, sampled, with_words

LOW: Final = 0.3
"""Place from which a pair is in the lower part."""
USUAL: Final = 0.03
"""Share of pairs that may look wrong to an encoder in a set that is right: the lower bound has to be above."""
USUAL_BY_WORDS: Final = 0.05
"""The same by words alone: of docstrings, 5 % of the right pairs share no word that tells; by the bound, 3.8 %."""
EXCESS: Final = 0.01
"""And so much above the held-out splits, where there are any."""
MANY: Final = 0.10
MOST_OF_THEM: Final = 0.5
FEWEST: Final = 40
"""Examples below which nothing is said."""
EVIDENCE: Final = 0.25
"""Share of pairs that have to share a word, for words to say anything."""
INVERTED: Final = 0.45
"""Area under the curve below which labels are the wrong way round; 0.5 is chance."""
TURNED: Final = 0.05
"""Share of labels that have to be the wrong way round, by the lower bound, for a warning."""
_ZONES: Final = (-1.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.01)
_FITS: Final = 20.0
"""Chi squared up to which labels are two kinds of pairs mixed: 20.1 at 1 % and eight degrees of freedom."""
_NO_LESS: Final = -1.7
"""Standard errors below nothing that a zone's share of right pairs may be."""
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{share(self.value, 1)} ({share(self.low, 1)} to {share(self.high, 1)})"

    def to_json(self) -> dict[str, float]:
        """The plain form."""
        return {"share": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def wrong_share(found: Placed) -> Share:
    """How many of the pairs are where pairs of chance are, at most; right pairs that are hard to tell count too."""
    chance = max(float((found.random > LOW).mean()), 1e-9)
    low, high = interval(int((found.places > LOW).sum()), len(found.places), found.queries)
    seen = float((found.places > LOW).mean())
    return Share(*(min(1.0, each / chance) for each in (seen, low, high)))


def excess(one: Share, other: Share) -> float:
    """Lower bound of *one* - *other*.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
    """
    return one.value - other.value - math.hypot(one.value - one.low, other.high - other.value)


def wrong_pairs(material: Material, embedder: Embedder | None = None, progress: Advance | None = None) -> Check:
    """Whether the training pairs belong together, by words, and by the encoder where there is one."""
    title = "Whether pairs belong together"
    trained = material.trained
    worded = len(with_words(trained))
    apart = worded - len(comparable(trained, embedder))
    if worded >= FEWEST > worded - apart:
        says = "hardly any query is in the script of its passage, so words cannot tell; name an encoder (--encoder)."
        return Check("pairing", title, (DataFinding("pairing_not_told", "note", says),))
    if trained.labelled and worded >= FEWEST:
        return Check("pairing", title, *_labels(material, embedder, progress))
    if worded < FEWEST or len(set(trained.passages)) < FEWEST // 4:
        return Check("pairing", title, (), {"examples": len(trained)})
    silent = None if embedder is not None else _languages(trained)
    if silent:
        return Check("pairing", title, (DataFinding("pairing_not_told", "note", silent),))
    found = placed(trained, embedder, progress=progress)
    if not len(found.random):
        says = "no pair of another query and another passage can be made of the training pairs to hold them against."
        return Check("pairing", title, (DataFinding("pairing_not_told", "note", says),))
    if embedder is None and found.evidence < EVIDENCE:
        says = (
            f"only {share(found.evidence, 1)} of the training pairs share a word, so words cannot tell whether they "
            "belong together; name an encoder (--encoder)."
        )
        return Check("pairing", title, (DataFinding("pairing_not_told", "note", says),))
    measured = wrong_share(found)
    others = _held_out(material, embedder, progress)
    joined = wrong_share(_joined(list(others.values()))) if others else None
    rows: list[tuple[object, ...]] = [(material.train, len(found.rows), str(measured))]
    rows += [(split, len(each.rows), str(wrong_share(each))) for split, each in others.items()]
    numbers: dict[str, Any] = {"examples": len(found.rows), "train": measured.to_json(), "by": _by(embedder)}
    if apart:
        numbers["in_other_scripts"] = apart
    if joined is not None:
        numbers["held_out"] = joined.to_json()
    head = ("split", "examples", "look like pairs of chance")
    told = _verdict(material, found, measured, joined, embedder)
    told += tuple(_of_held_out(material, others, measured, embedder))
    return Check("pairing", title, told, numbers, (Table(head, tuple(rows)),))


def _by(embedder: Embedder | None) -> str:
    return "words" if embedder is None else f"words and {embedder.name}"


def _languages(trained: Examples) -> str | None:
    """Why words cannot tell: queries and passages are in two languages."""
    some = sampled(len(trained), 300)
    main = []
    for texts in (trained.queries, trained.passages):
        known = Counter(language(texts[row]) for row in some)
        named = [(name, count) for name, count in known.most_common() if "unknown" not in name and name != "none"]
        main.append(named[0][0] if named and 2 * named[0][1] > len(some) else None)
    if main[0] and main[1] and main[0] != main[1]:
        return (
            f"most queries are {main[0]} and most passages {main[1]}, so words cannot tell whether pairs belong "
            "together; name an encoder that knows both (--encoder)."
        )
    return None


def _held_out(material: Material, embedder: Embedder | None, progress: Advance | None) -> dict[str, Placed]:
    """What each held-out split shows, where it is large enough."""
    parts = {split: _of_two_texts(without_repeats(material.data.splits[split])[0]) for split in material.held_out}
    looked = {
        split: placed(part, embedder, progress=progress)
        for split, part in parts.items()
        if len(comparable(part, embedder)) >= FEWEST and not part.labelled
    }
    return {split: found for split, found in looked.items() if len(found.random)}


def _of_two_texts(part: Examples) -> Examples:
    """The examples whose query is not their passage: such a pair is at fault itself, and no measure for training."""
    pairs = enumerate(zip(part.queries, part.passages, strict=True))
    return part.rows([row for row, (query, passage) in pairs if canonical(query) != canonical(passage)])


def _joined(looked: Sequence[Placed]) -> Placed:
    return Placed(
        rows=np.concatenate([each.rows for each in looked]),
        places=np.concatenate([each.places for each in looked]),
        random=np.concatenate([each.random for each in looked]),
        nearness=np.concatenate([each.nearness for each in looked]),
        strangers=np.concatenate([each.strangers for each in looked]),
        evidence=float(np.mean([each.evidence for each in looked])),
        queries=sum(each.queries for each in looked),
    )


def _of_held_out(
    material: Material, others: Mapping[str, Placed], trained: Share, embedder: Embedder | None
) -> Iterator[DataFinding]:
    """Held-out splits whose own pairs do not belong together: a score on them is noise.

    They may well be harder than what is trained on, so more has to look wrong than in training.
    """
    for split, found in others.items():
        measured = wrong_share(found)
        if measured.low < MANY or excess(measured, trained) <= EXCESS:
            continue
        part = _of_two_texts(without_repeats(material.data.splits[split])[0])
        worst = [int(found.rows[at]) for at in np.argsort(-found.places, kind="stable") if found.places[at] > LOW]
        names = [(TextName("query", part.query_ids[row]), TextName("passage", part.passage_ids[row])) for row in worst]
        says = (
            f"The pairs of {split} may not belong together: by {_by(embedder)}, {measured} of {len(found.rows)} are no "
            f"nearer than chance; in {material.train} it is {trained}. A score on them would say little."
        )
        told = embedder is not None or found.evidence >= EVIDENCE
        severity: Severity = "error" if measured.low >= MOST_OF_THEM and told else "warning"
        advice = f"Look at these (--show-texts), and at how queries and passages of {split} were joined"
        advice += "" if told else "; an encoder (--encoder) tells wrong pairs from right ones in other words"
        yield DataFinding("wrong_pairs_held_out", severity, says, advice, few(names))


def _verdict(
    material: Material, found: Placed, measured: Share, held_out: Share | None, embedder: Embedder | None
) -> tuple[DataFinding, ...]:
    more = held_out is not None and excess(measured, held_out) > EXCESS
    usual = USUAL if embedder is not None else USUAL_BY_WORDS
    if not (measured.low > usual or (more and measured.low > EXCESS)):
        return _perhaps(measured) if measured.low > USUAL and held_out is None else ()
    severity: Severity = "warning"
    if measured.low >= MOST_OF_THEM or (measured.low >= MANY and (more or embedder is not None)):
        severity = "error"
    beside = "" if held_out is None else f" In the held-out splits it is {held_out}."
    if measured.high > 0.9 and measured.low >= MOST_OF_THEM:
        what = "the training pairs look put together at random: the two columns may be shuffled, or of different rows."
    else:
        what = "so many training pairs may have a wrong passage."
    worst = np.argsort(-found.places, kind="stable")
    trained = material.trained
    examples = [
        (TextName("query", trained.query_ids[row]), TextName("passage", trained.passage_ids[row]))
        for row in (int(found.rows[at]) for at in worst if found.places[at] > LOW)
    ]
    says = f"{what[0].upper()}{what[1:]} By {_by(embedder)}, {measured} of {len(found.rows)} are no nearer than chance."
    hard = "" if severity == "error" else "; where they are right, the set is hard for words and this encoder"
    advice = f"Look at these (--show-texts), and at how queries and passages were joined{hard}"
    return (DataFinding("wrong_pairs", severity, says + beside, advice, few(examples)),)


def _perhaps(measured: Share) -> tuple[DataFinding, ...]:
    says = (
        f"by words, {measured} of the training pairs are no nearer than chance. Right pairs in other words look so "
        "too; an encoder (--encoder) or held-out splits would tell."
    )
    return (DataFinding("wrong_pairs_not_told", "note", says),)


def _labels(
    material: Material, embedder: Embedder | None, progress: Advance | None
) -> tuple[tuple[DataFinding, ...], dict[str, Any]]:
    """Whether pairs that are said to belong together are nearer than the others."""
    trained = material.trained
    found = placed(trained, embedder, progress=progress)
    labels = np.array([trained.labels[row] for row in found.rows])
    right = labels >= RELEVANT
    if min(right.sum(), (~right).sum()) < FEWEST // 2:
        return (), {"examples": len(found.rows)}
    area = area_under_curve(found.nearness[right], found.nearness[~right])
    turned = turned_share(found.nearness[right], found.nearness[~right], found.strangers)
    numbers: dict[str, Any] = {"examples": len(found.rows), "area_under_curve": area.to_json(), "by": _by(embedder)}
    if turned is None:  # pairs below may be hard on purpose: nearer by words than those that belong together
        return (), numbers
    numbers["turned"] = turned.to_json()
    if area.high < 0.5 and area.value < INVERTED:
        worst = np.argsort(np.where(right, found.nearness, np.inf))[:5]
        says = (
            f"labels look the wrong way round: by {_by(embedder)}, a pair with a label of {RELEVANT:g} or more is "
            f"nearer than one below in {share(area.value, 1)} ({share(area.low, 1)} to {share(area.high, 1)}) of all "
            "cases; chance is 50 %."
        )
        advice = (
            "Write 1 for pairs that belong together and 0 for others; in sets of inference 0 is entailment, and has to "
            "become 1"
        )
        names = [
            (TextName("query", trained.query_ids[row]), TextName("passage", trained.passage_ids[row]))
            for row in (int(found.rows[at]) for at in worst)
        ]
        return (DataFinding("inverted_labels", "error", says, advice, few(names)),), numbers
    if area.low < 0.5 < area.high and area.high < 0.5 + INVERTED / 3:
        says = (
            f"labels say nothing that {_by(embedder)} can see: a pair with a label of {RELEVANT:g} or more is nearer "
            f"than one below in {share(area.value, 1)} ({share(area.low, 1)} to {share(area.high, 1)}) of all cases; "
            "chance is 50 %."
        )
        return (DataFinding("labels_by_chance", "warning", says, "Look whether labels and rows are in step"),), numbers
    if turned.low < TURNED:
        return (), numbers
    says = (
        f"so many labels look the wrong way round: {turned} of {len(found.rows)}. By {_by(embedder)}, so many pairs "
        f"below {RELEVANT:g} are as near as those that belong together, and so many above are strangers."
    )
    odd = np.argsort(np.where(right, np.inf, -found.nearness), kind="stable")  # a near pair shows more than a far one
    names = [
        (TextName("query", trained.query_ids[row]), TextName("passage", trained.passage_ids[row]))
        for row in (int(found.rows[at]) for at in odd[:5])
    ]
    advice = "Look at these (--show-texts), and at how labels and pairs were joined"
    return (DataFinding("turned_labels", "warning", f"{says[0].upper()}{says[1:]}", advice, few(names)),), numbers


def turned_share(above: Any, below: Any, strangers: Any) -> Share | None:
    """Which share of labels is the wrong way round, with its 95 % interval; None where nothing of the kind fits.

    Pairs *above* are then right ones mixed with strangers, pairs *below* the same in the other share, zone by zone of
    their places. Negatives that are hard on purpose do not fit: they are nearer than strangers, and right pairs would
    have to be fewer than none somewhere. The share with the least chi squared is taken.

    Args:
        above, below, strangers: nearness in [0, 1] of pairs with a high label, with a low one, and of random pairs.
    """
    (x1, v1), (x0, v0), (x, v) = (_zones(each) for each in (above, below, strangers))
    right = x1 + x0 - x
    if (right / np.sqrt(v1 + v0 + v)).min() < _NO_LESS:
        return None
    shares = np.linspace(0, 1, 401)[:, None]
    left = (1 - shares) * x0 - shares * x1 - (1 - 2 * shares) * x
    chi = (left**2 / ((1 - shares) ** 2 * v0 + shares**2 * v1 + (1 - 2 * shares) ** 2 * v)).sum(axis=1)
    if chi.min() > _FITS:
        return None
    near = shares[chi <= chi.min() + _Z**2, 0]
    return Share(float(shares[chi.argmin(), 0]), float(near.min()), float(near.max()))


def _zones(nearness: Any) -> tuple[Any, Any]:
    """(zones,) shares of the places, and the variance of each."""
    shares = np.histogram(1.0 - np.asarray(nearness), _ZONES)[0] / len(nearness)
    return shares, (shares * (1 - shares) + 1 / len(nearness)) / len(nearness)


def area_under_curve(above: Any, below: Any) -> Share:
    """How often one of *above* is higher than one of *below*, ties half.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", equation 1.
    """
    ordered = np.sort(below)
    smaller, not_larger = np.searchsorted(ordered, above, "left"), np.searchsorted(ordered, above, "right")
    area = float((smaller + not_larger).mean() / (2 * len(ordered)))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    n, m = len(above), len(ordered)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    spread = _Z * math.sqrt(max(0.0, variance))
    return Share(area, max(0.0, area - spread), min(1.0, area + spread))
