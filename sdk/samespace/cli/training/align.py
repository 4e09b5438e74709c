"""`samespace align`: two frozen encoders brought into one space, by a head on each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ...errors import RequestInvalid
from ...extras import require_extra
from ..console import progress, quiet_libraries, say
from .train_head import cache_option, head_options, leakage_option, show


@click.command()
@click.argument("query_encoder")
@click.argument("passage_encoder")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="What `samespace train` takes.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the new artifact.")
@head_options
@leakage_option
@cache_option
@click.option("--name", help="Display name; the name of the folder unless given. Not part of the space id.")
@click.option("--replace", is_flag=True, help="Put the new artifact in the place of the one at --out.")
def align(
    query_encoder: str,
    passage_encoder: str,
    data: Path,
    out: Path,
    settings: Mapping[str, Any],
    allow_leakage: str,
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
    modules = ("torch", "transformers", "sentence_transformers", "datasketch", "onnx", "onnxruntime")
    require_extra("train", feature="aligning encoders", modules=modules)
    quiet_libraries()
    from ...artifact.layout import check_target
    from ...text import ROLES
    from ...training.heads.config import HeadConfig
    from ...training.heads.data import of_texts
    from ...training.heads.frozen import default_cache, open_frozen
    from ...training.heads.run import export_trained, train_head

    check_target(out, replace=replace)
    config = HeadConfig(separate=True, **settings)
    say(f"Reading {query_encoder}, {passage_encoder} and {data}.")
    opened = [open_frozen(each, cache=cache or default_cache()) for each in (query_encoder, passage_encoder)]
    if opened[0].space_id == opened[1].space_id:
        raise RequestInvalid(
            field="PASSAGE_ENCODER",
            reason=f"is of space {opened[0].space_id} as QUERY_ENCODER is: their vectors can be compared already. "
            "samespace train-head --separate gives each role a head of its own",
        )
    encoders = dict(zip(ROLES, opened, strict=True))
    loaded = of_texts(data, encoders, progress, allow_leakage=allow_leakage)
    trained = train_head(loaded, config, progress)
    dims = [each.dims for each in opened]
    if dims[0] != dims[1]:
        say(f"before: cannot be compared, {dims[0]} and {dims[1]} dims.")
    show(trained)
    exported = export_trained(trained, encoders, out, name=name, replace=replace, say=say)
    click.echo(f"exported: {out}, space {exported.artifact.space_id}")
