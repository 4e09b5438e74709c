"""Whether a head learns, and if it does not, why: judged by numbers, after each training of the ladder.

A head that tells nothing apart ends as quietly as one that does: same file, same log, no error. What gives it away
is its loss beside that of telling nothing apart (the labels' variance, the log of how many passages compete), and
its cosines: of texts that belong together and of texts that do not, they are the same. Why is told by the other rates
of the ladder: where a higher one learns on the same pairs, neither the labels nor the vectors are to blame.

Pure but for numpy: states in, measurements and an alarm out. Causes have the names that the sentinel of full training
gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from ..evaluation import effective_rank
from ..heads import Heads
from .head_config import HeadConfig
from .head_fit import Batch, Examples, trivial_loss
from .sources import RELEVANT

RATE_TOO_LOW: Final = "rate too low"
RATE_TOO_HIGH: Final = "rate too high"
WRONG_LABELS: Final = "wrong labels"
FLAT: Final = 0.97
"""Loss over the loss of telling nothing apart, from which nothing is told apart."""
_SAMPLE: Final = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """A head on a fixed sample of the pairs that it is trained on.

    Attributes:
        loss, trivial: of the sample, and what telling nothing apart would give there.
        effective_rank: of the passages' vectors.
        positive_mean, positive_spread, negative_mean, negative_spread: of the cosines, mean and standard deviation;
            of pairs that belong together, and of random ones that do not.
    """

    step: int
    loss: float
    trivial: float
    effective_rank: float
    positive_mean: float
    positive_spread: float
    negative_mean: float
    negative_spread: float

    @property
    def flat(self) -> bool:
        """Whether it tells nothing apart, by its loss."""
        return not self.loss < FLAT * self.trivial  # NaN is flat

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {key: float(f"{value:.5g}") if key != "step" else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class HeadAlarm:
    """What is wrong with a training, the likeliest cause, the numbers, and what to change."""

    what: str
    cause: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}, cause: {self.cause} ({self.evidence}); {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return asdict(self)


def measure(made: Examples, heads: Heads, config: HeadConfig, step: int) -> Measured:
    """*heads* on up to 512 pairs, evenly spread over all; the same pairs for all heads."""
    rows = np.unique(np.linspace(0, len(made.pairs) - 1, min(_SAMPLE, len(made.pairs))).round().astype(np.int64))
    batch = Batch.of(made.pairs[rows], made.labels[rows])
    sample = Examples(made.queries, made.passages, made.pairs[rows], made.labels[rows], made.known)
    q = heads.query.apply(made.queries[batch.queries])
    p = heads.passage.apply(made.passages[batch.passages])
    cosines = (q @ p.T).astype(np.float64)  # (queries, passages)
    masked, right = made.masked(batch), batch.labels >= RELEVANT
    own = cosines[batch.left, batch.right]
    if config.loss == "cosine_mse":
        loss = float(np.square(own - batch.labels).mean())
    else:
        scores = cosines / config.temperature
        ways = (scores, masked, batch.left, batch.right), (scores.T, masked.T, batch.right, batch.left)
        loss = float(np.mean([_one_way(*way) for way in ways]))
    positive, negative = own[right] if right.any() else own, cosines[~masked]
    whole = HeadConfig(loss=config.loss, batch_size=max(2, len(rows)))
    return Measured(
        step=step,
        loss=loss,
        trivial=trivial_loss(sample, whole),
        effective_rank=effective_rank(p),
        positive_mean=float(positive.mean()),
        positive_spread=float(positive.std()),
        negative_mean=float(negative.mean()) if negative.size else float("nan"),
        negative_spread=float(negative.std()) if negative.size else float("nan"),
    )


def _one_way(
    scores: np.ndarray[Any, Any], masked: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], right: np.ndarray[Any, Any]
) -> float:
    """InfoNCE in one direction; see `head_fit`."""
    others = np.where(masked, -np.inf, scores)[rows]  # the known answers, the right one among them
    own = scores[rows, right]
    most = np.maximum(others.max(axis=1), own)
    total = np.exp(own - most) + np.exp(others - most[:, None]).sum(axis=1)
    return float((most + np.log(total) - own).mean())


def judge(end: Measured, rate: float, ladder: Sequence[tuple[float, Measured]]) -> HeadAlarm | None:
    """What is wrong with a training that ended as *end*, or None.

    Args:
        rate: its learning rate.
        ladder: (rate, end) of other trainings on the same pairs; () where there are none.
    """
    if not end.flat:
        return None
    seen = (
        f"loss {end.loss:.4f}, telling nothing apart gives {end.trivial:.4f}; cosines {end.positive_mean:.3f} of what "
        f"belongs together, {end.negative_mean:.3f} of what does not, spread {end.negative_spread:.3f}"
    )
    what = "tells nothing apart"
    learned = [(each, measured) for each, measured in ladder if not measured.flat]
    if not ladder:
        return HeadAlarm(what, RATE_TOO_LOW, seen, "leave --rate out, and a ladder of rates is tried")
    if not learned:
        return HeadAlarm(
            what, WRONG_LABELS, f"{seen}; so does every rate that was tried",
            "the pairs may not belong together, or the encoder gives no hold: look at some, run `samespace doctor`",
        )  # fmt: skip
    nearest, best = min(learned, key=lambda each: each[1].loss)
    cause = RATE_TOO_LOW if nearest > rate else RATE_TOO_HIGH
    other = f"rate {nearest:g} reaches {best.loss:.4f} on the same pairs"
    return HeadAlarm(what, cause, f"{seen}; {other}", f"take rate {nearest:g}, not {rate:g}")
