"""`samespace inspect`: what an artifact is, from its manifest alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import echo, table

if TYPE_CHECKING:
    from ...artifact import Artifact, Composite, Identity, Manifest
    from ...artifact.reranker import RerankerIdentity


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def inspect(artifact: Path, as_json: bool) -> None:
    """Show what an artifact holds.

    Reads the manifest and looks at the files' sizes; `samespace verify` checks their contents.

    \b
    Example:
      samespace inspect artifacts/pydoc
      samespace inspect artifacts/pydoc --json | jq -r .space_id
    """
    from ...artifact import open_artifact

    opened = open_artifact(artifact, kind="any")
    manifest = opened.manifest
    if as_json:
        echo(json.dumps(_summary(manifest), indent=2, ensure_ascii=False))
        return
    echo(f"name       {manifest.name}")
    echo(f"{'space   ' if manifest.reranker is None else 'reranker'}   {manifest.space_id}")
    if manifest.reranker is not None:
        _echo_reranker(manifest.reranker)
    elif manifest.composite is None:
        _echo_encoder(manifest.encoder)
    else:
        _echo_composite(manifest.composite, opened)
        return
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
    echo()
    worst = "worst 1-cos" if manifest.reranker is None else "worst"
    echo(table(["build", "runtime", "computes", "MB", worst, "nDCG@10 points"], rows))


def _summary(manifest: Manifest) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "name": manifest.name,
        "space_id" if manifest.reranker is None else "reranker_id": manifest.space_id,
        "dims": manifest.identity.dims,
        "matryoshka_dims": list(manifest.matryoshka_dims),
        **_described(manifest),
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


def _described(manifest: Manifest) -> dict[str, Any]:
    """What is told of an encoder, or of a composite."""
    if manifest.composite is not None:
        composite = manifest.composite
        parts = [asdict(part) | {"folder": name} for part, name in zip(composite.parts, composite.folders, strict=True)]
        return {"kind": composite.kind, "parts": parts}
    identity = manifest.encoder
    if manifest.reranker is not None:
        return {
            "kind": "reranker",
            "architecture": identity.architecture.get("model_type"),
            "activation": manifest.reranker.activation,
            "recipe": identity.recipe.to_dict(),
        }
    return {
        "kind": "encoder",
        "architecture": identity.architecture.get("model_type"),
        "pooling": identity.pooling,
        "transform": identity.transform,
        "recipe": identity.recipe.to_dict(),
    }


def _echo_encoder(identity: Identity) -> None:
    recipe = identity.recipe
    after = f", {identity.transform['type']} transform" if identity.transform else ""
    echo(f"vectors    {identity.dims} dims, {identity.pooling} pooling{after}, unit length")
    echo(f"texts      {recipe.token_limit} tokens, longer ones in windows that share {recipe.window_overlap}")
    for role, prompt in recipe.prompts.items():
        if prompt:
            echo(f"prompt     {role}: {prompt!r}")


def _echo_reranker(identity: RerankerIdentity) -> None:
    recipe = identity.recipe
    echo(f"scores     {identity.activation} of the logit of a query and a passage; no vectors")
    echo(f"pairs      {recipe.token_limit} tokens, longer passages in windows that share {recipe.window_overlap}")


def _echo_composite(composite: Composite, artifact: Artifact) -> None:
    what = "one encoder for each role" if composite.kind == "two_tower" else "the parts' vectors side by side"
    echo(f"vectors    {composite.dims} dims, {what}, unit length\n")
    rows = [
        [name, part.manifest.name, each.space_id[:12], str(each.dims), f"{each.weight:g}"]
        for name, each, part in zip(composite.folders, composite.parts, artifact.parts, strict=True)
    ]
    echo(table(["part", "name", "space", "dims", "weight"], rows))
