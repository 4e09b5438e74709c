"""`samespace combine` as a function: folders in, one composite out, scored beside its parts where there is data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...artifact import Artifact, open_artifact
from ...artifact.layout import check_target
from ...encoder import Encoder
from ...errors import RequestInvalid
from ...evaluation import Dataset, load_dataset
from ...folders import writes
from ...progress import Progress, silent
from .concatenate import combine, join_towers
from .evidence import PartScore, Say, TowerEvidence, below_best_part, measure_towers, score_parts

Show = Callable[[Sequence[PartScore]], None]


@dataclass(frozen=True, slots=True)
class Combination:
    """What is to be made.

    Attributes:
        parts: folders of artifacts, in order.
        out: folder of the new one.
        weights: of a concatenation's parts; () for equal ones.
        two_tower: the first encodes queries, the second passages.
        name: display name; None for that of *out*.
        data, split: a BEIR folder to score on; a two-tower needs one unless *anyway*.
        anyway: join two encoders of which nothing shows that they share a space.
        replace: put it in place of the artifact at *out*.
    """

    parts: tuple[Path, ...]
    out: Path
    weights: tuple[float, ...] = ()
    two_tower: bool = False
    name: str | None = None
    data: Path | None = None
    split: str = "dev"
    anyway: bool = False
    replace: bool = False


@writes("wanted.out")
def combine_folders(
    wanted: Combination, *, progress: Progress = silent, say: Say = lambda _: None, show: Show = lambda _: None
) -> Artifact:
    """Make the composite; *show* gets the scores as soon as they are there, of refused towers too;
    *say* a warning where the composite is below its best part.

    Raises:
        RequestInvalid: parts or weights that make no sense, or towers that share no space; see `join_towers`.
        ArtifactError: *out* is taken, or a part cannot be trusted.
        DataInvalid: the data cannot be read.
    """
    check_target(wanted.out, replace=wanted.replace)
    opened = [open_artifact(folder) for folder in wanted.parts]
    dataset = load_dataset(wanted.data, wanted.split) if wanted.data else None
    if wanted.two_tower:
        return _joined(wanted, opened, dataset, progress, say, show)
    weights = wanted.weights or None
    written = combine(opened, wanted.out, weights=weights, name=wanted.name, replace=wanted.replace)
    if dataset is not None:
        encoders = [(each.manifest.name, each.manifest.identity.dims, Encoder.load(each)) for each in opened]
        encoders.append((written.manifest.name, written.manifest.identity.dims, Encoder.load(written)))
        _told(score_parts(dataset, encoders, progress=progress, say=say), say, show)
    return written


def _told(rows: Sequence[PartScore], say: Say, show: Show, *, weighted: bool = True) -> None:
    """The scores, and what they mean where the whole is below its best part."""
    show(rows)
    if warning := below_best_part(rows, weighted=weighted):
        say(warning)


def _joined(
    wanted: Combination, opened: Sequence[Artifact], dataset: Dataset | None, progress: Progress, say: Say, show: Show
) -> Artifact:
    if len(opened) != 2 or wanted.weights:
        raise RequestInvalid(field="ARTIFACTS", reason=f"{len(opened)}; a two-tower has two, without weights")
    query, passage = opened
    evidence: TowerEvidence | None = None
    if dataset is not None:
        evidence = measure_towers(query, passage, dataset, progress=progress, say=say)
        _told(evidence.rows, say, show, weighted=False)
    return join_towers(
        query, passage, wanted.out, evidence=evidence, anyway=wanted.anyway, name=wanted.name, replace=wanted.replace
    )
