"""Stored vectors beside right ones: what can be said of them without asking an encoder again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np

from samespace.vectors import Float32, cosine_distance, normalise

from .findings import Kind

UNIT: Final = 1e-3
"""How far the length of a vector may be from 1; float16 and any rounding stay far below."""
FEWEST: Final = 20
"""Right vectors that have to be known before a vector is called unrelated to them."""


@dataclass(frozen=True, slots=True)
class SuspectVectors:
    """What is kept of an object that may be wrong.

    Attributes:
        properties: as stored.
        text: that the pin declares.
        windows: how many windows the text has.
        stored, right: (rows, dim); their rows and dims may differ.
    """

    properties: Mapping[str, Any]
    text: str
    windows: int
    stored: Float32
    right: Float32

    @property
    def worst_row(self) -> int:
        """The row that is farthest from where it should be; 0 where rows cannot be compared."""
        if self.stored.shape != self.right.shape:
            return 0
        return int(np.argmax(cosine_distance(self.stored, self.right)))


@dataclass(frozen=True, slots=True)
class Checked:
    """One object, compared.

    Attributes:
        kind: of what is wrong with the vector as an array; None where it can be compared.
        reason: the same, with details.
        distance: 1 - cos to the right vector (of the worst window); None where it cannot be compared.
        evidence: None where it was not kept.
        disowned: whether only a coarse build can have written it, and none of them did.
    """

    uuid: UUID
    kind: Kind | None
    reason: str
    distance: float | None
    evidence: SuspectVectors | None = None
    disowned: bool = False


def fault(stored: Float32 | None, right: Float32 | None) -> tuple[Kind, str] | None:
    """What is wrong with *stored* (rows, dim) as an array; *right* is None for an object without text.

    An object without text and without vector is as it should be: Weaviate makes no vector of nothing.
    """
    has_vector = stored is not None and stored.size > 0
    if right is None:
        return (Kind.NO_TEXT, "a vector, and no text that it could be of") if has_vector else None
    if stored is None or not has_vector:
        return Kind.MISSING, "no vector"
    if stored.shape[1] != right.shape[1]:
        return Kind.WRONG_LENGTH, f"{stored.shape[1]} numbers, expected {right.shape[1]}"
    if len(stored) != len(right):
        return Kind.WINDOWS, f"{len(stored)} window vectors, expected {len(right)}"
    if not np.isfinite(stored).all():
        return Kind.NOT_FINITE, "NaN or infinity"
    lengths = np.linalg.norm(stored.astype(np.float64), axis=1)
    if not lengths.min() > 0.0:
        return Kind.ZERO, "zeros"
    return None


def distance(stored: Float32, right: Float32) -> float:
    """The largest 1 - cos of a row of *stored* to the same row of *right*; both (rows, dim)."""
    return float(cosine_distance(stored, right).max())


def off_unit(stored: Float32) -> tuple[Kind, str] | None:
    """What is wrong with the lengths of rows, where one is off 1 by more than rounding."""
    lengths = np.linalg.norm(stored.astype(np.float64), axis=1)
    worst = float(lengths[np.argmax(np.abs(lengths - 1.0))])
    if abs(worst - 1.0) <= UNIT:
        return None
    return Kind.NOT_UNIT, f"the right direction, but length {worst:.4g} instead of 1"


def shared(vectors: Sequence[Float32], texts: Sequence[str]) -> list[int]:
    """For each vector, how many of the others are equal to it in every bit although their texts differ."""
    groups: dict[bytes, list[int]] = {}
    for index, vector in enumerate(vectors):
        groups.setdefault(vector.tobytes(), []).append(index)
    found = [0] * len(vectors)
    for members in groups.values():
        for index in members:
            found[index] = sum(texts[other] != texts[index] for other in members)
    return found


@dataclass(frozen=True, slots=True)
class RightVectors:
    """Right vectors, (n, dim) unit rows, with the objects that they belong to: what this space looks like."""

    uuids: tuple[UUID, ...]
    rows: Float32

    def belongs_to(self, row: Float32, own: UUID, allowed: float) -> UUID | None:
        """The object, other than its *own*, whose right vector *row* is; None if it is nobody's here."""
        if not len(self.rows):
            return None
        near = cosine_distance(self.rows, row[None, :])
        order: list[int] = np.argsort(near).tolist()
        for index in order:
            if near[index] > allowed:
                return None
            if self.uuids[index] != own:
                return self.uuids[index]
        return None

    def nearest(self, row: Float32) -> float:
        """The largest cosine of *row* to any right vector; -1 where none is known."""
        return float((self.rows @ normalise(row[None, :])[0]).max()) if len(self.rows) else -1.0

    def kinship(self) -> float:
        """The largest cosine to a right vector above which a vector looks like one of this space; NaN if unknown.

        Half way between what right vectors have (all but 1 of 100) and what vectors of an unrelated space have (all but
        1 of 100). The latter are made of the right ones: with its numbers moved round by half, a vector has the same
        numbers and another direction.
        """
        if len(self.rows) < FEWEST:
            return float("nan")
        among: Float32 = self.rows @ self.rows.T
        np.fill_diagonal(among, -1.0)
        strange = np.roll(self.rows, self.rows.shape[1] // 2, axis=1) @ self.rows.T
        related, unrelated = np.quantile(among.max(axis=1), 0.01), np.quantile(strange.max(axis=1), 0.99)
        return float((related + unrelated) / 2.0)
