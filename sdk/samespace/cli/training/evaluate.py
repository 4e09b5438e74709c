"""`samespace evaluate`: how good an encoder is on a retrieval set."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..console import progress, say, table


@click.command()
@click.argument("encoder")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--split", default="test", show_default=True, help="Split whose queries are scored: qrels/SPLIT.tsv of DATA."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def evaluate(encoder: str, data: Path, split: str, as_json: bool) -> None:
    """Score an encoder or BM25 on a retrieval set.

    ENCODER is an artifact, a model folder, a hub name, a running server (host:port of its gRPC side), or the word
    bm25. DATA is a folder in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv. The search is exact, and
    long passages are windowed, not cut.

    \b
    Example:
      samespace evaluate bm25 data/scifact
      samespace evaluate artifacts/pydoc data/scifact --json | jq '."ndcg@10"'
      samespace evaluate localhost:8081 data/scifact --split dev
    """
    from ...evaluation import evaluate as score_ranker
    from ...evaluation import load_dataset
    from ..encoders import open_ranker

    dataset = load_dataset(data, split)
    with open_ranker(encoder) as ranker:
        passages, queries = len(dataset.passages), len(dataset.queries)
        say(f"{ranker.name} on {dataset.name}: {queries} queries of {split}, {passages} passages")
        with progress("texts", passages + queries) as advance:
            score = score_ranker(ranker, dataset, progress=advance).score
    if as_json:
        click.echo(json.dumps(score.to_json(), ensure_ascii=False))
        return
    row = [score.encoder, *(f"{value:.4f}" for value in (score.ndcg_10, score.recall_100, score.mrr_10))]
    click.echo(table(["encoder", "nDCG@10", "recall@100", "MRR@10", "queries"], [[*row, str(score.queries)]]))
