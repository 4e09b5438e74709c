"""`samespace align`: two frozen encoders brought into one space, by a head on each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...extras import require_extra
from ..console import echo, progress, quiet_libraries, say
from .train_head import cache_option, drop_leaks_option, head_options, leakage_option, show


@click.command()
@click.argument("query_encoder")
@click.argument("passage_encoder")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="What `samespace train` takes.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the new artifact.")
@head_options
@leakage_option
@drop_leaks_option
@cache_option
@click.option("--name", help="Display name, not part of the space id [default: name of the output folder].")
@click.option("--replace", is_flag=True, help="Replace the artifact at --out.")
def align(
    query_encoder: str,
    passage_encoder: str,
    data: Path,
    out: Path,
    settings: Mapping[str, Any],
    allow_leakage: str,
    drop_leaks: bool,
    cache: Path | None,
    name: str | None,
    replace: bool,
) -> None:
    """Bring two frozen encoders into one space.

    Vectors of two encoders cannot be compared, whatever their lengths. Here each gets a head, trained together until
    queries through the first find passages through the second. What is written is one two-tower artifact: one space,
    the small encoder for queries say, the large one for passages, which are encoded once.

    The heads start as the rotation that brings both encoders' vectors of the training texts closest; its score is
    the row `start`. The row `base`, where the dims are equal, is what raw vectors of two spaces give: chance.

    \b
    Example:
      samespace align artifacts/small artifacts/large --data data/stackfaq -o artifacts/aligned
      samespace align artifacts/small artifacts/large --data data/stackfaq -o artifacts/aligned --dims 256 --rate 3e-4
    """
    modules = ("torch", "transformers", "sentence_transformers", "datasketch", "onnx")
    require_extra("train", feature="aligning encoders", modules=modules)
    require_extra("cpu", feature="aligning encoders", modules=("onnxruntime",))
    quiet_libraries()
    from ...training.heads.config import HeadConfig
    from ...training.heads.request import HeadRequest, align_encoders

    config = HeadConfig(separate=True, **settings)
    wanted = HeadRequest(data, out, config, allow_leakage, cache, name, replace, drop_leaks=drop_leaks)
    exported = align_encoders(query_encoder, passage_encoder, wanted, progress=progress, say=say, show=show)
    echo(f"exported: {out}, space {exported.artifact.space_id}")
