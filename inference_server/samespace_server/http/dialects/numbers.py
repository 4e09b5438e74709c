"""Vectors in the number formats that people ask for.

| format | each number |
| --- | --- |
| float | float32 |
| base64 | float32, little-endian, the vector as one string |
| int8, uint8 | 127 times the number, rounded; uint8 is 128 more |
| binary, ubinary | one bit: whether it is above 0, the first in the highest bit of a byte; binary is 128 less |

Unit vectors have no number above 1, so int8 needs no calibration. Bits as in numpy's `packbits`, which Cohere, Voyage
and sentence-transformers use.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import numpy as np

from samespace.vectors import Float32

FORMATS: Final = ("float", "base64", "int8", "uint8", "binary", "ubinary")


def json_rows(vectors: Float32, number_format: str) -> list[Any]:
    """*vectors*, (n, dims), each as JSON's writer takes it: an array without gaps, or a string in base64."""
    if number_format == "base64":
        return [base64.b64encode(row.tobytes()).decode("ascii") for row in vectors.astype("<f4", copy=False)]
    if number_format == "float":
        return list(np.ascontiguousarray(vectors))
    if number_format in ("int8", "uint8"):
        scaled = np.clip(np.rint(vectors * 127), -127, 127).astype(np.int16)
        return list(scaled.astype(np.int8) if number_format == "int8" else (scaled + 128).astype(np.uint8))
    bits = np.packbits(vectors > 0, axis=1)
    return list(bits if number_format == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8))
