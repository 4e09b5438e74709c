"""From the vectors of a composite's parts to the composite's own. Pure; used in process and by the server alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .embed import Embedded
from .errors import RequestInvalid
from .text import BY_WINDOW, LongTexts
from .vectors import Float32, normalise


def concatenate(parts: Sequence[Float32], weights: Sequence[float]) -> Float32:
    """Unit vectors side by side, weighted, and scaled to unit length.

    The cosine of two such vectors is the mean of the parts' cosines, weighted by the squares of the weights.

    Args:
        parts: (n, dims of the part) each, float32, unit rows.
        weights: one a part.

    Returns:
        (n, sum of dims), float32, unit rows.
    """
    scaled = [weight * np.asarray(part, dtype=np.float64) for part, weight in zip(parts, weights, strict=True)]
    return normalise(np.concatenate(scaled, axis=1))


def concatenate_embedded(parts: Sequence[Embedded], weights: Sequence[float], long_texts: LongTexts) -> Embedded:
    """The answer of a concatenation from the answers of its parts; a text's tokens and windows are the largest.

    Raises:
        RequestInvalid: one vector a window was asked for, and the parts cut the texts differently.
    """
    first = parts[0]
    if long_texts in BY_WINDOW and any(part.spans != first.spans for part in parts):
        raise RequestInvalid(
            field="long_texts",
            reason=f"{long_texts!r}, but the parts of this encoder cut long texts at different places; say 'pool'",
        )
    return Embedded(
        vectors=concatenate([part.vectors for part in parts], weights),
        tokens=tuple(max(counts) for counts in zip(*(part.tokens for part in parts), strict=True)),
        windows=tuple(max(counts) for counts in zip(*(part.windows for part in parts), strict=True)),
        spans=first.spans,
    )
