"""Composites: several encoders behind one manifest, which together make a space of their own.

A concatenation puts the unit vectors of its parts side by side, each with a weight; a two-tower has one encoder for
queries and one for passages. A composite's identity names its parts by their space ids, and those cover everything
that can change a part's vectors, so the composite's id covers it too. Its parts are whole artifacts in sub-folders.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..errors import ManifestInvalid, RequestInvalid
from ..text import ROLES
from .fingerprint import SCHEME, canonical_json

CompositeKind = Literal["concatenation", "two_tower"]
MAX_PARTS: Final = 8
_SPACE: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CompositePart:
    """One encoder of a composite.

    Attributes:
        space_id: of the encoder.
        dims: of its vectors.
        weight: what its unit vectors are multiplied with; 1.0 in a two-tower.
    """

    space_id: str
    dims: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Composite:
    """The identity of a composite.

    Attributes:
        kind: "concatenation" or "two_tower".
        parts: in the order of their numbers in a vector; a two-tower's are the encoder of queries, then of passages.
    """

    kind: CompositeKind
    parts: tuple[CompositePart, ...]

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.parts[0].dims if self.kind == "two_tower" else sum(part.dims for part in self.parts)

    @property
    def folders(self) -> tuple[str, ...]:
        """The sub-folder of each part."""
        return ROLES if self.kind == "two_tower" else tuple(f"part{number}" for number in range(1, len(self.parts) + 1))

    def to_dict(self) -> dict[str, Any]:
        """The plain form: what is digested, and what the manifest holds."""
        return {
            "scheme": SCHEME,
            "kind": self.kind,
            "parts": [[part.space_id, part.dims, part.weight] for part in self.parts],
            "dims": self.dims,
        }

    def space_id(self) -> str:
        """sha256 over the canonical JSON of `to_dict()`."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def concatenation(parts: Sequence[tuple[str, int]], weights: Sequence[float] | None = None) -> Composite:
    """The identity of a concatenation.

    Args:
        parts: (space id, dims) each, in order.
        weights: one a part, above 0; equal unless given. Only their ratios matter, so they are divided by the largest.

    Raises:
        RequestInvalid: fewer than two parts, a space twice, or weights that make no sense.
    """
    chosen = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]
    if not 2 <= len(parts) <= MAX_PARTS:
        raise RequestInvalid(field="parts", reason=f"{len(parts)}; expected 2 to {MAX_PARTS}")
    spaces = [space_id for space_id, _ in parts]
    if len(set(spaces)) != len(spaces):
        twice = next(space_id for space_id in spaces if spaces.count(space_id) > 1)
        raise RequestInvalid(field="parts", reason=f"two of them are of space {twice}; once is enough")
    if len(chosen) != len(parts) or not all(math.isfinite(weight) and weight > 0 for weight in chosen):
        raise RequestInvalid(
            field="weights", reason=f"{chosen} for {len(parts)} parts; expected one number above 0 for each"
        )
    largest = max(chosen)
    return Composite(
        "concatenation",
        tuple(
            CompositePart(space_id, dims, weight / largest)
            for (space_id, dims), weight in zip(parts, chosen, strict=True)
        ),
    )


def two_tower(query: tuple[str, int], passage: tuple[str, int]) -> Composite:
    """The identity of a two-tower from (space id, dims) of its encoders; raises `RequestInvalid` for unlike dims."""
    if query[1] != passage[1]:
        raise RequestInvalid(
            field="parts", reason=f"the query encoder has {query[1]} dims, the passage encoder {passage[1]}"
        )
    return Composite("two_tower", (CompositePart(*query), CompositePart(*passage)))


def composite_from_dict(data: Mapping[str, Any]) -> Composite:
    """The inverse of `Composite.to_dict`; raises `ManifestInvalid` for what does not fit."""
    try:
        parts = [(str(space_id), int(dims), float(weight)) for space_id, dims, weight in data["parts"]]
        if not all(_SPACE.fullmatch(space_id) and 1 <= dims <= 65_536 for space_id, dims, _ in parts):
            raise ValueError(f"parts {parts}")
        pairs = [(space_id, dims) for space_id, dims, _ in parts]
        if data["kind"] == "two_tower":
            query, passage = pairs
            composite = two_tower(query, passage)
        else:
            composite = concatenation(pairs, [weight for _, _, weight in parts])
    except (KeyError, TypeError, ValueError, OverflowError, RequestInvalid) as error:
        raise ManifestInvalid(file="manifest.json", reason=f"identity does not fit: {error}") from error
    if composite.to_dict() != dict(data):
        raise ManifestInvalid(file="manifest.json", reason="identity has unknown keys or wrong types")
    return composite
