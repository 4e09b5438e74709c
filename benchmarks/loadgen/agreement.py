"""Whether a server's vectors are the right ones: every vector that came back is held against the reference. Pure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from samespace.vectors import Float32, cosine_distance

Rows = dict[str, dict[int, list[Float32]]]
"""Class of texts, number of a text: its vectors, one for each round that answered it."""
_UNIT: Final = 1e-3  # how far from 1 a length may be


def compare(rows: Rows, reference: Rows) -> dict[str, Any]:
    """Every vector that came back, in every round, against the reference of its text."""
    pairs = [
        (row, reference[kind][index][0])
        for kind, found in rows.items()
        for index, each in found.items()
        for row in each
        if index in reference[kind]
    ]
    if not pairs:
        return {"compared": 0, "mean_distance": float("nan"), "worst_distance": float("nan"), "unit": False}
    ours = np.stack([ours for ours, _ in pairs])
    distances = cosine_distance(ours, np.stack([theirs for _, theirs in pairs]))
    return {
        "compared": len(pairs),
        "mean_distance": float(distances.mean()),
        "worst_distance": float(distances.max()),
        "unit": bool((abs(np.linalg.norm(ours.astype(np.float64), axis=1) - 1) < _UNIT).all()),
    }
