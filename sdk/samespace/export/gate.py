"""What a build costs and gives: its change of nDCG@10 on the gate data, and its speed on this CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from ..artifact import Measured
from ..embed import embed_roles, embed_texts
from ..errors import GateFailed
from ..runtime import Session
from ..text import Role
from ..vectors import Vectors
from .builds import INT8_POINTS, BuildFile, session_over
from .checkpoint import Checkpoint
from .parity import Reference

if TYPE_CHECKING:
    from ..evaluation import Dataset

_SPEED_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class BuildReport:
    """One row of the export's table.

    Attributes:
        measured: with which runtime and precision.
        bytes: size of the file.
        texts_per_s: texts of the probes per second on this CPU, median of five runs; a hint, not a benchmark.
    """

    build: str
    measured: Measured
    bytes: int
    texts_per_s: float


@dataclass(frozen=True, slots=True)
class _BuildEncoder:
    """A build that is not in an artifact yet, as something that can be scored."""

    name: str
    space_id: str
    session: Session
    checkpoint: Checkpoint

    def encode(self, texts: Sequence[str], role: Role, *, progress: Callable[[int], None] | None = None) -> Vectors:
        encoder, dims = self.checkpoint.text_encoder, self.checkpoint.dims
        embedded = embed_texts(self.session, encoder, texts, role, dims=dims, progress=progress)
        return Vectors(embedded.vectors, self.space_id)


def gated(build: BuildFile, fp32: BuildFile, checkpoint: Checkpoint, data: Dataset) -> BuildFile:
    """*build* with its change of nDCG@10 against *fp32*.

    Raises:
        GateFailed: it loses more than it may.
    """
    change = 100 * (_ndcg(build, checkpoint, data) - _ndcg(fp32, checkpoint, data))
    if change < -INT8_POINTS:
        raise GateFailed(
            build=build.name, measure=f"nDCG@10 lost on {data.name}, in points", measured=-change, gate=INT8_POINTS
        )
    label = f"{data.name}/{data.split}"
    measured = tuple(replace(each, ndcg_change=round(change, 3), gate_data=label) for each in build.measured)
    return replace(build, measured=measured)


def speed_reports(build: BuildFile, wanted: Reference) -> list[BuildReport]:
    """One report for each runtime and precision that *build* was measured with."""
    reports = []
    for measured in build.measured:
        with session_over(build.data, measured.runtime, measured.precision) as session:
            reports.append(BuildReport(build.name, measured, len(build.data), _texts_per_s(session, wanted)))
    return reports


def _ndcg(build: BuildFile, checkpoint: Checkpoint, data: Dataset) -> float:
    from ..evaluation import DenseRanker, evaluate

    first = build.measured[0]
    with session_over(build.data, first.runtime, first.precision) as session:
        encoder = _BuildEncoder(build.name, checkpoint.identity.space_id(), session, checkpoint)
        return evaluate(DenseRanker(encoder), data).score.ndcg_10


def _texts_per_s(session: Session, wanted: Reference) -> float:
    probes, checkpoint = wanted.probes, wanted.checkpoint
    times = []
    for _ in range(_SPEED_RUNS):
        began = time.perf_counter()
        embed_roles(session, checkpoint.text_encoder, probes.texts, probes.roles, dims=checkpoint.dims)
        times.append(time.perf_counter() - began)
    return len(probes.texts) / median(times)
