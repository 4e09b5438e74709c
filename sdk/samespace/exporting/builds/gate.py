"""What a build costs and gives: its change of nDCG@10 on the gate data, and its speed on this CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from ...artifact import Measured
from ...embed import embed_roles, embed_texts
from ...errors import GateFailed
from ...model.exportable import Exportable
from ...progress import SaidRarely
from ...runtime import Session
from ...text import Role
from ...vectors import Vectors
from .exact import INT8_POINTS, BuildFile, session_over
from .parity import ParityReference

if TYPE_CHECKING:
    from ...evaluation import Dataset

_SPEED_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class BuildReport:
    """One row of the export's table.

    Attributes:
        measured: with which runtime and precision.
        bytes: size of the file.
        mean: mean distance to torch over the probes: 1 - cos, or of a reranker's logits.
        texts_per_s: texts of the probes per second on this CPU, median of five runs; a hint, not a benchmark.
    """

    build: str
    measured: Measured
    bytes: int
    mean: float
    texts_per_s: float


@dataclass(frozen=True, slots=True)
class _BuildEncoder:
    """A build that is not in an artifact yet, as something that can be scored."""

    name: str
    space_id: str
    session: Session
    checkpoint: Exportable

    def encode(self, texts: Sequence[str], role: Role, *, progress: Callable[[int], None] | None = None) -> Vectors:
        encoder, dims = self.checkpoint.text_encoder, self.checkpoint.dims
        embedded = embed_texts(self.session, encoder, texts, role, dims=dims, progress=progress)
        return Vectors(embedded.vectors, self.space_id)


class CountedTexts:
    """Counts texts and says how many: a large model takes minutes for a data set."""

    def __init__(self, what: str, total: int, say: Callable[[str], None]) -> None:
        self._what, self._total, self._say = what, total, say
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._say(f"{self._what}: text {self._done} of {self._total}")


def gated(
    build: BuildFile,
    exact: float,
    checkpoint: Exportable,
    data: Dataset,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[BuildFile, tuple[GateFailed, ...]]:
    """*build* with its change of nDCG@10 on every runtime that keeps within the gate, and the refusals of the others.

    Args:
        exact: nDCG@10 of the fp32 build on *data*.

    Raises:
        GateFailed: it loses more than it may on every runtime.
    """
    label = f"{data.name}/{data.split}"
    passed, refused = [], list[GateFailed]()
    for measured in build.measured:
        change = 100 * (ndcg(build, measured, checkpoint, data, say) - exact)
        if change >= -INT8_POINTS:
            passed.append(replace(measured, ndcg_change=round(change, 3), gate_data=label))
            continue
        way = " ".join(str(part) for part in (build.method.get("way"), build.name, "on", measured.runtime) if part)
        lost = f"nDCG@10 lost on {label}, in points"
        refused.append(GateFailed(build=way, measure=lost, measured=-change, gate=INT8_POINTS))
    if not passed:
        raise refused[0]
    return replace(build, measured=tuple(passed)), tuple(refused)


def speed_reports(build: BuildFile, wanted: ParityReference) -> list[BuildReport]:
    """One report for each runtime and precision that *build* was measured with."""
    reports = []
    for measured in build.measured:
        with session_over(build.data, measured.runtime, measured.precision) as session:
            mean, speed = _mean_and_speed(session, wanted)
            reports.append(BuildReport(build.name, measured, len(build.data), mean, speed))
    return reports


def ndcg(
    build: BuildFile,
    measured: Measured,
    checkpoint: Exportable,
    data: Dataset,
    say: Callable[[str], None] = lambda _: None,
) -> float:
    """nDCG@10 of *build* on *data*, run as it was *measured*; *say* gets a sentence every ten seconds."""
    from ...evaluation import DenseRanker, evaluate

    with session_over(build.data, measured.runtime, measured.precision) as session:
        encoder = _BuildEncoder(build.name, checkpoint.identity.space_id(), session, checkpoint)
        what = f"scoring {build.name} on {data.name}/{data.split} with {measured.runtime}"
        counted = CountedTexts(what, len(data.queries) + len(data.passages), SaidRarely(say))
        return evaluate(DenseRanker(encoder), data, progress=counted).score.ndcg_10


def _mean_and_speed(session: Session, wanted: ParityReference) -> tuple[float, float]:
    """Mean 1 - cos over the probes, and texts a second."""
    probes, checkpoint = wanted.probes, wanted.checkpoint
    times, vectors = [], probes.vectors
    for _ in range(_SPEED_RUNS):
        began = time.perf_counter()
        vectors = embed_roles(session, checkpoint.text_encoder, probes.texts, probes.roles, dims=checkpoint.dims)
        times.append(time.perf_counter() - began)
    return float(probes.distance(vectors, probes.vectors).mean()), len(probes.texts) / median(times)
