"""A linear map from the vectors of one encoder to those of another, for who cannot encode everything again at once.

A bridged vector is *near* the vector that the new encoder would give, and it is not that vector. So it lives in a space
of its own, with an id made from the map and both spaces, and whoever searches it with the new encoder's queries has to
say so (`Bridge.queries`). How much is lost is measured before it is used, on passages that the map has not seen.

Two kinds are fitted, and the one with the smaller error on held-out texts is taken: ridge regression, and the
orthogonal map of Procrustes (Schönemann 1966), which cannot overfit in length or angle. Both after centring.

`bridge` is the whole of it: from what a collection stores to a second vector of each object, refused where too little
of the new encoder is kept. The map itself (`Bridge`, `fit`, `crossed`, `overlap`) is pure numpy.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from samespace.encoder import Encoder
from samespace.errors import DataInvalid, GateFailed, RequestInvalid, SpaceMismatch
from samespace.evaluation import Dataset, Run, Score, evaluate, load_dataset, search
from samespace.folders import whole_file
from samespace.progress import Progress, silent
from samespace.vectors import Float32, Vectors, cosine_distance, normalise

from ..access.database import Database
from ..access.values import StoredObject
from .backfill import backfill
from .named_vector import SecondVector, add, pins_of, plan_bridge
from .transfer import CopyPace
from .verification import spread

Kind = Literal["ridge", "procrustes"]
Float64 = npt.NDArray[np.float64]

RIDGES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Tried strengths of the ridge, as a share of the mean variance of a dimension."""
LEAST_TEXTS: Final = 100
LEAST_RETENTION: Final = 0.9
_ASKED: Final = 200  # texts of the collection that are asked where nobody gives queries
_HELD_OUT: Final = 5
_FORMAT: Final = "samespace bridge 1"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A map from *from_space* to the neighbourhood of *to_space*.

    Attributes:
        from_space, to_space: full ids.
        kind: how it was fitted.
        matrix: (old dims, new dims) float32.
        old_mean, new_mean: (old dims,), (new dims,) float32; taken off before, put on after.
        texts: how many it was fitted on.
        held_out: mean 1 - cos to the new encoder's vectors, on texts that a fit had not seen.
    """

    from_space: str
    to_space: str
    kind: Kind
    matrix: Float32
    old_mean: Float32
    new_mean: Float32
    texts: int
    held_out: float

    @property
    def space_id(self) -> str:
        """The id of the approximate space: sha256 over both ids and the numbers of the map."""
        header = {"format": _FORMAT, "from": self.from_space, "to": self.to_space, "shape": list(self.matrix.shape)}
        digest = sha256(json.dumps(header, sort_keys=True).encode())
        for part in (self.matrix, self.old_mean, self.new_mean):
            digest.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
        return digest.hexdigest()

    def passages(self, rows: npt.NDArray[Any]) -> Vectors:
        """Old vectors, shape (n, old dims), mapped: unit rows of this bridge's own space."""
        mapped = (np.asarray(rows, dtype=np.float64) - self.old_mean) @ self.matrix + self.new_mean
        return Vectors(normalise(mapped), self.space_id)

    def queries(self, vectors: Vectors) -> Vectors:
        """Queries of the new encoder, declared to be asked of bridged vectors: the same rows, of this space.

        Raises:
            SpaceMismatch: they are not of the new space.
        """
        vectors.require(self.to_space, where="queries of a bridge")
        return Vectors(vectors.__array__(), self.space_id)

    def save(self, path: Path | str) -> None:
        """Write the map to an `.npz` file."""
        with whole_file(Path(path)) as file:
            np.savez(
                file,
                format=_FORMAT,
                from_space=self.from_space,
                to_space=self.to_space,
                kind=self.kind,
                matrix=self.matrix,
                old_mean=self.old_mean,
                new_mean=self.new_mean,
                texts=self.texts,
                held_out=self.held_out,
                space_id=self.space_id,
            )

    @staticmethod
    def load(path: Path | str) -> Bridge:
        """Read what `save` wrote.

        Raises:
            DataInvalid: it is not such a file, or was altered.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as found:
                if str(found["format"]) != _FORMAT:
                    raise DataInvalid(path=str(path), reason=f"is not a {_FORMAT}")
                bridge = Bridge(
                    from_space=str(found["from_space"]),
                    to_space=str(found["to_space"]),
                    kind="ridge" if str(found["kind"]) == "ridge" else "procrustes",
                    matrix=found["matrix"],
                    old_mean=found["old_mean"],
                    new_mean=found["new_mean"],
                    texts=int(found["texts"]),
                    held_out=float(found["held_out"]),
                )
                if bridge.space_id != str(found["space_id"]):
                    raise DataInvalid(path=str(path), reason="was altered: its space id is not that of its numbers")
                return bridge
        except (OSError, ValueError, KeyError) as error:
            raise DataInvalid(path=str(path), reason=f"is not a bridge: {error}") from error


def fit(old: Vectors, new: Vectors, *, seed: int = 0) -> Bridge:
    """The best map from *old* to *new*: the same texts in the same order, as passages of both encoders.

    A fifth of the texts chooses kind and strength; the map is then fitted on all.

    Raises:
        RequestInvalid: too few texts, or not as many on both sides.
    """
    x, y = _pair(old, new)
    if len(x) < LEAST_TEXTS:
        raise RequestInvalid(field="texts", reason=f"{len(x)}; a bridge needs at least {LEAST_TEXTS}, better thousands")
    kind, strength, held_out = _chosen(x, y, seed)
    matrix, old_mean, new_mean = (part.astype(np.float32) for part in _fitted(x, y, kind, strength))
    return Bridge(old.space_id, new.space_id, kind, matrix, old_mean, new_mean, len(x), held_out)


def crossed(old: Vectors, new: Vectors, *, seed: int = 0) -> Float32:
    """*old* mapped in two halves, each by a map that was fitted on the other half: unit rows, (n, new dims).

    What is measured on these is not flattered by passages that the map was fitted on. (It is a little too low: the
    map itself is fitted on twice as many texts.)
    """
    x, y = _pair(old, new)
    order = np.random.default_rng(seed).permutation(len(x))
    mapped = np.empty_like(y)
    for one, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        kind, strength, _ = _chosen(x[other], y[other], seed)
        mapped[one] = _mapped(x[one], *_fitted(x[other], y[other], kind, strength))
    return normalise(mapped)


def overlap(queries: Float32, bridged: Float32, native: Float32, limit: int = 10) -> float:
    """Mean share of the first *limit* answers of the native vectors that the bridged ones give too, 0 to 1."""
    limit = min(limit, len(native))
    shares = []
    for query in queries:
        left = np.argpartition(-(bridged @ query), limit - 1)[:limit]
        right = np.argpartition(-(native @ query), limit - 1)[:limit]
        shares.append(len(np.intersect1d(left, right)) / limit)
    return float(np.mean(shares))


def _pair(old: Vectors, new: Vectors) -> tuple[Float64, Float64]:
    x, y = np.asarray(old.__array__(), dtype=np.float64), np.asarray(new.__array__(), dtype=np.float64)
    if len(x) != len(y):
        raise RequestInvalid(field="new", reason=f"{len(y)} vectors, {len(x)} old ones; give both of the same texts")
    return x, y


def _chosen(x: Float64, y: Float64, seed: int) -> tuple[Kind, float, float]:
    """(kind, strength, error on the held-out texts) of the best."""
    order = np.random.default_rng(seed).permutation(len(x))
    held, rest = order[: len(x) // _HELD_OUT], order[len(x) // _HELD_OUT :]
    tries: list[tuple[float, Kind, float]] = []
    for kind, strength in _candidates():
        parts = _fitted(x[rest], y[rest], kind, strength)
        tries.append((float(cosine_distance(_mapped(x[held], *parts), y[held]).mean()), kind, strength))
    held_out, kind, strength = min(tries)
    return kind, strength, held_out


def _candidates() -> list[tuple[Kind, float]]:
    ridges: list[tuple[Kind, float]] = [("ridge", strength) for strength in RIDGES]
    return [*ridges, ("procrustes", 0.0)]


def _fitted(x: Float64, y: Float64, kind: Kind, strength: float) -> tuple[Float64, Float64, Float64]:
    """(matrix, mean of x, mean of y) of one kind."""
    old_mean, new_mean = x.mean(axis=0), y.mean(axis=0)
    left, right = x - old_mean, y - new_mean
    if kind == "procrustes":
        u, _, vt = np.linalg.svd(left.T @ right, full_matrices=False)
        return u @ vt, old_mean, new_mean
    gram = left.T @ left
    penalty = strength * float(np.trace(gram)) / len(gram)
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), left.T @ right), old_mean, new_mean


def _mapped(x: Float64, matrix: Float64, old_mean: Float64, new_mean: Float64) -> Float64:
    return (x - old_mean) @ matrix + new_mean


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
        GateFailed: the bridge keeps less than `terms.least_retention`: nothing is written.
        SpaceMismatch: the file's map leads to another encoder, or *old* is not that of the stored vectors.
        RequestInvalid: the collection has not exactly one vector to build a bridge from, or too few objects.
        MigrationBlocked: it has no vectors that the map is for, or tenants that are offloaded.
    """
    if terms.path.exists():
        found = Bridge.load(terms.path)
        if found.to_space != new.space_id:
            raise SpaceMismatch(expected=found.to_space, found=new.space_id, where=str(terms.path))
    else:
        measured = _measured(_stored(database, name, terms.sample, new.space_id), new, old, terms)
        show(measured)
        measured.require(terms.least_retention)
        found = measured.bridge
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
        return backfill(database, plan.collection, plan.vector, plan.text_property, make, pace, needs=source)


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
    texts = str(pin.settings["properties"][0])
    kept = [record for record in records if pin.vector in record.vectors and record.properties.get(texts)]
    rows = np.stack([record.vectors[pin.vector] for record in kept]) if kept else np.zeros((0, 1), np.float32)
    return _Stored([str(record.properties[texts]) for record in kept], rows, pin.space)


