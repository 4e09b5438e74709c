"""Whether two encoders share a space: what their vectors retrieve together, beside what each retrieves alone.

Equal dims are no evidence, and nothing inside two artifacts is: only retrieval above chance shows that queries of the
one find passages of the other. `join_towers` wants this evidence, or that the caller insists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...artifact import Artifact
from ...encoder import Encoder
from ...errors import RequestInvalid
from ...evaluation import Bm25Ranker, Dataset, DenseRanker, Embedder, Evaluation, Ranker, Score, evaluate
from ...evaluation.significance import Comparison
from ...progress import Advance, Progress, silent
from ...text import Role
from ...vectors import Vectors
from .chance import above_chance

TOGETHER_SHARE: Final = 0.5
"""Above chance, two towers have to reach this share of what the better one does alone, or they share no space."""
SURE: Final = 0.01
"""The p-value below which a score is above chance."""
FEWEST_QUESTIONS: Final = 20
FEWEST_PASSAGES: Final = 30
"""Fewer cannot tell: among a dozen passages the right one is found among the first ten by chance."""
TOGETHER: Final = "together"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PartScore:
    """One row of what is shown: BM25, an encoder, or several together.

    Attributes:
        dims: length of a vector; None for BM25.
    """

    name: str
    dims: int | None
    evaluation: Evaluation

    @property
    def score(self) -> Score:
        """Its means."""
        return self.evaluation.score


@dataclass(frozen=True, slots=True)
class TowerEvidence:
    """What two encoders score on one retrieval set, alone and together.

    Attributes:
        spaces: full space ids of the encoder of queries and of that of passages.
        data, split: whose queries were asked.
        alone: nDCG@10 of each by itself, in [0, 1].
        together: nDCG@10 of queries through the first and passages through the second.
        rows: these scores and BM25's, to be shown.
        questions, passages: how many different ones there are.
        above: how much each of the three scores is above chance: first, second, together.
    """

    spaces: tuple[str, str]
    data: str
    split: str
    alone: tuple[float, float]
    together: float
    rows: tuple[PartScore, ...]
    questions: int
    passages: int
    above: tuple[Comparison, Comparison, Comparison]

    def require(self, query: Artifact, passage: Artifact) -> None:
        """Raise `RequestInvalid` where this is evidence of other encoders, cannot tell whether these share a space, or
        shows that they do not."""
        if (query.space_id, passage.space_id) != self.spaces:
            raise RequestInvalid(
                field="evidence",
                reason=f"is of spaces {self.spaces[0]} and {self.spaces[1]}, the towers are of {query.space_id} and "
                f"{passage.space_id}; measure these",
            )
        if reason := self._cannot_tell():
            raise RequestInvalid(
                field="--data",
                reason=f"this data cannot tell whether they share a space: {reason}. Give a larger or easier retrieval "
                "set, of texts that the encoders are for",
            )
        *alone, both = self.above
        if both.mean < TOGETHER_SHARE * max(each.mean for each in alone) or not _is_above(both):
            raise RequestInvalid(
                field="ARTIFACTS",
                reason=f"together they score {self.together:.4f} nDCG@10 on {self.data}, {_told(both)}; alone "
                f"{self.alone[0]:.4f} and {self.alone[1]:.4f}: their vectors do not share a space. Train them "
                "together, or concatenate them",
            )

    def _cannot_tell(self) -> str:
        """Why nothing follows from these scores; "" where something does."""
        if self.questions < FEWEST_QUESTIONS or self.passages < FEWEST_PASSAGES:
            return (
                f"{self.data} has {self.questions} questions and {self.passages} passages, and {FEWEST_QUESTIONS} and "
                f"{FEWEST_PASSAGES} are needed"
            )
        if any(_is_above(each) for each in self.above[:2]):
            return ""
        return (
            f"neither of them finds anything by itself on {self.data}: {self.alone[0]:.4f} nDCG@10 is "
            f"{_told(self.above[0])}, {self.alone[1]:.4f} is {_told(self.above[1])}"
        )

    def to_json(self) -> dict[str, Any]:
        """What provenance keeps."""
        return {
            "data": self.data,
            "split": self.split,
            "ndcg@10_alone": list(self.alone),
            "ndcg@10_together": self.together,
            "questions": self.questions,
            "passages": self.passages,
            "above_chance": [[each.mean, each.p_value] for each in self.above],
        }


def _is_above(found: Comparison) -> bool:
    return found.mean > 0 and found.p_value < SURE


def _told(found: Comparison) -> str:
    return f"{100 * found.mean:+.1f} points from chance (p = {found.p_value:.4f})"


def no_evidence() -> RequestInvalid:
    """The refusal of towers that nobody has measured."""
    return RequestInvalid(
        field="evidence",
        reason="missing; only retrieval can show that two encoders were trained together. Give a retrieval set "
        "(--data, in Python `measure_towers`), or insist (--anyway, in Python anyway=True)",
    )


def measure_towers(
    query: Artifact, passage: Artifact, dataset: Dataset, *, progress: Progress = silent, say: Say = lambda _: None
) -> TowerEvidence:
    """Score BM25, each encoder alone, and queries through the first with passages through the second.

    Raises:
        RequestInvalid: their vectors are of unlike length, so that they cannot be compared at all.
        BuildError: an encoder does not run here.
    """
    dims = [each.manifest.identity.dims for each in (query, passage)]
    if dims[0] != dims[1]:
        raise RequestInvalid(field="ARTIFACTS", reason=f"the first has {dims[0]} dims, the second {dims[1]}")
    with Encoder.load(query) as first, Encoder.load(passage) as second:
        encoders = (
            (query.manifest.name, dims[0], first),
            (passage.manifest.name, dims[1], second),
            (TOGETHER, dims[0], _Towers(first, second)),
        )
        rows = score_parts(dataset, encoders, progress=progress, say=say)
    _, left, right, both = (row.score.ndcg_10 for row in rows)
    first_above, second_above, both_above = (above_chance(row.evaluation, dataset) for row in rows[1:])
    return TowerEvidence(
        (query.space_id, passage.space_id),
        dataset.name,
        dataset.split,
        (left, right),
        both,
        rows,
        questions=both_above.queries,
        passages=len(set(dataset.passages)),
        above=(first_above, second_above, both_above),
    )


def score_parts(
    dataset: Dataset,
    encoders: Sequence[tuple[str, int, Embedder]],
    *,
    progress: Progress = silent,
    say: Say = lambda _: None,
) -> tuple[PartScore, ...]:
    """BM25 and each encoder, as (name, dims, encoder), on *dataset*."""
    rankers: list[tuple[str, int | None, Ranker]] = [("bm25", None, Bm25Ranker())]
    rankers += [(name, dims, DenseRanker(encoder)) for name, dims, encoder in encoders]
    rows = []
    for name, dims, ranker in rankers:
        say(f"Scoring {name} on {dataset.name}.")
        with progress(name, len(dataset.passages) + len(dataset.queries)) as advance:
            rows.append(PartScore(name, dims, evaluate(ranker, dataset, progress=advance)))
    return tuple(rows)


def below_best_part(rows: Sequence[PartScore], *, weighted: bool = True) -> str:
    """What to say where the whole, the last of *rows*, is below the best of its parts, with numbers; "" where not.

    Args:
        weighted: whether its parts have weights, as those of a concatenation; a two-tower's have none.
    """
    whole = rows[-1]
    best = max((row for row in rows[:-1] if row.dims is not None), key=lambda row: row.score.ndcg_10)
    found = whole.evaluation.against(best.evaluation)
    if found.mean >= 0:
        return ""
    chance = "" if found.p_value < 0.05 else ": so little can be chance, but nothing is gained"
    return (
        f"warning: {whole.name} ({whole.score.ndcg_10:.4f} nDCG@10, {whole.dims} dims) is below its best part "
        f"{best.name} ({best.score.ndcg_10:.4f}, {best.dims} dims) on {whole.score.data}, {whole.score.split}: "
        f"{100 * found.mean:+.1f} points (95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}, "
        f"p = {found.p_value:.4f}; {found.wins} queries better, {found.losses} worse){chance}. "
        f"Serve {best.name} alone{', or give it more --weight' if weighted else ' for queries and passages'}"
    )


@dataclass(frozen=True, slots=True)
class _Towers:
    """Two encoders as one that is only scored: queries through the first, passages through the second."""

    query: Encoder
    passage: Encoder
    name: str = TOGETHER

    @property
    def space_id(self) -> str:
        return self.query.space_id

    def encode(self, texts: Sequence[str], role: Role, *, progress: Advance | None = None) -> Vectors:
        # For this one measurement the towers are taken to share a space: whether they do is the question.
        encoder = self.query if role == "query" else self.passage
        return Vectors(np.asarray(encoder.encode(texts, role, progress=progress)), self.space_id)
