"""`samespace evaluate`: how good an encoder is on a retrieval set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..console import progress, say, table, wrapped
from ..encoders import checkpoint_options

if TYPE_CHECKING:
    from ...evaluation import Evaluation
    from ...evaluation.long_texts import Ways


@click.command()
@click.argument("encoder")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--split", default="test", show_default=True, help="Split whose queries are scored: qrels/SPLIT.tsv of DATA."
)
@click.option(
    "--long-texts",
    "ways",
    type=click.Choice(["auto", "pool", "windows"]),
    default="auto",
    show_default=True,
    help="Score of a long passage: its pooled vector's or its best window's; auto prints both for long sets.",
)
@click.option(
    "--ignore-identical-ids/--keep-identical-ids",
    "ignored",
    default=None,
    help="Leave out, or keep, a passage that has the query's id  [default: left out where it is the query's own text].",
)
@checkpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def evaluate(
    encoder: str,
    data: Path,
    split: str,
    ways: Ways,
    ignored: bool | None,
    overrides: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Score an encoder or BM25 on a retrieval set.

    ENCODER is an artifact, a model folder, a hub name, a running server (host:port of its gRPC side), or the word
    bm25. DATA is a folder in the BEIR layout, or what `samespace train` takes. The search is exact, equal scores are
    ranked as trec_eval does, and long passages are windowed, not cut. Prompts are for model folders and hub names.

    \b
    Example:
      samespace evaluate bm25 data/scifact
      samespace evaluate artifacts/pydoc data/scifact --json | jq '."ndcg@10"'
      samespace evaluate models/e5 data/scifact --query-prompt "query: " --passage-prompt "passage: "
      samespace evaluate localhost:8081 data/papers --split dev --long-texts windows
    """
    from ...api import commands as api
    from ...evaluation import remarks

    _look_at_prompts(overrides)
    identical: Literal["auto", "keep", "ignore"] = "auto" if ignored is None else "ignore" if ignored else "keep"
    dataset = api.read_dataset(data, split, identical)
    found = api.evaluate(encoder, dataset, long_texts=ways, overrides=overrides, progress=progress, say=say)
    notes = list(dict.fromkeys(note for each in found.values() for note in remarks(each.score, dataset)))
    for note in notes:
        say(wrapped(f"{note}.", first="note: "))
    rows = [
        [each.score.encoder, *(f"{value:.4f}" for value in _metrics(each)), str(each.score.queries)]
        for each in found.values()
    ]
    if as_json:
        first, *others = found.items()
        more = {way: each.score.to_json() for way, each in others}
        prompts = {key: value for key, value in overrides.items() if value is not None}
        value = first[1].score.to_json() | {"long_texts": first[0], "beside": more, "recipe": prompts, "notes": notes}
        click.echo(json.dumps(value, ensure_ascii=False))
        return
    click.echo(table(["encoder", "nDCG@10", "recall@100", "MRR@10", "queries"], rows))


def _metrics(found: Evaluation) -> tuple[float, float, float]:
    return found.score.ndcg_10, found.score.recall_100, found.score.mrr_10


def _look_at_prompts(overrides: Mapping[str, Any]) -> None:
    for name in ("query_prompt", "passage_prompt"):
        prompt = overrides.get(name)
        if prompt and "\\n" in prompt:
            option = "--" + name.replace("_", "-")
            say(f"note: {option} has a backslash and an n; for a line break the shell takes $'...\\n...'.")
