"""The linear map behind a bridge: fitting, applying, and the file that keeps it. Pure numpy, but for the file.

Two kinds are fitted, and the one with the smaller error on held-out texts is taken: ridge regression, and the
orthogonal map of Procrustes (Schönemann 1966), which cannot overfit in length or angle. Both after centring.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from samespace.errors import DataInvalid, GateFailed, RequestInvalid
from samespace.folders import whole_file
from samespace.vectors import Float32, Vectors, cosine_distance, normalise

Kind = Literal["ridge", "procrustes"]
Float64 = npt.NDArray[np.float64]

RIDGES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Tried strengths of the ridge, as a share of the mean variance of a dimension."""
LEAST_TEXTS: Final = 100
_HELD_OUT: Final = 5
_FORMAT: Final = "samespace bridge 2"
_BEFORE: Final = "samespace bridge 1"
"""Its files do not say what the map retains."""
_SPACE: Final = _BEFORE
"""Part of every id: the ids of maps do not change with the format of their files."""


@dataclass(frozen=True, slots=True)
class MeasuredRetention:
    """What a map was seen to keep of the new encoder, before it was used.

    Attributes:
        kept: the share, in [0, 1], of nDCG@10 or of the first answers.
        collection: on whose objects; of another collection it says nothing.
        sentence: how it was measured, for people.
    """

    kept: float
    collection: str
    sentence: str


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
        retention: what was measured before it was used; None where nothing was.
    """

    from_space: str
    to_space: str
    kind: Kind
    matrix: Float32
    old_mean: Float32
    new_mean: Float32
    texts: int
    held_out: float
    retention: MeasuredRetention | None = None

    @property
    def space_id(self) -> str:
        """The id of the approximate space: sha256 over both ids and the numbers of the map."""
        header = {"format": _SPACE, "from": self.from_space, "to": self.to_space, "shape": list(self.matrix.shape)}
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
        """Write the map to an `.npz` file, with what it was seen to keep."""
        told = self.retention
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
                kept=np.nan if told is None else told.kept,
                collection="" if told is None else told.collection,
                sentence="" if told is None else told.sentence,
                seal=self._seal(),
            )

    @staticmethod
    def load(path: Path | str) -> Bridge:
        """Read what `save` wrote.

        Raises:
            DataInvalid: it is not such a file, or was altered.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as parts:
                if str(parts["format"]) not in (_FORMAT, _BEFORE):
                    raise DataInvalid(path=str(path), reason=f"is not a {_FORMAT}")
                bridge = _read(parts)
                if bridge.space_id != str(parts["space_id"]):
                    raise DataInvalid(path=str(path), reason="was altered: its space id is not that of its numbers")
                if str(parts["format"]) == _FORMAT and bridge._seal() != str(parts["seal"]):
                    raise DataInvalid(path=str(path), reason="was altered: what it retains is not what was measured")
                return bridge
        except (OSError, ValueError, KeyError) as error:
            raise DataInvalid(path=str(path), reason=f"is not a bridge: {error}") from error

    def require_retention(self, least: float, collection: str, where: str) -> None:
        """Return if the map was seen to keep at least *least* on *collection*, or if *least* is 0.

        Raises:
            RequestInvalid: nothing was measured, or on another collection.
            GateFailed: it keeps less.
        """
        if least == 0:
            return
        told = self.retention
        if told is None or told.collection != collection:
            what = "does not say what it retains" if told is None else f"was measured on collection {told.collection}"
            raise RequestInvalid(
                field="--map",
                reason=f"{where} {what}, and {least:.0%} of {collection}'s answers are to be retained; give another "
                "file to fit and measure a new map, or take this one unmeasured with --least-retention 0",
            )
        if not told.kept >= least:
            raise GateFailed(build="bridge", measure="retention", measured=told.kept, gate=least)

    def _seal(self) -> str:
        told = self.retention
        said = [self.space_id] if told is None else [self.space_id, told.kept, told.collection, told.sentence]
        return sha256(json.dumps(said).encode()).hexdigest()


def _read(parts: Any) -> Bridge:
    kept = float(parts["kept"]) if "kept" in parts else np.nan
    return Bridge(
        from_space=str(parts["from_space"]),
        to_space=str(parts["to_space"]),
        kind="ridge" if str(parts["kind"]) == "ridge" else "procrustes",
        matrix=parts["matrix"],
        old_mean=parts["old_mean"],
        new_mean=parts["new_mean"],
        texts=int(parts["texts"]),
        held_out=float(parts["held_out"]),
        retention=None if np.isnan(kept) else MeasuredRetention(kept, str(parts["collection"]), str(parts["sentence"])),
    )


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
