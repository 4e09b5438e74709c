"""`samespace pipeline`: one id over encoder, reranker and the way of searching."""

from __future__ import annotations

import json
from contextlib import ExitStack

import click

from ..console import echo, table
from ..encoders import space_of

DEPTH = 50
"""Answers that a reranker reads, unless another number is given."""


@click.command()
@click.argument("encoder", metavar="ENCODER")
@click.option("--rerank", metavar="ARTIFACT|SERVER", help="Reranker that puts the answers in order.")
@click.option("--by", type=click.Choice(["vector", "words", "hybrid"]), default="vector", show_default=True)
@click.option("--depth", type=click.IntRange(1), help=f"Answers that the reranker reads.  [default: {DEPTH}]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def pipeline(encoder: str, rerank: str | None, by: str, depth: int | None, as_json: bool) -> None:
    """Print the one id of a pipeline.

    ENCODER is an artifact, a server's host:port or a space id. The id changes with the encoder's weights, prompts and
    windows, with the reranker, with the way of searching and with how many answers are reranked.

    \b
    Example:
      samespace pipeline artifacts/pydoc --rerank artifacts/reranker
    """
    from ...reranking.pipeline import Pipeline

    space, name = space_of(encoder)
    with ExitStack() as stack:
        found = None
        if rerank is not None:
            from ...api.named import open_reranker

            found = stack.enter_context(open_reranker(rerank))
        elif depth is not None:
            raise click.UsageError("--depth is of a reranker: give --rerank too")
        parts = Pipeline(space, found.reranker_id if found else None, by, (depth or DEPTH) if found else 0)
        rows = [["encoder", name or "-", space], ["reranker", found.name if found else "-", parts.reranker or "none"]]
    if as_json:
        echo(json.dumps({"pipeline_id": parts.pipeline_id, **parts.to_dict()}, indent=2))
        return
    echo(f"pipeline {parts.pipeline_id}\n")
    echo(table(["part", "name", "id"], [*rows, ["search", by, f"{parts.depth} reranked" if found else "-"]]))
