"""`samespace export`: a checkpoint in, a verified artifact out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import echo, quiet_libraries, say, table
from ..encoders import checkpoint_options

if TYPE_CHECKING:
    from ...exporting.package import Exported


@click.command()
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", help="Display name, not part of the space id [default: name of OUT].")
@click.option(
    "--build",
    "builds",
    multiple=True,
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="Build to add to fp32: fp16 for CUDA, or int8, which needs --gate-data. May be repeated.",
)
@checkpoint_options
@click.option("--transform", type=click.Path(path_type=Path), help="Transform file written by `samespace transform`.")
@click.option(
    "--gate-data",
    type=click.Path(path_type=Path),
    help="BEIR folder; int8 may lose at most 0.5 points of nDCG@10 on it.",
)
@click.option("--gate-split", default="test", show_default=True, help="Split of the gate data.")
@click.option(
    "--calibration-data",
    type=click.Path(path_type=Path),
    help="Unlabelled texts to calibrate int8: a BEIR folder, a .jsonl file, or one text per line [default:"
    " passages and train queries of the gate data, without the queries of the gate].",
)
@click.option(
    "--anyway", is_flag=True, help="Export even if the training record says that the model is not better than its base."
)
@click.option("--replace", is_flag=True, help="Replace the artifact at OUT.")
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

    A cross-encoder with one output becomes a reranker, an artifact of its own kind, unless --pooling is given.

    A Router with one encoder for queries and one for documents becomes one two-tower artifact, without int8.

    int8 is calibrated with 300 texts and gated on each runtime by what it loses in nDCG@10. Where that fails, the
    coarser dynamic int8 for onnxruntime is tried, and the reason is said.

    \b
    Example:
      samespace export runs/pydoc/model artifacts/pydoc --build int8 --gate-data data/pydoc
      samespace export sentence-transformers/all-MiniLM-L6-v2 artifacts/minilm
    """
    from ...api import commands as api

    api.require_for_export()
    quiet_libraries()
    exported = api.export(
        model,
        out,
        name=name,
        builds=builds,
        overrides=overrides,
        transform=transform,
        gate_data=gate_data,
        gate_split=gate_split,
        calibration_data=calibration_data,
        anyway=anyway,
        replace=replace,
        say=say,
    )
    echo(_reports(exported))
    kind = "space" if exported.artifact.manifest.reranker is None else "reranker"
    echo(f"exported: {out}, {kind} {exported.artifact.space_id}")
    if exported.refused:
        raise exported.refused[0]


def _reports(exported: Exported) -> str:
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
    return table(["build", "runtime", "MB", "worst 1-cos", "mean 1-cos", "nDCG@10 points", "texts/s"], rows)
