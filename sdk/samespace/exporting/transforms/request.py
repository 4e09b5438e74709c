"""`samespace transform` as a function: a model and a retrieval set in, every candidate scored and one picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...errors import RequestInvalid
from ...evaluation import Dataset, load_dataset
from ...folders import writes
from ...model.checkpoint import Checkpoint, Overrides, load_checkpoint
from ...model.evidence import TransformEvidence
from ...model.transform import Transform
from ...progress import Progress, silent
from ..fastest import exact_session
from .choice import MAX_LOSS, SAMPLE, CandidateScore, WindowVectors, best, encode_windows, fit_all, score_all, smallest
from .fit import Moments, TransformCandidate, default_candidates, moments

Say = Callable[[str], None]
BEST, SMALLEST = "best", "smallest"


@dataclass(frozen=True, slots=True)
class TransformRequest:
    """What is to be tried.

    Attributes:
        model: what `samespace export` takes, read with the same *overrides*.
        data, split: a BEIR folder; the queries of the split choose, its passages are fitted on.
        candidates: such as "pca:128"; () for all kinds at some sizes.
        sample: windows of passages that the fits see.
        seed: of their choice.
        max_loss: points of nDCG@10 that the smallest may lose.
        pick: "best", "smallest", or a candidate.
        out: file for the picked one; None for none.
    """

    model: str
    data: Path
    split: str = "dev"
    candidates: tuple[str, ...] = ()
    sample: int = SAMPLE
    seed: int = 0
    max_loss: float = MAX_LOSS
    pick: str = BEST
    out: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True, slots=True)
class TransformChoice:
    """What was tried and what was picked.

    Attributes:
        space_id: of the encoder without a transform.
        sample: what was fitted on.
        scores: of every candidate, "none" first.
        best, smallest, picked: three of them.
        transform: the picked one; None where that is "none".
        written: whether it is in the file that was asked for.
    """

    wanted: TransformRequest
    space_id: str
    dataset: Dataset
    sample: Moments
    scores: tuple[CandidateScore, ...]
    best: CandidateScore
    smallest: CandidateScore
    picked: CandidateScore
    transform: Transform | None
    written: bool

    def to_json(self) -> dict[str, Any]:
        """The plain form, for `json.dumps`."""
        return {
            "model": self.wanted.model,
            "space_id": self.space_id,
            "data": self.dataset.name,
            "split": self.dataset.split,
            "queries": len(self.dataset.queries),
            "sampled_windows": self.sample.samples,
            "shrinkage": self.sample.shrinkage,
            "scores": [each.to_json() for each in self.scores],
            "best": str(self.best.candidate),
            "smallest": str(self.smallest.candidate),
            "picked": str(self.picked.candidate),
            "written": str(self.wanted.out) if self.written else None,
        }


@writes("wanted.out")
def choose_transform(
    wanted: TransformRequest, *, progress: Progress = silent, say: Say = lambda _: None
) -> TransformChoice:
    """Encode the set once, fit and score every candidate, and write the one that is picked.

    Raises:
        RequestInvalid: a candidate that means nothing, or a pick that could not be fitted.
        DataInvalid: the data cannot be read, or has no such split.
        ModelUnsupported, GateFailed: the model has no graph that agrees with torch.
    """
    dataset = load_dataset(wanted.data, wanted.split)
    say(f"Reading {wanted.model}.")
    checkpoint = load_checkpoint(wanted.model, wanted.overrides)
    tried = _candidates(wanted, checkpoint.dims)
    queries, passages = _encoded(checkpoint, dataset, progress, say)
    sample = moments(passages.sample(wanted.sample, seed=wanted.seed))
    space_id = checkpoint.identity.space_id()
    transforms, refused = fit_all(tried, sample, fitted_on=space_id)
    for error in refused:
        say(f"left out: {error}")
    scores = score_all(dataset, queries, passages, transforms)
    found = {BEST: best(scores), SMALLEST: smallest(scores, max_loss=wanted.max_loss)}
    picked = found.get(wanted.pick) or next((each for each in scores if str(each.candidate) == wanted.pick), None)
    if picked is None:
        raise RequestInvalid(field="pick", reason=f"{wanted.pick} could not be fitted, as said above")
    chosen = transforms[picked.candidate]
    if wanted.out and chosen and picked.change:
        replace(chosen, evidence=_evidence(wanted, dataset, sample, scores, picked)).save(wanted.out)
    return TransformChoice(
        wanted, space_id, dataset, sample, scores, found[BEST], found[SMALLEST], picked, chosen,
        written=bool(wanted.out and chosen),
    )  # fmt: skip


def _candidates(wanted: TransformRequest, dims: int) -> tuple[TransformCandidate, ...]:
    asked = list(wanted.candidates) or [str(each) for each in default_candidates(dims)]
    if wanted.pick not in (BEST, SMALLEST):
        asked.append(wanted.pick)
    return tuple(TransformCandidate.parse(each, source_dims=dims) for each in asked)


def _encoded(
    checkpoint: Checkpoint, dataset: Dataset, progress: Progress, say: Say
) -> tuple[WindowVectors, WindowVectors]:
    """Queries and passages, window by window."""
    say("Exporting the fp32 graph: the fastest exact way to encode.")
    with exact_session(checkpoint) as session:
        count, texts = len(dataset.passages), len(dataset.passages) + len(dataset.queries)
        say(f"Encoding {count} passages and {len(dataset.queries)} queries of {dataset.split}, once.")
        with progress("texts", texts) as advance:
            path, dims = checkpoint.text_encoder, checkpoint.dims
            queries = encode_windows(session, path, dataset.queries, "query", dims=dims, progress=advance)
            return queries, encode_windows(session, path, dataset.passages, "passage", dims=dims, progress=advance)


def _evidence(
    wanted: TransformRequest,
    dataset: Dataset,
    sample: Moments,
    scores: Sequence[CandidateScore],
    picked: CandidateScore,
) -> TransformEvidence:
    assert picked.change is not None
    return TransformEvidence(
        transform=str(picked.candidate),
        pick=wanted.pick,
        max_loss=wanted.max_loss,
        tried=len(scores) - 1,
        data=dataset.name,
        split=dataset.split,
        sampled_windows=sample.samples,
        ndcg_10=picked.ndcg_10,
        ndcg_10_none=scores[0].ndcg_10,
        change=picked.change,
        date=datetime.now(UTC).date().isoformat(),
    )
