"""What the vectors of suspects are, if they are not what they should be: asks encoders, and names the first that fits.

In this order: another text of the same object (`recipes`), a vector that several objects share, a known other encoder,
the text of another object. What none of these explains is told apart by its nearest right vector: a vector of the same
space has neighbours there, one of an unrelated space is as far from all of them as any random direction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import Overloaded, short
from samespace.text import LongTexts, Role
from samespace.vectors import Float32

from .compare import Checked, RightVectors, SuspectVectors, distance, shared
from .findings import Kind
from .recipes import InputRecipe
from .tolerance import apart, bounds_of

PILOT: Final = 32
"""Suspects on which every recipe is tried; a recipe that explains one of them is then tried on all."""
RETRIES: Final = 5

Explanation = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Texts:
    """How objects of the collection become texts, and texts vectors.

    Attributes:
        encoder: of the pin.
        declared: the recipe of the schema.
        others: what may have been encoded instead.
        windows: whether each window has its own vector (multi-vectors).
        against: encoders whose vectors may have got in.
    """

    encoder: Encoder
    declared: InputRecipe
    others: tuple[InputRecipe, ...]
    windows: bool
    against: tuple[Encoder, ...] = ()


def encode_rows(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    windows: bool,
    pause: Callable[[float], None] = time.sleep,
) -> list[tuple[Float32, int]]:
    """((rows, dim), number of windows) of each text; one row a text, or with *windows* one a window.

    An overloaded server is waited for as long as it says.
    """
    if not texts:
        return []
    long_texts: LongTexts = "windows" if windows else "pool"
    for _ in range(RETRIES):
        try:
            found = encoder.encode_detailed(texts, role, long_texts=long_texts)
            break
        except Overloaded as error:
            pause(error.retry_after_ms / 1000)
    else:
        found = encoder.encode_detailed(texts, role, long_texts=long_texts)
    rows = np.asarray(found.vectors.__array__())
    ends = np.cumsum(found.windows) if windows else np.arange(1, len(texts) + 1)
    starts = [0, *ends[:-1]]
    return [(rows[start:end], count) for start, end, count in zip(starts, ends, found.windows, strict=True)]


def right_rows(
    encoder: Encoder, texts: Sequence[str], recipe: InputRecipe, *, windows: bool
) -> list[tuple[Float32, int]]:
    """`encode_rows` as *recipe* wants it: cut at the token limit, only the first window counts."""
    found = encode_rows(encoder, texts, recipe.role, windows=windows or recipe.cut)
    return [(rows[:1] if recipe.cut else rows, count) for rows, count in found]


def explain(
    suspects: Sequence[Checked], texts: Texts, reference: RightVectors, *, tight: float, loose: float
) -> dict[int, Explanation]:
    """Index of a suspect -> what it is, for those that anything explains. All have evidence.

    Args:
        reference: right vectors of the collection.
        tight: the largest 1 - cos that an explanation leaves.
        loose: suspects with no more than this, and not disowned, may be right; only a recipe is looked for.
    """
    found = _by_recipe(suspects, texts, tight)
    far = [
        i
        for i, each in enumerate(suspects)
        if i not in found and (each.disowned or each.distance is None or each.distance > loose)
    ]
    _by_sharing(suspects, far, found)
    for other in texts.against:
        _by_space(suspects, [i for i in far if i not in found], other, texts, found)
    kinship = reference.kinship()
    for index in far:
        if index not in found and suspects[index].kind is None:
            explanation = _by_neighbours(suspects[index], reference, kinship, tight)
            if explanation is not None:
                found[index] = explanation
    return found


def _by_recipe(suspects: Sequence[Checked], texts: Texts, tight: float) -> dict[int, Explanation]:
    """The recipe that explains each; the nearest suspects are the likeliest to be explained so."""
    found: dict[int, Explanation] = {}
    tried = [index for index, each in enumerate(suspects) if each.kind in (None, Kind.WINDOWS)]
    order = sorted(tried, key=lambda index: suspects[index].distance or 0.0)
    pilot = order[:PILOT]
    for recipe in texts.others:
        hits = _fits(suspects, [i for i in pilot if i not in found], recipe, texts, tight)
        if hits:
            hits += _fits(suspects, [i for i in order[PILOT:] if i not in found], recipe, texts, tight)
        said = recipe.differs_from(texts.declared)
        found |= dict.fromkeys(hits, (Kind.RECIPE, said))
    return found


def _fits(
    suspects: Sequence[Checked], indices: Sequence[int], recipe: InputRecipe, texts: Texts, tight: float
) -> list[int]:
    """Those of the suspects whose vectors are what *recipe* makes of their objects."""
    tried: list[tuple[int, str]] = []
    for index in indices:
        evidence = _evidence(suspects[index])
        text = recipe.text(evidence.properties)
        same = text == evidence.text and recipe.role == texts.declared.role
        if text and (evidence.windows > 1 if recipe.cut else not same):
            tried.append((index, text))
    encoded = right_rows(texts.encoder, [text for _, text in tried], recipe, windows=texts.windows)
    hits = []
    for (index, _), (wanted, _) in zip(tried, encoded, strict=True):
        stored = _evidence(suspects[index]).stored
        if stored.shape == wanted.shape and distance(stored, wanted) <= tight:
            hits.append(index)
    return hits


def _by_sharing(suspects: Sequence[Checked], far: Sequence[int], found: dict[int, Explanation]) -> None:
    left = [index for index in far if suspects[index].kind is None]
    evidence = [_evidence(suspects[index]) for index in left]
    counts = shared([each.stored for each in evidence], [each.text for each in evidence])
    for index, count in zip(left, counts, strict=True):
        if count:
            found[index] = Kind.SHARED, f"the very vector of {count} other object{'s' * (count > 1)} of those looked at"


def _by_space(
    suspects: Sequence[Checked], left: Sequence[int], other: Encoder, texts: Texts, found: dict[int, Explanation]
) -> None:
    """Those whose vectors are what the encoder *other* gives for the declared text."""
    tried = [index for index in left if _evidence(suspects[index]).stored.shape[1:] == (other.dims,)]
    reader, writers = bounds_of(other)
    allowed = apart(reader.worst, writers[-1].worst)
    encoded = encode_rows(
        other, [_evidence(suspects[index]).text for index in tried], texts.declared.role, windows=texts.windows
    )
    for index, (rows, _) in zip(tried, encoded, strict=True):
        stored = _evidence(suspects[index]).stored
        if stored.shape == rows.shape and distance(stored, rows) <= allowed:
            found[index] = Kind.KNOWN_SPACE, f"of space {short(other.space_id)} ({other.name})"


def _by_neighbours(suspect: Checked, reference: RightVectors, kinship: float, tight: float) -> Explanation | None:
    """Whose vector it is, or whether it is one of this space at all; None where too little is known to tell."""
    evidence = _evidence(suspect)
    row = evidence.stored[evidence.worst_row]
    owner = reference.belongs_to(row, suspect.uuid, tight)
    if owner is not None:
        return Kind.OTHER_TEXT, f"the vector of the text of object {owner}"
    if math.isnan(kinship):
        return None
    nearest = max(reference.nearest(row), 1.0 - (suspect.distance or 0.0))
    if nearest < kinship:
        return (
            Kind.OTHER_SPACE,
            f"of another space: its largest cosine to a right vector is {nearest:.2f}, of this one above {kinship:.2f}",
        )
    return Kind.STALE, "of another text, such as an older one, or of a related encoder"


def _evidence(suspect: Checked) -> SuspectVectors:
    assert suspect.evidence is not None
    return suspect.evidence
