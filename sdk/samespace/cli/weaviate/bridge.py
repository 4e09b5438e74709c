"""`samespace weaviate bridge`: approximate vectors of a new encoder from those of the old one, measured first."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import echo, progress, say, table
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .migrate import queries_of

if TYPE_CHECKING:
    from samespace_weaviate.migration.bridge import Bridge, Retention
    from samespace_weaviate.migration.named_vector import SecondVector


@click.command()
@click.argument("name")
@click.option("--to", required=True, metavar="ARTIFACT|SERVER", help="New encoder, which encodes the queries.")
@click.option("--from", "from_", metavar="ARTIFACT|SERVER", help="Old encoder; needed with --data.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="BEIR folder to score the bridge and both encoders on [default: compare results only].",
)
@click.option("--split", default="test", show_default=True, help="Split of --data.")
@click.option(
    "--queries",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Queries to compare results on, without --data: one per line, or a BEIR queries.jsonl [default: "
    "texts of the collection].",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=4000,
    show_default=True,
    help="Objects to fit on; up to 10 per dimension help.",
)
@click.option(
    "--least-retention",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Reject a bridge that retains less of the new encoder's nDCG@10, or of its first 10 results.",
)
@click.option(
    "--map",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the fitted map, reused if it exists [default: NAME.bridge.npz].",
)
@click.option(
    "--max-objects-per-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Speed limit, in objects per second; 0 for none.",
)
@click.option("--dry-run", is_flag=True, help="Fit, measure and stop.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connection
def bridge(
    name: str,
    to: str,
    from_: str | None,
    data: Path | None,
    split: str,
    queries: Path | None,
    sample: int,
    least_retention: float,
    path: Path | None,
    max_objects_per_s: float,
    dry_run: bool,
    yes: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Approximate vectors of a new encoder, mapped from those that are stored.

    For collections that cannot be encoded again at once. A linear map is fitted on a sample, what it loses is measured,
    and every object gets a second vector, in a space of its own: it is neither the old encoder's nor the new one's. Run
    it again after imports. Migrate when you can.

    \b
    Example:
      samespace weaviate bridge Article --to artifacts/new --from artifacts/old --data data/pydoc --dry-run
      samespace weaviate bridge Article --to artifacts/new --queries queries.txt --least-retention 0.7
    """
    require_weaviate()
    from samespace_weaviate.access.patience import Patience
    from samespace_weaviate.migration.bridge import BridgeTerms
    from samespace_weaviate.migration.bridge import bridge as run

    from ..encoders import open_encoder

    path = path or Path(f"{name}.bridge.npz")
    terms = BridgeTerms(path, data, split, queries_of(queries), sample, least_retention, max_objects_per_s)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "bridge", name)
        new = stack.enter_context(open_encoder(to))
        old = stack.enter_context(open_encoder(from_)) if from_ else None
        agreed = partial(_agreed, dry_run=dry_run, yes=yes)
        done = run(store.patient(Patience()), name, new, terms, old=old, show=_show, agreed=agreed, progress=progress)
    if done is not None:
        say(f"{done} objects got it. New objects get it when this command is run again with --map {path}.")


def _show(measured: Retention) -> None:
    found = measured.bridge
    echo(
        f"Fitted on {found.texts} objects: {found.kind}, mean 1 - cos {found.held_out:.3f} to the new encoder's "
        "vectors on those held out."
    )
    if measured.scores:
        rows = [[score.encoder, f"{score.ndcg_10:.4f}"] for score in measured.scores]
        echo(table(["passages of", "nDCG@10"], rows))
    echo(measured.sentence)


def _agreed(found: Bridge, plan: SecondVector, *, dry_run: bool, yes: bool) -> bool:
    kept = "of which nothing was measured" if found.retention is None else f"that retains {found.retention.kept:.1%}"
    echo(
        f"{plan.collection} gets the vector {plan.vector}, space {found.space_id}: approximate, made by a bridge "
        f"{kept}. "
        "Only who asks for this space finds it; queries are encoded by the new encoder and declared with "
        "`Bridge.queries`. It cannot be undone on every version of Weaviate."
    )
    if not dry_run and not yes:
        click.confirm("Go on?", abort=True, err=True)
    return not dry_run
