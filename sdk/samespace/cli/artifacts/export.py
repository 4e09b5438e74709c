"""`samespace export`: a checkpoint in, a verified artifact out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...errors import RequestInvalid
from ...extras import require_extra
from ..console import quiet_libraries, say, table
from ..encoders import checkpoint_options


@click.command()
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", help="Display name; the name of OUT unless given. Not part of the space id.")
@click.option(
    "--build",
    "builds",
    multiple=True,
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="fp32 is always written; fp16 is for CUDA; int8 needs --gate-data. May be given several times.",
)
@checkpoint_options
@click.option("--transform", type=click.Path(path_type=Path), help="What `samespace transform --out` wrote.")
@click.option("--gate-data", type=click.Path(path_type=Path), help="BEIR folder on which int8 may lose 0.5 points.")
@click.option("--gate-split", default="test", show_default=True, help="Split of the gate data.")
@click.option(
    "--calibration-data",
    type=click.Path(path_type=Path),
    help="Texts that int8 is scaled with, no labels: a BEIR folder, a .jsonl file or one text a line. Unless given, "
    "passages and train queries of the gate data; never queries that the gate asks.",
)
@click.option("--anyway", is_flag=True, help="Also where the training record says: not better than its base.")
@click.option("--replace", is_flag=True, help="Put the new artifact in the place of the one at OUT.")
def export(
    model: str,
    out: Path,
    name: str | None,
    builds: tuple[str, ...],
    overrides: Mapping[str, Any],
    transform: Path | None,
    gate_data: Path | None,
    gate_split: str,
    calibration_data: Path | None,
    anyway: bool,
    replace: bool,
) -> None:
    """Turn a checkpoint into a verified artifact.

    MODEL is a sentence-transformers folder, a transformers folder (with --pooling) or a hub name. The graph is
    compared with torch on padded, ragged, one-token and long batches; a build that differs is not written.
    A refused build is named, and the exit code is 1; the artifact then holds the builds that passed.

    A Router with one encoder for queries and one for documents becomes one two-tower artifact, without int8.

    int8 is calibrated with 300 texts and gated on each runtime by what it loses in nDCG@10. Where that fails, the
    coarser dynamic int8 for onnxruntime is tried, and the reason is said.

    \b
    Example:
      samespace export runs/pydoc/model artifacts/pydoc --build int8 --gate-data data/pydoc
      samespace export sentence-transformers/all-MiniLM-L6-v2 artifacts/minilm
    """
    require_extra("train", feature="export", modules=("torch", "transformers", "onnx", "onnxscript", "onnxruntime"))
    quiet_libraries()
    from ...artifact.layout import check_target
    from ...evaluation import load_dataset
    from ...export.builds.calibration import load_calibration
    from ...export.composites.towers import export_towers
    from ...export.package import export_artifact
    from ...export.provenance import RECORD, training_record
    from ...model.checkpoint import Overrides, load_towers
    from ...model.transform import Transform

    check_target(out, replace=replace)
    provenance = training_record(model)
    if provenance.get("training", {}).get("better_than_base") is False and not anyway:
        raise RequestInvalid(
            field="MODEL",
            reason=f"{model} is not better than its base on held-out queries, says its record ({RECORD}); keep the "
            "base, or say --anyway",
        )
    gate = load_dataset(gate_data, gate_split) if gate_data else None
    calibration = load_calibration(calibration_data, gate=gate) if calibration_data else None
    say(f"Reading {model}.")
    checkpoint, *others = load_towers(model, Overrides(**overrides))
    common: dict[str, Any] = {
        "name": name,
        "builds": ("fp32", *(build for build in builds if build != "fp32")),
        "replace_existing": replace,
        "provenance": provenance,
        "say": say,
    }
    if others:
        if transform:
            raise RequestInvalid(
                field="--transform",
                reason=f"{model} is a Router with one encoder for queries and one for documents; a transform is "
                "fitted on one encoder. Leave it out",
            )
        exported = export_towers((checkpoint, *others), out, **common)
    else:
        if transform:
            checkpoint = checkpoint.transformed(Transform.load(transform, fitted_on=checkpoint.identity.space_id()))
        exported = export_artifact(checkpoint, out, gate=gate, calibration=calibration, **common)
    rows = [
        [
            report.build,
            report.measured.runtime,
            f"{report.bytes / 1e6:.1f}",
            f"{report.measured.worst:.1e}",
            f"{report.mean:.1e}",
            "-" if report.measured.ndcg_change is None else f"{report.measured.ndcg_change:+.2f}",
            f"{report.texts_per_s:.0f}",
        ]
        for report in exported.reports
    ]
    click.echo(table(["build", "runtime", "MB", "worst 1-cos", "mean 1-cos", "nDCG@10 change", "texts/s"], rows))
    click.echo(f"exported: {out}, space {exported.artifact.space_id}")
    if exported.refused:
        raise exported.refused[0]
