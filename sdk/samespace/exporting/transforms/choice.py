"""Which transform is worth having: every candidate on one development split, from one encoding.

A transform comes after the encoder, so the texts are encoded once, without one. It acts on each *window*: the
exported graph ends with it, and pooling the windows of a long text comes later. So windows are kept apart here,
each candidate is applied to them, and they are pooled as `embed` pools them: the score is that of the artifact.

What it leaves to others: fits (`fit`), running the encoder (`export.fastest`), metrics and bootstrap (`evaluation`).
What it gives up: sets whose window vectors do not fit into memory (a million windows of 384 dims are 1.5 GB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ...embed import Model, assemble, embed_texts
from ...errors import RequestInvalid
from ...evaluation import (
    Comparison,
    Dataset,
    VectorRanker,
    effective_rank,
    evaluate,
    mean_cosine,
    uniformity,
)
from ...model.transform import Transform
from ...progress import Advance
from ...text import Role, TextEncoder, TokenizedText
from ...vectors import Float32
from .fit import NONE, Moments, TransformCandidate, fit

SAMPLE: Final = 5000
"""Windows that a fit sees, unless told otherwise: some ten for each dim of a common encoder."""
MAX_LOSS: Final = 1.0
"""Points of nDCG@10 (of 100) that a smaller size may cost before it no longer counts as small enough."""
SIGNIFICANT: Final = 0.05
_FLOAT32_BYTES: Final = 4
_ISOTROPY_ROWS: Final = 2000  # passages that rank, cosine and uniformity are computed on: seconds, not minutes


@dataclass(frozen=True, slots=True)
class WindowVectors:
    """Texts encoded window by window, without a transform.

    Attributes:
        texts: what the windows are; their token ids are let go.
        vectors: (windows, dims), float32, unit rows, in the order of the texts.
    """

    texts: tuple[TokenizedText, ...]
    vectors: Float32

    def pooled(self, transform: Transform | None) -> Float32:
        """(texts, transform's dims), float32: what an encoder with *transform* gives for the texts."""
        vectors = self.vectors if transform is None else transform.apply(self.vectors)
        return assemble(self.texts, vectors, "pool").vectors

    def sample(self, size: int, *, seed: int = 0) -> Float32:
        """At most *size* of the windows, without one twice, in their order; the same for the same seed."""
        rows = np.random.default_rng(seed).permutation(len(self.vectors))[:size]
        return self.vectors[np.sort(rows)]


def encode_windows(
    model: Model,
    text_encoder: TextEncoder,
    texts: Sequence[str],
    role: Role,
    *,
    dims: int,
    progress: Advance | None = None,
) -> WindowVectors:
    """Encode *texts*, one vector a window; *progress* gets each number of texts done."""
    embedded = embed_texts(model, text_encoder, texts, role, dims=dims, long_texts="windows", progress=progress)
    # Pooling needs how many tokens of its own each window has, which `Embedded` does not say.
    tokenized = text_encoder.tokenize(texts, role)
    return WindowVectors(
        tuple(replace(text, windows=tuple(replace(each, ids=()) for each in text.windows)) for text in tokenized),
        embedded.vectors,
    )


def fit_all(
    candidates: Sequence[TransformCandidate], sample: Moments, *, fitted_on: str
) -> tuple[dict[TransformCandidate, Transform | None], tuple[RequestInvalid, ...]]:
    """Each candidate fitted, "none" first whether named or not; and why others could not be."""
    fitted: dict[TransformCandidate, Transform | None] = {NONE: None}
    refused = []
    for candidate in candidates:
        try:
            fitted[candidate] = fit(candidate, sample, fitted_on=fitted_on)
        except RequestInvalid as error:
            refused.append(error)
    return fitted, tuple(refused)


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """One row of the table.

    Attributes:
        dims: length of a vector.
        ndcg_10, recall_100: mean over the queries, in [0, 1].
        effective_rank, mean_cosine, uniformity: of a sample of the passages' vectors; see `evaluation.isotropy`.
        change: nDCG@10 against none on the same queries; None for none itself.
    """

    candidate: TransformCandidate
    dims: int
    ndcg_10: float
    recall_100: float
    effective_rank: float
    mean_cosine: float
    uniformity: float
    change: Comparison | None

    @property
    def bytes(self) -> int:
        """Size of a vector in float32."""
        return _FLOAT32_BYTES * self.dims

    @property
    def points(self) -> float:
        """Change of nDCG@10 against none, in points of 0.01."""
        return 0.0 if self.change is None else 100 * self.change.mean

    def to_json(self) -> dict[str, Any]:
        """The plain form, for `json.dumps`."""
        return {
            "transform": str(self.candidate),
            "dims": self.dims,
            "bytes": self.bytes,
            "ndcg@10": self.ndcg_10,
            "recall@100": self.recall_100,
            "effective_rank": self.effective_rank,
            "mean_cosine": self.mean_cosine,
            "uniformity": self.uniformity,
            "ndcg@10_change": None if self.change is None else self.change.to_json(),
        }


def score_all(
    dataset: Dataset,
    queries: WindowVectors,
    passages: WindowVectors,
    transforms: Mapping[TransformCandidate, Transform | None],
) -> tuple[CandidateScore, ...]:
    """Score each transform on the queries of *dataset*, in the order given.

    Args:
        queries, passages: the texts of *dataset*, encoded.
        transforms: what `fit_all` gave: "none" comes first.
    """
    scores: list[CandidateScore] = []
    baseline = None
    rows = np.sort(np.random.default_rng(0).permutation(len(passages.texts))[:_ISOTROPY_ROWS])
    for candidate, transform in transforms.items():
        ranker = VectorRanker(str(candidate), queries.pooled(transform), passages.pooled(transform))
        evaluation = evaluate(ranker, dataset)
        if baseline is None:
            assert candidate == NONE
            baseline = evaluation
        seen = ranker.passages[rows]
        scores.append(
            CandidateScore(
                candidate=candidate,
                dims=ranker.passages.shape[1],
                ndcg_10=evaluation.score.ndcg_10,
                recall_100=evaluation.score.recall_100,
                effective_rank=effective_rank(seen),
                mean_cosine=mean_cosine(seen) if len(seen) > 1 else 1.0,
                uniformity=uniformity(seen) if len(seen) > 1 else 0.0,
                change=None if candidate == NONE else evaluation.against(baseline),
            )
        )
    return tuple(scores)


def best(scores: Sequence[CandidateScore]) -> CandidateScore:
    """None, unless a candidate is better and not by chance: then the one with the highest nDCG@10.

    Many are tried on the same queries, so that the luckiest looks good. Its p-value has to be below 0.05 divided by
    how many were tried (Bonferroni): a transform makes another space, which is not moved to on a guess.
    """
    tried = max(1, len(scores) - 1)
    real = [each for each in scores if each.change and each.points > 0 and each.change.p_value * tried < SIGNIFICANT]
    return max(real, key=lambda each: each.ndcg_10, default=scores[0])


def smallest(scores: Sequence[CandidateScore], *, max_loss: float = MAX_LOSS) -> CandidateScore:
    """The candidate with the fewest dims that loses at most *max_loss* points; of equal ones that with most nDCG@10."""
    return min((each for each in scores if each.points >= -max_loss), key=lambda each: (each.dims, -each.ndcg_10))
