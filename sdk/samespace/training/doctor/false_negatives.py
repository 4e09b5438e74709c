"""Passages that answer a query and are trained on as if they did not.

A passage becomes a negative of a query because the data says so, or because it is in one batch with it. Three kinds of
evidence that it answers the query all the same, from certain to probable:

known       the set says so: the same query has it as a positive elsewhere, or a near-duplicate of it that has every
            word that the query asks for
likely      the same question in other small words has it, or such a near-duplicate of it, as a positive
suspected   the base encoder finds it nearer to the query than the query's best positive is, less a margin, and nearer
            to that positive than the query is

The last condition keeps passages out that the encoder merely ranks wrongly: what answers a query in other words is like
the answer. Even so a suspicion is right in three of ten cases at best, and healthy sets have them for half of their
queries. So it is a note, and a warning only for given negatives that are nearer to the answer than passages of this set
ever are to one that they are not. Source of the margin: positive-aware mining, Moreira et al. 2024, arXiv:2407.15831,
section 4.

What it gives up: what an encoder cannot see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...evaluation.retrieval import Embedder
from ...progress import Advance
from ..data.content import content
from ..data.examples import RELEVANT, Examples
from ..data.leakage import same_question, told_apart
from ..data.near_duplicates import canonical
from .diagnosis import Check, DataFinding, Histogram, TextName, few, interval, share
from .material import Material

MARGIN: Final = 0.05
"""Cosine by which a suspected passage may be below the positive."""
MOST: Final = 2000
"""Training examples that the encoder looks at, spread evenly; the passages of all of them are each one's negatives."""
BATCH: Final = 64
"""Pairs of a batch for which collisions are told: the trainer's default."""
_LARGEST_GROUP: Final = 500
FEW: Final = 0.01
"""Share of queries with a known or likely wrong negative that is worth a warning."""
MANY: Final = 0.03
"""Share of queries with a given negative beyond what is usual in the set that is worth a warning: its lower bound."""
USUAL: Final = 0.99
"""Quantile of how near the nearest passage of another query is to an answer: what is usual."""


def known_false_negatives(material: Material) -> Check:
    """Given negatives, and passages of other examples, that are positives by the set's own judgements."""
    trained = _positives(material.trained)
    exact, near = _answers(material, trained)
    findings = []
    wrong: dict[str, list[tuple[TextName, ...]]] = {"known": [], "likely": []}
    affected: dict[str, set[str]] = {"known": set(), "likely": set()}
    for query, negatives in _given(trained):
        for passage in negatives:
            kind = _evidence(material, query, passage, exact, near)
            if kind:
                wrong[kind].append((TextName("query", query), TextName("passage", passage)))
                affected[kind].add(query)
    given = sum(len(negatives) for _, negatives in _given(trained))
    queries = len(set(trained.query_ids))
    for kind, because in (
        ("known", "are positives of the same query by other examples, or near-duplicates of its positives"),
        ("likely", "are positives of a near-duplicate of their query"),
    ):
        if wrong[kind]:
            findings.append(
                DataFinding(
                    f"{kind}_false_negatives",
                    "error" if kind == "known" and len(wrong[kind]) >= FEW * given else "warning",
                    f"{len(wrong[kind])} of {given} given negatives ({share(len(wrong[kind]), given)}) {because}.",
                    "Remove these negatives: training would push right answers away",
                    few(wrong[kind]),
                )
            )
    pairs = _collisions(material, trained)
    n = len(trained)
    expected = BATCH * (BATCH - 1) * pairs / (n * (n - 1)) if n > 1 else 0.0
    if pairs:
        often = expected >= 0.05 * BATCH
        findings.append(
            DataFinding(
                "in_batch_false_negatives",
                "warning" if often else "note",
                f"{pairs} ordered pairs of examples are right answers to each other's query by near-duplicates: "
                f"about {expected:.2g} wrong negatives in a batch of {min(BATCH, n)}.",
                "Train with batches that hold no two examples of a group of near-duplicates, or with false negatives "
                "masked"
                if often
                else "",
            )
        )
    numbers: dict[str, Any] = {
        "queries": queries, "given_negatives": given, "known": len(wrong["known"]), "likely": len(wrong["likely"]),
        "in_batch_pairs": pairs, "in_batch_expected": round(expected, 4),
    }  # fmt: skip
    return Check("false_negatives", "False negatives, by the data", tuple(findings), numbers)


def _positives(trained: Examples) -> Examples:
    if not trained.labelled:
        return trained
    return trained.rows([row for row, label in enumerate(trained.labels) if label >= RELEVANT])


def _given(trained: Examples) -> Iterator[tuple[str, dict[str, None]]]:
    """(query id, ids of its given negatives), each query once."""
    given: dict[str, dict[str, None]] = defaultdict(dict)
    for query, negatives in zip(trained.query_ids, trained.negative_ids, strict=True):
        given[query].update(dict.fromkeys(negatives))
    yield from given.items()


