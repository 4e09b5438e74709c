"""A linear map from the vectors of one encoder to those of another, for who cannot encode everything again at once.

A bridged vector is *near* the vector that the new encoder would give, and it is not that vector. So it lives in a space
of its own, with an id made from the map and both spaces, and whoever searches it with the new encoder's queries has to
say so (`Bridge.queries`). How much is lost is measured before it is used, on passages that the map has not seen.

`bridge` is the whole of it: from what a collection stores to a second vector of each object, refused where too little
of the new encoder is kept. The map itself is in `linear_map`. Its file says what was measured, so that a map that was
accepted with a low `least_retention` is not used again for more than it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import GateFailed, RequestInvalid, SpaceMismatch
from samespace.evaluation import Dataset, Run, Score, evaluate, load_dataset, search
from samespace.folders import writes
from samespace.progress import Progress, silent
from samespace.vectors import Float32, Vectors

from ..access.database import Database
from ..access.values import StoredObject
from .backfill import backfill, schema_of
from .copying.route import CopyPace
from .linear_map import Bridge, MeasuredRetention, crossed, fit, overlap
from .named_vector import SecondVector, add, pins_of, plan_bridge
from .verification import spread

__all__ = ["Bridge", "BridgeTerms", "Retention", "bridge", "crossed", "fit", "overlap"]

LEAST_RETENTION: Final = 0.9
_ASKED: Final = 200  # texts of the collection that are asked where nobody gives queries


@dataclass(frozen=True, slots=True)
class BridgeTerms:
    """How a bridge is fitted and judged.

    Attributes:
        data, split: a BEIR folder to measure nDCG@10 on; without it first answers to *queries* are compared.
        queries: texts; () for some of the collection's own.
        sample: objects to fit on.
        least_retention: what a bridge has to keep of the new encoder, in [0, 1]; lower it to insist on a worse one.
        path: the file of the map: used where it is there, else written.
        max_objects_per_s: 0 for no limit.
    """

    path: Path
    data: Path | None = None
    split: str = "test"
    queries: tuple[str, ...] = ()
    sample: int = 4000
    least_retention: float = LEAST_RETENTION
    max_objects_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Retention:
    """What a bridge keeps of the new encoder.

    Attributes:
        bridge: fitted, not judged yet.
        kept: the share, in [0, 1], of nDCG@10 or of the first answers.
        scores: of the old encoder, the new one and the bridge, where there was data.
        sentence: how *kept* was measured, for people.
    """

    bridge: Bridge
    kept: float
    scores: tuple[Score, ...]
    sentence: str

    def require(self, least: float) -> None:
        """Raise `GateFailed` where less than *least* is kept."""
        if not self.kept >= least:
            raise GateFailed(build="bridge", measure="retention", measured=self.kept, gate=least)


Shown = Callable[[Retention], None]
Agreed = Callable[[Bridge, SecondVector], bool]


@writes("terms.path")
def bridge(
    database: Database,
    name: str,
    new: Encoder,
    terms: BridgeTerms,
    *,
    old: Encoder | None = None,
    show: Shown = lambda _: None,
    agreed: Agreed = lambda bridge, plan: True,
    progress: Progress = silent,
) -> int | None:
    """Give every object of *name* a second vector, mapped to the neighbourhood of *new*; how many got one.

    Args:
        old: the encoder of the stored vectors; needed with `terms.data`.
        show: gets what was measured as soon as it is, before a refusal.
        agreed: asked with what is going to be done; where it says no, nothing is written and the answer is None.

    Raises:
        GateFailed: the bridge keeps less than `terms.least_retention`, also one of a file: nothing is written.
        SpaceMismatch: the file's map leads to another encoder, or *old* is not that of the stored vectors.
        RequestInvalid: the file's map was not measured on this collection; or the collection has not exactly one vector
            to build a bridge from, or too few objects.
        MigrationBlocked: it has no vectors that the map is for, or tenants that are offloaded.
    """
    real = str(schema_of(database, name)["class"])
    if terms.path.exists():
        found = Bridge.load(terms.path)
        if found.to_space != new.space_id:
            raise SpaceMismatch(expected=found.to_space, found=new.space_id, where=str(terms.path))
        found.require_retention(terms.least_retention, real, str(terms.path))
    else:
        measured = _measured(_stored(database, name, terms.sample, new.space_id), new, old, terms, progress)
        show(measured)
        measured.require(terms.least_retention)
        found = replace(measured.bridge, retention=MeasuredRetention(measured.kept, real, measured.sentence))
    plan = plan_bridge(database, name, found.space_id, (found.from_space, found.to_space))
    if not agreed(found, plan):
        return None
    if not terms.path.exists():
        found.save(terms.path)
    source = plan.old[0].vector

    def make(records: Sequence[StoredObject]) -> Float32:
        rows = np.stack([record.vectors[source] for record in records])
        return np.asarray(found.passages(rows).__array__())

    add(database, plan)
    with progress("objects", 0) as advance:
        pace = CopyPace(max_objects_per_s=terms.max_objects_per_s, progress=advance)
        return backfill(database, plan.filling(needs=source), make, pace)


@dataclass(frozen=True, slots=True)
class _Stored:
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
        return search(self.queries, self.passages, depth)


def _stored(database: Database, name: str, sample: int, to_space: str) -> _Stored:
    """Objects from random places among the ids."""
    schema = database.schema(name) or {}
    pins = [pin for pin in pins_of(schema) if pin.space != to_space]
    if len(pins) != 1:
        raise RequestInvalid(field="NAME", reason=f"{name} has {len(pins)} vectors to build a bridge from; expected 1")
    pin, tenant = pins[0], ""
    if (schema.get("multiTenancyConfig") or {}).get("enabled"):
        awake = {one: database.of_tenant(one).count(name) for one, there in database.tenants(name).items() if there}
        tenant = max(awake, key=lambda one: awake[one], default="")
    records = spread(database.of_tenant(tenant), name, sample, random.Random(0))
    texts = next(iter(pin.sources), "text")
    kept = [record for record in records if pin.vector in record.vectors and record.properties.get(texts)]
    rows = np.stack([record.vectors[pin.vector] for record in kept]) if kept else np.zeros((0, 1), np.float32)
    return _Stored([str(record.properties[texts]) for record in kept], rows, pin.space)


def _measured(sample: _Stored, new: Encoder, old: Encoder | None, terms: BridgeTerms, progress: Progress) -> Retention:
    """The map, and what it keeps."""
    if terms.data is not None and old is None:
        raise RequestInvalid(field="--from", reason="--data has to be encoded with the old encoder too")
    stored = Vectors(sample.rows, sample.space)
    with progress("sampled texts", len(sample.texts)) as advance:
        native = new.encode(sample.texts, "passage", progress=advance)
    found = fit(stored, native)
    if terms.data is not None and old is not None:
        return _on_data(found, old, new, load_dataset(terms.data, terms.split), progress)
    asked = list(terms.queries) or sample.texts[:_ASKED]
    rows = np.asarray(new.encode(asked, "query").__array__())
    kept = overlap(rows, crossed(stored, native), np.asarray(native.__array__()))
    what = "queries" if terms.queries else "texts of the collection"
    sentence = (
        f"Of the new encoder's first 10 answers to {len(asked)} {what} among these objects, bridged vectors give "
        f"{kept:.1%}."
    )
    return Retention(found, kept, (), sentence)


def _on_data(found: Bridge, old: Encoder, new: Encoder, dataset: Dataset, progress: Progress) -> Retention:
    """nDCG@10 of both encoders and of a bridge between their passages."""
    if old.space_id != found.from_space:
        raise SpaceMismatch(expected=found.from_space, found=old.space_id, where="--from")
    with progress("texts of the data", 2 * len(dataset.passages)) as advance:
        before, after = (each.encode(dataset.passages, "passage", progress=advance) for each in (old, new))
    asked = new.encode(dataset.queries, "query")
    bridged = Vectors(crossed(before, after), found.space_id)
    rankers = (
        _Given("old encoder", old.space_id, old.encode(dataset.queries, "query"), before),
        _Given("new encoder", new.space_id, asked, after),
        _Given("bridge", found.space_id, found.queries(asked), bridged),
    )
    scores = tuple(evaluate(ranker, dataset).score for ranker in rankers)
    kept = scores[2].ndcg_10 / scores[1].ndcg_10 if scores[1].ndcg_10 else 0.0
    sentence = (
        f"The bridge keeps {kept:.1%} of the new encoder's nDCG@10 on {dataset.name} ({len(dataset.queries)} queries). "
        "Each half of the passages was mapped by a map that was fitted on the other half."
    )
    return Retention(found, kept, scores, sentence)
