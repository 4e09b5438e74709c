"""`samespace adapt`: better retrieval from documents alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from ..console import echo, progress, say, wrapped
from ..durations import Duration

NOT_BETTER: Final = 3
"""Exit code where the encoder is not better than its base."""


@click.command()
@click.argument("documents", type=click.Path(path_type=Path))
@click.option("--base", default="sentence-transformers/all-MiniLM-L6-v2", show_default=True,
              help="Encoder to adapt: a model folder or a hub name.")  # fmt: skip
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the encoder.")
@click.option("--teacher", default="", metavar="MODEL",
              help="Cross-encoder, reranker or larger encoder to learn from: a folder or a hub name.")  # fmt: skip
@click.option(
    "--generator",
    default="",
    metavar="URL",
    help="OpenAI-compatible server that writes questions, such as http://localhost:11434/v1; key in OPENAI_API_KEY.",
)
@click.option("--generator-model", default="", metavar="NAME", help="Model of the generator.")
@click.option("--generator-most", type=click.IntRange(20), default=400, show_default=True,
              help="Sections that the generator is asked about, at most.")  # fmt: skip
@click.option("--queries", type=click.Path(path_type=Path), metavar="FILE",
              help="What people have asked, without answers: a query a line, or rows with a column query.")  # fmt: skip
@click.option("--judged", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Real questions for the verdict, a BEIR folder; never trained on.")  # fmt: skip
@click.option("--split", "judged_split", default="", help="Split of --judged.  [default: test]")
@click.option("--budget", "budget_s", type=Duration(), default="15m", show_default=True,
              help="Time for trying and training, such as 90s, 15m or 2h.")  # fmt: skip
@click.option("--steps", type=click.IntRange(0), default=0,
              help="Steps of each long stage instead of a budget: the same on every machine.")  # fmt: skip
@click.option("--learning-rate", "rate", type=click.FloatRange(0, 1, min_open=True), default=2e-5, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--anyway", is_flag=True, help="Write the encoder even if it is not better than its base.")
@click.option("--cache", type=click.Path(path_type=Path),
              help="Cache folder for the teacher's answers [default: ~/.cache/samespace/embeddings].")  # fmt: skip
def adapt(documents: Path, out: Path, **settings: Any) -> None:
    """Adapt an encoder to documents, without labels.

    DOCUMENTS is a file of rows (JSONL, CSV, TSV, Parquet), a folder of them, a BEIR folder, whose corpus alone is read,
    or a folder of Markdown, HTML or text.

    Pairs are made of the documents' structure: headings, questions, links, first sentences and others. Each kind is
    tried, and used only where it helps on questions made of documents that are not trained on. Then the encoder learns
    from a teacher, or from BM25 and itself together. The result is mixed with its base.

    It ends with a verdict on held-out questions. An encoder that is not better than its base is not written, and the
    exit code is 3.

    \b
    Example:
      samespace adapt handbook/ --out models/handbook
      samespace adapt tickets.jsonl --out models/tickets --teacher sentence-transformers/all-mpnet-base-v2
      samespace adapt data/papers --out models/papers --judged data/asked --budget 1h
    """
    from ...extras import require_extra
    from ...training.threads import settle_threads

    require_extra("train", feature="adapting", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..console import quiet_libraries

    quiet_libraries()
    if threads := settle_threads(os.environ):
        say(threads)
    from ...api import commands as api

    found = api.adapt(documents, out, **settings, progress=progress, say=_line)
    if found.verdict is None:
        echo("No better than its base: nothing that was tried helps on the development questions. Nothing is written.")
        _next(settings)
        sys.exit(NOT_BETTER)
    click.secho(found.verdict.sentence(), fg="green" if found.better else "red", bold=True)
    echo(wrapped(found.verdict.rests_on()))
    if found.written is None:
        echo("Nothing is written; keep the base, or pass --anyway.")
        _next(settings)
    else:
        echo(f"report: {found.written / 'report.html'}")
        echo(f"model: {found.written}; export it: samespace export {found.written} ARTIFACT")
    if not found.better:
        sys.exit(NOT_BETTER)


def _next(settings: dict[str, Any]) -> None:
    if not settings["teacher"]:
        echo("Next: --teacher with a larger encoder or a cross-encoder, or pairs of your own: samespace train")


def _line(sentence: str) -> None:
    say(wrapped(sentence))