def _answers(
    material: Material, trained: Examples
) -> tuple[Mapping[str, set[str]], Mapping[str, set[tuple[str, str]]]]:
    """Passages that answer: by the query's canonical form; and with their queries, by the query's group."""
    exact: dict[str, set[str]] = defaultdict(set)
    near: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for query_id, query, passage_id in zip(trained.query_ids, trained.queries, trained.passage_ids, strict=True):
        exact[canonical(query)].add(passage_id)
        near[material.query_groups[query_id]].add((query, passage_id))
    return exact, near


def _evidence(
    material: Material,
    query: str,
    passage: str,
    exact: Mapping[str, set[str]],
    near: Mapping[str, set[tuple[str, str]]],
) -> str:
    asked = material.queries[query]
    if any(_as_good(material, passage, answer, asked) for answer in exact[canonical(asked)]):
        return "known"
    alike = (answer for other, answer in near[material.query_groups[query]] if same_question(other, asked))
    return "likely" if any(_as_good(material, passage, answer, asked) for answer in alike) else ""


def _as_good(material: Material, passage: str, answer: str, asked: str) -> bool:
    """Whether a passage is an answer, or a near-duplicate of one that lacks nothing that the query asks for."""
    if material.passage_groups.get(passage) != material.passage_groups[answer]:
        return False
    said, known = material.passages[passage], material.passages[answer]
    return canonical(said) == canonical(known) or not (content(known) - content(said)) & content(asked)


def _collisions(material: Material, trained: Examples) -> int:
    """Ordered pairs of examples of which one's passage answers the other's query, and is not the same text.

    The same text never stands twice in a batch: the sampler sees to that.
    """
    in_query_group: dict[str, list[int]] = defaultdict(list)
    in_passage_group: dict[str, list[int]] = defaultdict(list)
    for row in range(len(trained)):
        in_query_group[material.query_groups[trained.query_ids[row]]].append(row)
        in_passage_group[material.passage_groups[trained.passage_ids[row]]].append(row)
    clash: set[tuple[int, int]] = set()
    for rows, by_query in ((in_query_group, True), (in_passage_group, False)):
        for members in rows.values():
            if 1 < len(members) <= _LARGEST_GROUP:  # larger groups are boilerplate, and would be millions of pairs
                clash |= {(one, other) for one in members for other in members if _clash(trained, one, other, by_query)}
    return len(clash)


