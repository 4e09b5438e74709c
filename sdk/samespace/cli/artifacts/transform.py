"""`samespace transform`: does centring, PCA, whitening or truncation help, and how many dimensions are needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...extras import require_extra
from ..console import echo, progress, quiet_libraries, say, table
from ..encoders import checkpoint_options

if TYPE_CHECKING:
    from ...exporting.transforms.choice import CandidateScore
    from ...exporting.transforms.request import TransformChoice


@click.command()
@click.argument("model")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder in the BEIR layout.")
@click.option(
    "--split", default="dev", show_default=True, help="Split whose queries choose; do not report scores on it."
)
@click.option(
    "--candidates",
    metavar="LIST",
    help="Comma-separated: none, centre, pca:K, whiten, whiten:K, truncate:K [default: all, at 3/4 to 1/8 "
    "of the dims].",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    metavar="N",
    default=5000,
    show_default=True,
    help="Windows of passages to fit on; more make large transforms more stable.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Random seed of the sample.")
@click.option(
    "--max-loss",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    default=1.0,
    show_default=True,
    help="Loss allowed for fewer dimensions, in points of nDCG@10.",
)
@click.option(
    "--pick",
    default="best",
    show_default=True,
    metavar="WORD",
    help="Transform to write to --out: best, smallest, or a candidate such as pca:128.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Output file for the picked transform, for `export --transform`."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@checkpoint_options
def transform(
    model: str,
    data: Path,
    split: str,
    candidates: str | None,
    sample: int,
    seed: int,
    max_loss: float,
    pick: str,
    out: Path | None,
    as_json: bool,
    overrides: Mapping[str, Any],
) -> None:
    """Choose a linear transform by nDCG@10.

    MODEL is what `samespace export` takes, with the same options. The texts of DATA are encoded once; every
    candidate is fitted on windows of its passages (never on queries) and scored on the queries of --split.

    best is none unless a candidate is better beyond chance (p times the number of candidates below 0.05); smallest
    has the fewest dims of those that lose at most --max-loss. A transformed encoder is another space.

    \b
    Example:
      samespace transform runs/pydoc/model --data data/pydoc
      samespace transform MODEL --data DATA --pick smallest --out small.safetensors
      samespace export MODEL artifacts/small --transform small.safetensors
    """
    require_extra("train", feature="transform", modules=("torch", "transformers", "onnx", "onnxscript", "onnxruntime"))
    quiet_libraries()
    from ...exporting.transforms.request import TransformRequest, choose_transform
    from ...model.checkpoint import Overrides

    listed = tuple(candidates.split(",")) if candidates else ()
    wanted = TransformRequest(
        model, data, split, listed, sample, seed, max_loss, pick, out, Overrides(**overrides)
    )  # fmt: skip
    found = choose_transform(wanted, progress=progress, say=say)
    if as_json:
        echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        _show(found)
    if out:
        picked = found.picked.candidate
        say(f"written: {out}, {picked}" if found.written else f"not written: {out}, because the pick is none")


def _show(found: TransformChoice) -> None:
    head = ["transform", "dims", "nDCG@10", "recall@100", "rank", "cosine", "bytes", "change"]
    echo(table(head, [_row(each) for each in found.scores]))
    echo(_answer(found.scores, found.best, found.smallest, found.wanted.max_loss))
    say("rank: dims in use (effective rank). cosine: of random passages. bytes: a float32 vector.")
    say("change: points of nDCG@10 against none, on the queries that choose: score the one you take on other queries.")


def _row(score: CandidateScore) -> list[str]:
    return [
        str(score.candidate),
        str(score.dims),
        f"{score.ndcg_10:.4f}",
        f"{score.recall_100:.4f}",
        f"{score.effective_rank:.1f}",
        f"{score.mean_cosine:.3f}",
        str(score.bytes),
        "-" if score.change is None else f"{score.points:+.2f}",
    ]


def _answer(scores: Sequence[CandidateScore], best: CandidateScore, smallest: CandidateScore, max_loss: float) -> str:
    """Which one to take, and how many dimensions are needed, in two sentences."""
    none = scores[0]
    if best is none:
        first = "best: none; no candidate is better beyond chance."
    else:
        first = f"best: {best.candidate}, {best.points:+.2f} points."
    if smallest.dims == none.dims:
        return f"{first}\nsmallest: no candidate with fewer than {none.dims} dims stays within {max_loss:g} points."
    change = smallest.change
    assert change is not None
    return (
        f"{first}\nsmallest: {smallest.candidate}, {smallest.bytes} instead of {none.bytes} bytes a vector, "
        f"{smallest.points:+.2f} points\n  (95 % between {100 * change.low:+.2f} and {100 * change.high:+.2f})."
    )
