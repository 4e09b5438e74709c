"""`samespace quickstart`: the whole path once; see `samespace.demo.quickstart`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..extras import require_extra
from . import console
from .console import echo, one_line, quiet_libraries, table

if TYPE_CHECKING:
    from ..demo.quickstart import QuickstartResult
    from ..evaluation import Comparison, Evaluation

_SIGNIFICANT: Final = 0.05


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="BEIR folder [default: made of installed documentation].")
@click.option(
    "--base",
    default="sentence-transformers/all-MiniLM-L6-v2",
    show_default=True,
    help="Model folder or hub name to start from.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("quickstart"), show_default=True, help="Output folder."
)
@click.option(
    "--weaviate",
    "weaviate_mode",
    type=click.Choice(["auto", "url", "embedded", "off"]),
    default="auto",
    show_default=True,
    help="auto: WEAVIATE_URL if set, else an embedded server, else local search.",
)
@click.option("--reach-host", default="127.0.0.1", show_default=True, help="How Weaviate reaches this machine.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the training configuration.")
def quickstart(
    data: Path | None, base: str, out: Path, weaviate_mode: str, reach_host: str, overrides: tuple[str, ...]
) -> None:
    """Run the whole path once, from data to Weaviate.

    Makes a retrieval set, trains an encoder on it, exports it, serves it, puts it behind a pinned Weaviate
    collection, shows that another encoder is kept out, and scores it beside BM25 and the untouched base.
    Takes a few minutes on two CPU cores.

    \b
    Example:
      samespace quickstart
      samespace quickstart --data data/scifact --out runs/scifact --weaviate off
    """
    require_extra("train", feature="quickstart", modules=("torch", "transformers", "sentence_transformers", "onnx"))
    require_extra("server", feature="quickstart", modules=("grpc", "uvloop", "httptools"))
    if weaviate_mode != "off":
        require_extra("weaviate", feature="quickstart with Weaviate (or pass --weaviate off)", modules=("weaviate",))
    quiet_libraries()
    from ..demo.quickstart import QuickstartOptions
    from ..demo.quickstart import quickstart as run

    options = QuickstartOptions(
        out=out, data=data, base=base, weaviate=weaviate_mode, reach_host=reach_host, overrides=overrides
    )
    result = run(options, console)
    comparisons = result.comparisons
    told = {} if result.chose else comparisons
    rows = [_row(name, scored, told if name == "fine-tuned" else None) for name, scored in result.scores.items()]
    echo()
    echo(table(["on held-out queries", "nDCG@10", "recall@100", "MRR@10", "p vs BM25", "p vs base"], rows))
    echo(_verdict(comparisons, chose=result.chose))
    for query, hits in result.examples:
        echo(f"\n  {query}")
        for rank, text in enumerate(hits, start=1):
            echo(f"    {rank}. {one_line(text, indent=7)}")
    _print_next(result)


def _row(name: str, evaluation: Evaluation, comparisons: Mapping[str, Comparison] | None = None) -> list[str]:
    score = evaluation.score
    p_values = [f"{comparison.p_value:.4f}" for comparison in comparisons.values()] if comparisons else ["", ""]
    return [name, f"{score.ndcg_10:.3f}", f"{score.recall_100:.3f}", f"{score.mrr_10:.3f}", *p_values]


def _verdict(comparisons: Mapping[str, Comparison], *, chose: bool) -> str:
    sentences = []
    for name, comparison in comparisons.items():
        points = f"{100 * comparison.mean:+.1f} points of nDCG@10 against {name}"
        if chose:
            sentences.append(f"{points}, on the split that chose the learning rate: too good, and no p-value.")
            continue
        interval = f"95 % interval {100 * comparison.low:+.1f} to {100 * comparison.high:+.1f}"
        word = "significant" if comparison.p_value < _SIGNIFICANT else "NOT significant"
        sentences.append(f"{points} ({interval}; {word}, paired bootstrap, p = {comparison.p_value:.4f}).")
    return "\n".join(sentences)


def _print_next(result: QuickstartResult) -> None:
    data, folder = result.data, result.artifact.folder
    echo(f"\nDone in {result.seconds / 60:.1f} minutes. The artifact is {folder}. From here:")
    if shutil.which("samespace") is None:
        echo(f"\n  . {Path(sys.executable).parent / 'activate'}")
    echo(
        f"""
  samespace inspect {folder}
  samespace serve {folder}                    # HTTP on 8080 for Weaviate, gRPC on 8081
  samespace weaviate create Article --encoder {folder} --server http://ENCODER_HOST:8080
  samespace weaviate import Article {data} --encoder ENCODER_HOST:8081

Weaviate itself needs ENABLE_MODULES=text2vec-transformers and TRANSFORMERS_INFERENCE_API=http://ENCODER_HOST:8080.
"""
    )
