"""`samespace weaviate bridge`: approximate vectors of a new encoder from those of the old one, measured first."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from ...errors import GateFailed, RequestInvalid, SpaceMismatch
from ..console import progress, say
from .connection import connection, open_store, require_weaviate
from .migrate import queries_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samespace_weaviate import Database, StoredObject
    from samespace_weaviate.migration.bridge import Bridge

    from ...encoder import Encoder
    from ...evaluation import Dataset, Run
    from ...vectors import Float32, Vectors


@click.command()
@click.argument("name")
@click.option("--to", required=True, metavar="ARTIFACT|SERVER", help="The new encoder, which queries are encoded with.")
@click.option("--from", "from_", metavar="ARTIFACT|SERVER", help="The old encoder; needed with --data.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A BEIR folder to measure on: nDCG@10 of the bridge beside both encoders. Without it answers are compared.",
)
@click.option("--split", default="test", show_default=True, help="The split of --data.")
@click.option(
    "--queries",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Without --data: queries to compare answers on; lines, or a BEIR queries.jsonl. Else texts of the collection.",
)
@click.option(
    "--sample", default=4000, show_default=True, help="Objects to fit on; more is better, up to 10 a dimension."
)
@click.option(
    "--least-retention",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Refuse a bridge that keeps less: of the new encoder's nDCG@10, or of its first 10 answers.",
)
@click.option(
    "--map",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the map; used again if it is there. NAME.bridge.npz unless given.",
)
@click.option("--max-objects-per-s", type=click.FloatRange(min=0), default=0.0, help="Go no faster; 0 is no limit.")
@click.option("--dry-run", is_flag=True, help="Fit, measure and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    url: str | None,
    grpc_port: int | None,
    embedded: Path | None,
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
    from samespace_weaviate.migration import CopyPace, backfill
    from samespace_weaviate.migration.bridge import Bridge
    from samespace_weaviate.migration.named_vector import add, plan_bridge

    from ..encoders import open_encoder

    path = path or Path(f"{name}.bridge.npz")
    with ExitStack() as stack:
        store = stack.enter_context(open_store(url, grpc_port, embedded))
        database = store.patient(Patience())
        encoder = stack.enter_context(open_encoder(to))
        if path.exists():
            found = Bridge.load(path)
            if found.to_space != encoder.space_id:
                raise SpaceMismatch(expected=found.to_space, found=encoder.space_id, where=str(path))
        else:
            found, retention = _fitted(
                _stored(database, name, sample, encoder.space_id),
                encoder,
                stack.enter_context(open_encoder(from_)) if from_ else None,
                (data, split),
                queries_of(queries),
            )
            if retention < least_retention:
                raise GateFailed(build="bridge", measure="retention", measured=retention, gate=least_retention)
            if not dry_run:
                found.save(path)
        plan = plan_bridge(database, name, found.space_id, (found.from_space, found.to_space))
        click.echo(
            f"{plan.collection} gets the vector {plan.vector}, space {found.space_id}: approximate, made by a bridge. "
            "Only who asks for this space finds it; queries are encoded by the new encoder and declared with "
            "`Bridge.queries`. It cannot be undone on every version of Weaviate."
        )
        if dry_run:
            return
        if not yes:
            click.confirm("Go on?", abort=True, err=True)
        source = plan.old[0].vector

        def make(records: Sequence[StoredObject]) -> Float32:
            rows = np.stack([record.vectors[source] for record in records])
            return np.asarray(found.passages(rows).__array__())

        add(database, plan)
        with progress("objects", 0) as advance:
            pace = CopyPace(max_objects_per_s=max_objects_per_s, progress=advance)
            done = backfill(database, plan.collection, plan.vector, plan.text_property, make, pace, needs=source)
    say(f"{done} objects got {plan.vector}. New objects get it when this command is run again with --map {path}.")


@dataclass(frozen=True, slots=True)
class _Sample:
    """Texts of a collection, and the vectors that are stored for them: (n, dims) of *space*."""

    texts: list[str]
    rows: Float32
    space: str


@dataclass(frozen=True, slots=True)
class _Given:
    """A ranker of vectors that are there already."""

    name: str
    space_id: str
    queries: Vectors
    passages: Vectors

    def rank(self, dataset: Dataset, depth: int, progress: object = None) -> Run:
        from ...evaluation import search

        return search(self.queries, self.passages, depth)


def _stored(database: Database, name: str, sample: int, to_space: str) -> _Sample:
    """Objects from random places among the ids."""
    from samespace_weaviate.migration.named_vector import pins_of
    from samespace_weaviate.migration.verification import spread

    schema = database.schema(name) or {}
    pins = [pin for pin in pins_of(schema) if pin.space != to_space]
    if len(pins) != 1:
        raise RequestInvalid(field="NAME", reason=f"{name} has {len(pins)} vectors to build a bridge from; expected 1")
    pin, tenant = pins[0], ""
    if (schema.get("multiTenancyConfig") or {}).get("enabled"):
        awake = {one: database.of_tenant(one).count(name) for one, there in database.tenants(name).items() if there}
        tenant = max(awake, key=lambda one: awake[one], default="")
    records = spread(database.of_tenant(tenant), name, sample, random.Random(0))
    texts = str(pin.settings["properties"][0])
    kept = [record for record in records if pin.vector in record.vectors and record.properties.get(texts)]
    rows = np.stack([record.vectors[pin.vector] for record in kept]) if kept else np.zeros((0, 1), np.float32)
    return _Sample([str(record.properties[texts]) for record in kept], rows, pin.space)


def _fitted(
    sample: _Sample, new: Encoder, old: Encoder | None, data: tuple[Path | None, str], queries: tuple[str, ...]
) -> tuple[Bridge, float]:
    """The map, and what it keeps; both printed."""
    from samespace_weaviate.migration.bridge import crossed, fit, overlap

    from ...vectors import Vectors

    stored = Vectors(sample.rows, sample.space)
    native = new.encode(sample.texts, "passage")
    found = fit(stored, native)
    click.echo(
        f"Fitted on {found.texts} objects: {found.kind}, mean 1 - cos {found.held_out:.3f} to the new encoder's "
        "vectors on those held out."
    )
    if data[0] is not None:
        if old is None:
            raise RequestInvalid(field="--from", reason="--data has to be encoded with the old encoder too")
        return found, _on_data(found, old, new, data[0], data[1])
    asked = list(queries) or sample.texts[:200]
    rows = np.asarray(new.encode(asked, "query").__array__())
    kept = overlap(rows, crossed(stored, native), np.asarray(native.__array__()))
    click.echo(
        f"Of the new encoder's first 10 answers to {len(asked)} {'queries' if queries else 'texts of the collection'} "
        f"among these objects, bridged vectors give {kept:.1%}."
    )
    return found, kept


def _on_data(found: Bridge, old: Encoder, new: Encoder, folder: Path, split: str) -> float:
    """nDCG@10 of both encoders and of a bridge between their passages; the share that the bridge keeps."""
    from samespace_weaviate.migration.bridge import crossed

    from ...evaluation import evaluate, load_dataset
    from ...vectors import Vectors
    from ..console import table

    if old.space_id != found.from_space:
        raise SpaceMismatch(expected=found.from_space, found=old.space_id, where="--from")
    dataset = load_dataset(folder, split)
    before, after = (each.encode(dataset.passages, "passage") for each in (old, new))
    asked = new.encode(dataset.queries, "query")
    bridged = Vectors(crossed(before, after), found.space_id)
    rankers = (
        _Given("old encoder", old.space_id, old.encode(dataset.queries, "query"), before),
        _Given("new encoder", new.space_id, asked, after),
        _Given("bridge", found.space_id, found.queries(asked), bridged),
    )
    scores = [evaluate(ranker, dataset).score for ranker in rankers]
    click.echo(table(["passages of", "nDCG@10"], [[score.encoder, f"{score.ndcg_10:.4f}"] for score in scores]))
    kept = scores[2].ndcg_10 / scores[1].ndcg_10 if scores[1].ndcg_10 else 0.0
    click.echo(
        f"The bridge keeps {kept:.1%} of the new encoder's nDCG@10 on {dataset.name} ({len(dataset.queries)} queries). "
        "Each half of the passages was mapped by a map that was fitted on the other half."
    )
    return kept
