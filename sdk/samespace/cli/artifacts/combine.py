"""`samespace combine`: several encoders as one new artifact, side by side or one for each role."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...errors import RequestInvalid
from ..console import progress, say, table

if TYPE_CHECKING:
    from ...artifact import Artifact
    from ...encoder import Encoder
    from ...evaluation import Dataset
    from ...progress import Advance
    from ...text import Role
    from ...vectors import Vectors

TOGETHER_SHARE: Final = 0.5
"""Two towers have to reach this share of the better one's score alone, or they were not trained together."""


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the new artifact.")
@click.option(
    "--weight",
    "weights",
    multiple=True,
    type=float,
    help="Weight of a part's unit vectors, once for each part in order; equal unless given.",
)
@click.option(
    "--two-tower",
    is_flag=True,
    help="The first encodes queries, the second passages; they have to have been trained together. Needs --data.",
)
@click.option("--name", help="Display name; the name of the folder unless given. Not part of the space id.")
@click.option("--data", type=click.Path(path_type=Path), help="BEIR folder: score the result beside its parts.")
@click.option("--split", default="dev", show_default=True, help="Split of the data.")
@click.option("--replace", is_flag=True, help="Put the new artifact in the place of the one at --out.")
def combine(
    artifacts: tuple[Path, ...],
    out: Path,
    weights: tuple[float, ...],
    two_tower: bool,
    name: str | None,
    data: Path | None,
    split: str,
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
    from ...artifact import open_artifact
    from ...artifact.layout import check_target
    from ...encoder import Encoder
    from ...evaluation import load_dataset
    from ...export.composites.concatenate import combine as concatenate
    from ...export.composites.concatenate import join_towers

    check_target(out, replace=replace)
    opened = [open_artifact(folder) for folder in artifacts]
    dataset = load_dataset(data, split) if data else None
    if not two_tower:
        written = concatenate(opened, out, weights=weights or None, name=name, replace=replace)
        if dataset is not None:
            _score(dataset, [*_named(opened), (written.manifest.name, Encoder.load(written))])
    else:
        if len(opened) != 2 or weights:
            raise RequestInvalid(field="ARTIFACTS", reason=f"{len(opened)}; a two-tower has two, without weights")
        if dataset is None:
            raise RequestInvalid(
                field="--data", reason="missing; only retrieval can show that two encoders were trained together"
            )
        _check_towers(dataset, opened)
        written = join_towers(opened[0], opened[1], out, name=name, replace=replace)
    click.echo(f"combined: {out}, space {written.space_id}")


class _Towers:
    """Two encoders as one that is only scored: queries through the first, passages through the second."""

    name = "together"
    dims = 0

    def __init__(self, query: Encoder, passage: Encoder) -> None:
        self._towers = {"query": query, "passage": passage}
        self.dims = query.dims
        self.space_id = query.space_id

    def encode(self, texts: Sequence[str], role: Role, *, progress: Advance | None = None) -> Vectors:
        import numpy as np

        from ...vectors import Vectors

        # For this one measurement the towers are taken to share a space: whether they do is the question.
        vectors = self._towers[role].encode(texts, role, progress=progress)
        return Vectors(np.asarray(vectors), self.space_id)


def _check_towers(dataset: Dataset, artifacts: Sequence[Artifact]) -> None:
    """Raise `RequestInvalid` where queries of the one do not find passages of the other."""
    named = _named(artifacts)
    (_, query), (_, passage) = named
    if query.dims != passage.dims:
        raise RequestInvalid(field="ARTIFACTS", reason=f"the first has {query.dims} dims, the second {passage.dims}")
    *alone, together = _score(dataset, [*named, (_Towers.name, _Towers(query, passage))])
    if together < TOGETHER_SHARE * max(alone):
        raise RequestInvalid(
            field="ARTIFACTS",
            reason=f"together they score {together:.4f} nDCG@10 on {dataset.name}, alone {alone[0]:.4f} and "
            f"{alone[1]:.4f}: their vectors do not share a space. Train them together, or concatenate them",
        )


def _named(artifacts: Sequence[Artifact]) -> list[tuple[str, Encoder]]:
    from ...encoder import Encoder

    return [(artifact.manifest.name, Encoder.load(artifact)) for artifact in artifacts]


def _score(dataset: Dataset, encoders: Sequence[tuple[str, Encoder | _Towers]]) -> list[float]:
    """Print BM25 and each encoder on the data; nDCG@10 of each encoder."""
    from ...evaluation import Bm25Ranker, DenseRanker, Ranker, evaluate

    rankers: list[tuple[str, str, Ranker]] = [("bm25", "-", Bm25Ranker())]
    rankers += [(name, str(encoder.dims), DenseRanker(encoder)) for name, encoder in encoders]
    rows, found = [], []
    for name, dims, ranker in rankers:
        say(f"Scoring {name} on {dataset.name}.")
        with progress(name, len(dataset.passages) + len(dataset.queries)) as advance:
            score = evaluate(ranker, dataset, progress=advance).score
        rows.append([name, dims, f"{score.ndcg_10:.4f}", f"{score.recall_100:.4f}"])
        found.append(score.ndcg_10)
    click.echo(table(["encoder", "dims", "nDCG@10", "recall@100"], rows))
    return found[1:]
