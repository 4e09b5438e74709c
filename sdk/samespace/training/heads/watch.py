"""Whether a head learns, and if it does not, why: judged by numbers, after each training of the ladder.

A head that tells nothing apart ends as quietly as one that does: same file, same log, no error. What gives it away
is its loss beside that of telling nothing apart (the labels' variance, the log of how many passages compete), and
its cosines: of texts that belong together and of texts that do not, they are the same. Why is told by the other rates
of the ladder: where a higher one learns on the same pairs, neither the labels nor the vectors are to blame.

Measurements, causes and alarms are those of the sentinel of full training (`vitals`, `sentinel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from ...vectors import Float32
from ..sentinel.judge import RATE_TOO_HIGH, RATE_TOO_LOW, WRONG_LABELS, Alarm, RunFacts, Vitals
from ..sentinel.judge import judge as judge_run
from ..sentinel.vitals import vitals
from .config import HeadConfig
from .fit import HeadBatch, HeadPairs, HeadState, loss_of, trivial_loss

FLAT: Final = 0.97
"""Loss over the loss of telling nothing apart, from which nothing is told apart."""
_SAMPLE: Final = 512


def flat(found: Vitals) -> bool:
    """Whether a head tells nothing apart, by its loss."""
    return not found.loss < FLAT * found.trivial  # NaN is flat


def watch(made: HeadPairs, states: Sequence[HeadState], config: HeadConfig) -> list[Vitals]:
    """The heads of all *states* on up to 512 pairs, evenly spread over all; the same pairs for all of them."""
    rows = np.unique(np.linspace(0, len(made.pairs) - 1, min(_SAMPLE, len(made.pairs))).round().astype(np.int64))
    batch = HeadBatch.of(made.pairs[rows], made.labels[rows])
    sample = HeadPairs(made.queries, made.passages, made.pairs[rows], made.labels[rows], made.known)
    trivial = trivial_loss(sample, HeadConfig(loss=config.loss, batch_size=max(2, len(rows))))
    masked = made.masked(batch)
    right = states[0].heads.passage.apply(made.passages[batch.passages])
    found = []
    for state in states:
        q = state.heads.query.apply(made.queries[batch.queries])
        p = state.heads.passage.apply(made.passages[batch.passages])
        found.append(
            vitals(
                q, p, batch.left, batch.right, masked, labels=batch.labels, start=right, step=state.step,
                loss=_loss(q, p, batch, made, config), trivial=trivial,
            )
        )  # fmt: skip
    return found


def _loss(q: Float32, p: Float32, batch: HeadBatch, made: HeadPairs, config: HeadConfig) -> float:
    """The training's own loss, in float64."""
    left, right = (torch.from_numpy(rows.astype(np.float64)) for rows in (q, p))
    return float(loss_of(left, right, batch, made, config))


def judge(
    run: RunFacts, found: Sequence[Vitals], ladder: Sequence[tuple[float, Vitals]], norms: Sequence[float] = ()
) -> Alarm | None:
    """What is wrong with a training, or None.

    A head that tells nothing apart is judged by the others of the ladder, which know the cause; what else can go
    wrong is the sentinel's, and its risks are left out: the development split has chosen already.

    Args:
        found: of its states; the first at step 0.
        ladder: (rate, end) of other trainings on the same pairs; () where there are none.
        norms: gradient norms of its states.
    """
    end, rate = found[-1], run.learning_rate
    if not flat(end):
        return next((alarm for alarm in judge_run(run, found, (), norms) if alarm.what != "risk"), None)
    seen = (
        f"loss {end.loss:.4f}, telling nothing apart gives {end.trivial:.4f}; cosines {end.positive_mean:.3f} of what "
        f"belongs together, {end.negative_mean:.3f} of what does not, spread {end.negative_spread:.3f}"
    )
    what = "no learning"
    learned = [(each, other) for each, other in ladder if not flat(other)]
    if not ladder:
        return Alarm(end.step, what, RATE_TOO_LOW, seen, "leave --rate out, and a ladder of rates is tried")
    if not learned:
        return Alarm(
            end.step, what, WRONG_LABELS, f"{seen}; so does every rate that was tried",
            "the pairs may not belong together, or the encoder gives no hold: look at some, run `samespace doctor`",
        )  # fmt: skip
    nearest, best = min(learned, key=lambda each: each[1].loss)
    cause = RATE_TOO_LOW if nearest > rate else RATE_TOO_HIGH
    other = f"rate {nearest:g} reaches {best.loss:.4f} on the same pairs"
    return Alarm(end.step, what, cause, f"{seen}; {other}", f"take rate {nearest:g}, not {rate:g}")
