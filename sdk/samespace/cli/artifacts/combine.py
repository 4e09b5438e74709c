"""`samespace combine`: several encoders as one new artifact, side by side or one for each role."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import echo, progress, say, table

if TYPE_CHECKING:
    from ...exporting.composites.evidence import PartScore


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the new artifact.")
@click.option(
    "--weight",
    "weights",
    multiple=True,
    type=float,
    help="Weight of a part, once per part in order [default: equal].",
)
@click.option(
    "--two-tower",
    is_flag=True,
    help="Use the first for queries and the second for passages; both must be trained together. Needs --data.",
)
@click.option("--name", help="Display name, not part of the space id [default: name of the output folder].")
@click.option("--data", type=click.Path(path_type=Path), help="BEIR folder to score the result and its parts on.")
@click.option("--split", default="dev", show_default=True, help="Split of the data.")
@click.option("--anyway", is_flag=True, help="Join two encoders even if no score shows that they share a space.")
@click.option("--replace", is_flag=True, help="Replace the artifact at --out.")
def combine(
    artifacts: tuple[Path, ...],
    out: Path,
    weights: tuple[float, ...],
    two_tower: bool,
    name: str | None,
    data: Path | None,
    split: str,
    anyway: bool,
    replace: bool,
) -> None:
    """Make one artifact of several encoders.

    The honest way to use several encoders: each vector holds the unit vectors of all parts and compares with
    vectors of the same combination only. The result is served and pinned like any other artifact.

    \b
    Example:
      samespace combine artifacts/minilm artifacts/pydoc -o artifacts/both
      samespace combine artifacts/a artifacts/b -o artifacts/ab --weight 1 --weight 0.5 --data data/scifact
      samespace combine artifacts/queries artifacts/passages -o artifacts/dpr --two-tower --data data/faq
    """
    from ...exporting.composites.request import Combination, combine_folders

    wanted = Combination(artifacts, out, weights, two_tower, name, data, split, anyway, replace)
    written = combine_folders(wanted, progress=progress, say=say, show=_show)
    echo(f"combined: {out}, space {written.space_id}")


def _show(scores: Sequence[PartScore]) -> None:
    rows = [
        [each.name, "-" if each.dims is None else str(each.dims), f"{each.score.ndcg_10:.4f}",
         f"{each.score.recall_100:.4f}"]
        for each in scores
    ]  # fmt: skip
    echo(table(["encoder", "dims", "nDCG@10", "recall@100"], rows))
