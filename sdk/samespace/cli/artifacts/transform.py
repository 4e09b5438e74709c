"""`samespace transform`: does centring, PCA, whitening or truncation help, and how many dimensions are needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import RequestInvalid
from ...extras import require_extra
from ..console import progress, quiet_libraries, say, table
from ..encoders import checkpoint_options

if TYPE_CHECKING:
    from ...export.transforms.choice import CandidateScore


@click.command()
@click.argument("model")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder in the BEIR layout.")
@click.option("--split", default="dev", show_default=True, help="Whose queries choose; not the ones you report.")
@click.option(
    "--candidates",
    metavar="LIST",
    help="none, centre, pca:K, whiten, whiten:K, truncate:K, with commas between; unless given, all of them at "
    "3/4 to 1/8 of the dims.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    metavar="N",
    default=5000,
    show_default=True,
    help="Windows of passages that the fits see; more make large transforms steadier.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Random seed of the sample.")
@click.option(
    "--max-loss",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    default=1.0,
    show_default=True,
    help="What a smaller size may cost, in points of nDCG@10.",
)
@click.option(
    "--pick",
    default="best",
    show_default=True,
    metavar="WORD",
    help="What --out gets: best, smallest, or a candidate such as pca:128.",
)
@click.option("--out", type=click.Path(path_type=Path), help="File for the picked transform: for `export --transform`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
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
    """Choose a linear map after the encoder by nDCG.

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
    from ...evaluation import load_dataset
    from ...export.transforms.choice import best, encode_windows, exact_session, fit_all, score_all, smallest
    from ...export.transforms.fit import TransformCandidate, default_candidates, moments
    from ...model.checkpoint import Overrides, load_checkpoint
    from ...model.evidence import TransformEvidence

    dataset = load_dataset(data, split)
    say(f"Reading {model}.")
    checkpoint = load_checkpoint(model, Overrides(**overrides))
    dims, space = checkpoint.dims, checkpoint.identity.space_id()
    asked = candidates.split(",") if candidates else [str(each) for each in default_candidates(dims)]
    if pick not in ("best", "smallest"):
        asked.append(pick)
    tried = tuple(TransformCandidate.parse(each, source_dims=dims) for each in asked)
    say("Exporting the fp32 graph: the fastest exact way to encode.")
    with exact_session(checkpoint) as session:
        say(f"Encoding {len(dataset.passages)} passages and {len(dataset.queries)} queries of {split}, once.")
        with progress("texts", len(dataset.passages) + len(dataset.queries)) as advance:
            text_encoder = checkpoint.text_encoder
            queries = encode_windows(session, text_encoder, dataset.queries, "query", dims=dims, progress=advance)
            passages = encode_windows(session, text_encoder, dataset.passages, "passage", dims=dims, progress=advance)
    fitted_on = moments(passages.sample(sample, seed=seed))
    transforms, refused = fit_all(tried, fitted_on, fitted_on=space)
    for error in refused:
        say(f"left out: {error}")
    scores = score_all(dataset, queries, passages, transforms)
    found = {"best": best(scores), "smallest": smallest(scores, max_loss=max_loss)}
    picked = found.get(pick) or next((each for each in scores if str(each.candidate) == pick), None)
    if picked is None:
        raise RequestInvalid(field="pick", reason=f"{pick} could not be fitted, as said above")
    chosen = transforms[picked.candidate]
    if out and chosen and picked.change:
        evidence = TransformEvidence(
            transform=str(picked.candidate),
            pick=pick,
            max_loss=max_loss,
            tried=len(scores) - 1,
            data=dataset.name,
            split=split,
            sampled_windows=fitted_on.samples,
            ndcg_10=picked.ndcg_10,
            ndcg_10_none=scores[0].ndcg_10,
            change=picked.change,
            date=datetime.now(UTC).date().isoformat(),
        )
        replace(chosen, evidence=evidence).save(out)
    if as_json:
        record = {
            "model": model,
            "space_id": space,
            "data": dataset.name,
            "split": split,
            "queries": len(dataset.queries),
            "sampled_windows": fitted_on.samples,
            "shrinkage": fitted_on.shrinkage,
            "scores": [each.to_json() for each in scores],
            "best": str(found["best"].candidate),
            "smallest": str(found["smallest"].candidate),
            "picked": str(picked.candidate),
            "written": str(out) if out and chosen else None,
        }
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        click.echo(table(["transform", "dims", "nDCG@10", "recall@100", "rank", "cosine", "bytes", "change", "p"],
                         [_row(each) for each in scores]))  # fmt: skip
        click.echo(_answer(scores, found["best"], found["smallest"], max_loss))
        say("rank: dims in use (effective rank). cosine: of random passages. bytes: a float32 vector.")
        say("change: points of nDCG@10 against none; p: of that change by chance, uncorrected.")
    if out:
        say(f"written: {out}, {picked.candidate}" if chosen else f"not written: {out}, because the pick is none")


def _row(score: CandidateScore) -> list[str]:
    change = ["-", "-"] if score.change is None else [f"{score.points:+.2f}", f"{score.change.p_value:.3f}"]
    return [
        str(score.candidate),
        str(score.dims),
        f"{score.ndcg_10:.4f}",
        f"{score.recall_100:.4f}",
        f"{score.effective_rank:.1f}",
        f"{score.mean_cosine:.3f}",
        str(score.bytes),
        *change,
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