def _clash(trained: Examples, one: int, other: int, by_query: bool) -> bool:
    if trained.passages[one] == trained.passages[other] or trained.queries[one] == trained.queries[other]:
        return False
    queries = trained.queries[one], trained.queries[other]
    return (
        same_question(*queries)
        if by_query
        else not told_apart(trained.passages[one], trained.passages[other], *queries)
    )


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A negative that the encoder takes for an answer.

    Attributes:
        query, positive, negative: ids.
        score, positive_score: cosines of the query with the two.
    """

    query: str
    positive: str
    negative: str
    score: float
    positive_score: float


def suspected_false_negatives(
    material: Material,
    embedder: Embedder,
    *,
    margin: float = MARGIN,
    most: int = MOST,
    progress: Advance | None = None,
) -> Check:
    """What the base encoder says of the negatives of up to *most* training examples.

    Each example's negatives are its given ones and the positives of the other examples, as in a batch of all of them.
    """
    positives = _positives(material.trained)
    rows = np.unique(np.linspace(0, len(positives) - 1, min(most, len(positives))).astype(int))
    sample = positives.rows([int(row) for row in rows])
    found, gaps = suspicions(sample, positives, embedder, margin, progress)
    queries = list(dict.fromkeys(sample.query_ids))
    concerned = {each.query for each in found}
    given = {(query, passage) for query, passage_ids in _given(sample) for passage in passage_ids}
    of_given = [each for each in found if (each.query, each.negative) in given]
    unusual = _unusual(of_given, sample, material, embedder)
    findings = []
    if unusual:
        asked = {query for query, _ in given}
        affected = len({each.query for each in unusual})
        low, high = interval(affected, len(asked))
        if low >= MANY:
            findings.append(
                DataFinding(
                    "suspected_false_negatives",
                    "warning",
                    f"{len(unusual)} given negatives, of {affected} of {len(asked)} queries that have some "
                    f"({share(affected, len(asked))}; {share(low, 1)} to {share(high, 1)}), are nearer to the right "
                    f"answer, by {embedder.name}, than passages of other queries are in this set.",
                    "Look at some of them (--show-texts); where they are right answers, remove them",
                    _shown(unusual),
                )
            )
    if concerned and not findings:
        findings.append(
            DataFinding(
                "nearer_negatives",
                "note",
                f"for {len(concerned)} of {len(queries)} queries ({share(len(concerned), len(queries))}) "
                f"{embedder.name} finds another passage about as near as the right one; healthy sets have that too, so "
                "it tells nothing of false negatives.",
                "",
                _shown(found),
            )
        )
    numbers: dict[str, Any] = {
        "encoder": embedder.name, "margin": margin, "examples": len(sample), "queries": len(queries),
        "suspected": len(found), "queries_concerned": len(concerned), "given_negatives_among_them": len(of_given),
        "unusual": len(unusual),
    }  # fmt: skip
    picture = Histogram("cosine of the best positive less that of the nearest other passage", {"queries": gaps})
    return Check("suspected", "False negatives, by the encoder", tuple(findings), numbers, histograms=(picture,))


def _shown(found: Sequence[Suspicion]) -> tuple[tuple[TextName, ...], ...]:
    return few(
        [
            (TextName("query", each.query), TextName("passage", each.positive), TextName("passage", each.negative))
            for each in sorted(found, key=lambda each: each.positive_score - each.score)
        ]
    )


def _unusual(
    suspected: Sequence[Suspicion], sample: Examples, material: Material, embedder: Embedder
) -> list[Suspicion]:
    """Those whose negative is nearer to the positive than passages of other queries nearly ever are to one."""
    if not suspected:
        return []
    answers: dict[str, set[str]] = defaultdict(set)
    for query, passage in zip(sample.query_ids, sample.passages, strict=True):
        answers[query].add(passage)
    texts = list(dict.fromkeys(sample.passages))
    place = {text: row for row, text in enumerate(texts)}
    rows = np.asarray(embedder.encode(texts, "passage"))
    nearest = []
    for own in answers.values():
        mine = [place[text] for text in own]
        likeness = (rows @ rows[mine].T).max(axis=1)
        likeness[mine] = -1.0
        nearest.append(float(likeness.max()))
    bar = float(np.quantile(nearest, USUAL))
    pairs = [(material.passages[each.positive], material.passages[each.negative]) for each in suspected]
    left, right = (np.asarray(embedder.encode([pair[side] for pair in pairs], "passage")) for side in (0, 1))
    likeness = np.einsum("nd,nd->n", left, right)
    return [each for each, near in zip(suspected, likeness, strict=True) if near > bar]


def suspicions(
    sample: Examples, judged: Examples, embedder: Embedder, margin: float, progress: Advance | None = None
) -> tuple[list[Suspicion], list[float]]:
    """Suspected negatives of each example of *sample*, and for each query the gap to the nearest other passage.

    Nothing is suspected that *judged*, which the sample is drawn from, knows as an answer.
    """
    texts: dict[str, str] = {}
    for negatives, names in zip(sample.negatives, sample.negative_ids, strict=True):
        texts.update(zip(names, negatives, strict=True))
    texts.update(zip(sample.passage_ids, sample.passages, strict=True))
    place = {name: row for row, name in enumerate(texts)}
    asked = dict(zip(sample.query_ids, sample.queries, strict=True))
    queries = np.asarray(embedder.encode(list(asked.values()), "query", progress=progress))
    passages = np.asarray(embedder.encode(list(texts.values()), "passage", progress=progress))
    answers: dict[str, set[int]] = defaultdict(set)
    same: dict[str, set[int]] = defaultdict(set)
    for name, text in texts.items():
        same[canonical(text)].add(place[name])
    for query, text in zip(judged.query_ids, judged.passages, strict=True):
        answers[query] |= same.get(canonical(text), set())
    allowed = np.zeros(len(place), dtype=bool)  # negatives of the batch: the positives of others
    allowed[[place[name] for name in dict.fromkeys(sample.passage_ids)]] = True
    own: dict[str, list[int]] = {query: [place[name] for name in names] for query, names in _given(sample)}
    return _compare(list(asked), list(place), (queries, passages), (allowed, own, answers), margin)


def _compare(
    asked: Sequence[str], names: Sequence[str], vectors: tuple[Any, Any], pool: tuple[Any, ...], margin: float
) -> tuple[list[Suspicion], list[float]]:
    """Hold the candidates of each query against its best answer: a weak answer would make all others look good."""
    queries, passages = vectors
    allowed, own, answers = pool
    found: list[Suspicion] = []
    gaps: list[float] = []
    for query, vector in zip(asked, queries, strict=True):
        scores = passages @ vector  # (passages,)
        known = sorted(answers[query])
        candidates = allowed.copy()
        candidates[own[query]] = True
        candidates[known] = False
        if not candidates.any():
            continue
        best = known[int(np.argmax(scores[known]))]
        gaps.append(float(scores[best] - scores[candidates].max()))
        near = np.flatnonzero(candidates & (scores >= scores[best] - margin))
        likeness = passages[near] @ passages[best]
        found += [
            Suspicion(query, names[best], names[passage], float(scores[passage]), float(scores[best]))
            for passage in near[likeness >= scores[best]]
        ]
    return found, gaps