def _measured(sample: _Stored, new: Encoder, old: Encoder | None, terms: BridgeTerms) -> Retention:
    """The map, and what it keeps."""
    if terms.data is not None and old is None:
        raise RequestInvalid(field="--from", reason="--data has to be encoded with the old encoder too")
    stored = Vectors(sample.rows, sample.space)
    native = new.encode(sample.texts, "passage")
    found = fit(stored, native)
    if terms.data is not None and old is not None:
        return _on_data(found, old, new, load_dataset(terms.data, terms.split))
    asked = list(terms.queries) or sample.texts[:_ASKED]
    rows = np.asarray(new.encode(asked, "query").__array__())
    kept = overlap(rows, crossed(stored, native), np.asarray(native.__array__()))
    what = "queries" if terms.queries else "texts of the collection"
    sentence = (
        f"Of the new encoder's first 10 answers to {len(asked)} {what} among these objects, bridged vectors give "
        f"{kept:.1%}."
    )
    return Retention(found, kept, (), sentence)


def _on_data(found: Bridge, old: Encoder, new: Encoder, dataset: Dataset) -> Retention:
    """nDCG@10 of both encoders and of a bridge between their passages."""
    if old.space_id != found.from_space:
        raise SpaceMismatch(expected=found.from_space, found=old.space_id, where="--from")
    before, after = (each.encode(dataset.passages, "passage") for each in (old, new))
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
