"""`samespace inspect`: what an artifact is, from its manifest alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .console import table


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def inspect(artifact: Path, as_json: bool) -> None:
    """Show what an artifact is.

    Reads the manifest and looks at the files' sizes; `samespace verify` checks their contents.

    \b
    Example:
      samespace inspect artifacts/pydoc
      samespace inspect artifacts/pydoc --json | jq -r .space_id
    """
    from ..artifact import open_artifact

    opened = open_artifact(artifact)
    manifest, identity = opened.manifest, opened.manifest.identity
    summary: dict[str, Any] = {
        "name": manifest.name,
        "space_id": manifest.space_id,
        "dims": identity.dims,
        "matryoshka_dims": list(manifest.matryoshka_dims),
        "architecture": identity.architecture.get("model_type"),
        "pooling": identity.pooling,
        "transform": identity.transform,
        "recipe": identity.recipe.to_dict(),
        "builds": [
            {
                "name": build.name,
                "file": build.file,
                "bytes": manifest.files[build.file].bytes,
                "opset": build.opset,
                "measured": [asdict(measured) for measured in build.measured],
            }
            for build in manifest.builds
        ],
        "files": {name: entry.bytes for name, entry in manifest.files.items()},
        "provenance": dict(manifest.provenance),
        "scores": [dict(score) for score in manifest.scores],
    }
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
        return
    recipe = identity.recipe
    click.echo(f"name       {manifest.name}")
    click.echo(f"space      {manifest.space_id}")
    click.echo(f"vectors    {identity.dims} dims, {identity.pooling} pooling, unit length")
    click.echo(f"texts      {recipe.token_limit} tokens, longer ones in windows that share {recipe.window_overlap}")
    for role, prompt in recipe.prompts.items():
        if prompt:
            click.echo(f"prompt     {role}: {prompt!r}")
    rows = [
        [
            build.name,
            f"{measured.runtime} {measured.version}",
            measured.precision,
            f"{manifest.files[build.file].bytes / 1e6:.1f}",
            f"{measured.worst:.1e}",
            "-" if measured.ndcg_change is None else f"{measured.ndcg_change:+.2f}",
        ]
        for build in manifest.builds
        for measured in build.measured
    ]
    click.echo()
    click.echo(table(["build", "runtime", "computes", "MB", "worst 1-cos", "nDCG@10 change"], rows))
