"""`samespace export` as a function: a model in, one artifact out, of one encoder or of two towers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..artifact.layout import check_target
from ..errors import RequestInvalid
from ..evaluation import load_dataset
from ..folders import writes
from ..model.checkpoint import Overrides, load_towers
from ..model.reranker import is_reranker_folder, load_reranker
from ..model.transform import Transform
from .builds.calibration import load_calibration
from .composites.towers import export_towers
from .package import Exported, Say, export_artifact
from .provenance import read_record, require_better
from .rerankers import export_reranker


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be exported, and how.

    Attributes:
        model: a sentence-transformers folder, a transformers folder (with a pooling in *overrides*) or a hub name; a
            sequence classifier without a pooling is exported as a reranker.
        out: folder of the artifact.
        name: display name; None for that of *out*.
        builds: beside fp32, which is always written: "fp16", "int8".
        overrides: what is said instead of the folder.
        transform: file of a linear map that `samespace transform` wrote; None for none.
        gate_data, gate_split: a BEIR folder on which int8 may lose 0.5 points of nDCG@10.
        calibration_data: texts that int8 is scaled with; None for a sample of the gate data.
        anyway: also where the training record says: not better than its base.
        replace: put it in place of the artifact at *out*.
    """

    model: str
    out: Path
    name: str | None = None
    builds: tuple[str, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    transform: Path | None = None
    gate_data: Path | None = None
    gate_split: str = "test"
    calibration_data: Path | None = None
    anyway: bool = False
    replace: bool = False


@writes("wanted.out")
def export_model(wanted: ExportRequest, *, say: Say = lambda _: None) -> Exported:
    """Read the model and export it; what can be refused before it is read, is.

    Raises:
        RequestInvalid: not better than its base, int8 without gate data, or a transform for a Router.
        ModelUnsupported: the model cannot be read, or not be exported faithfully.
        GateFailed: the fp32 build does not agree with torch: nothing is written.
        ArtifactError: the folder is taken.
    """
    check_target(wanted.out, replace=wanted.replace)
    require_better({"training": read_record(Path(wanted.model))}, wanted.model, anyway=wanted.anyway)
    gate = load_dataset(wanted.gate_data, wanted.gate_split) if wanted.gate_data else None
    calibration = load_calibration(wanted.calibration_data, gate=gate) if wanted.calibration_data else None
    say(f"Reading {wanted.model}.")
    if wanted.overrides.pooling is None and is_reranker_folder(wanted.model):
        return _export_reranker(wanted, say)
    checkpoint, *others = load_towers(wanted.model, wanted.overrides)
    common: dict[str, Any] = {
        "name": wanted.name,
        "builds": ("fp32", *(build for build in wanted.builds if build != "fp32")),
        "anyway": wanted.anyway,
        "replace_existing": wanted.replace,
        "say": say,
    }
    if not others:
        if wanted.transform:
            fitted = Transform.load(wanted.transform, fitted_on=checkpoint.identity.space_id())
            checkpoint = checkpoint.transformed(fitted)
        return export_artifact(checkpoint, wanted.out, gate=gate, calibration=calibration, **common)
    if wanted.transform:
        raise RequestInvalid(
            field="--transform",
            reason=f"{wanted.model} is a Router with one encoder for queries and one for documents; a transform is "
            "fitted on one encoder. Leave it out",
        )
    return export_towers((checkpoint, *others), wanted.out, **common)


def _export_reranker(wanted: ExportRequest, say: Say) -> Exported:
    """A cross-encoder; what is of encoders alone is refused by the option's name."""
    for option, value in (("--transform", wanted.transform), ("--gate-data", wanted.gate_data)):
        if value is not None:
            raise RequestInvalid(field=option, reason=f"{wanted.model} is a cross-encoder, and becomes a reranker")
    builds = ("fp32", *(build for build in wanted.builds if build != "fp32"))
    checkpoint = load_reranker(wanted.model, wanted.overrides)
    return export_reranker(
        checkpoint, wanted.out, name=wanted.name, builds=builds, replace_existing=wanted.replace, say=say
    )
