"""JSON in which nothing wins in silence: a key that an object has twice, with two values, is an error."""

from __future__ import annotations

import json
from typing import Any

from .excerpts import clipped


class KeyTwiceError(ValueError):
    """An object has a key twice with two values: Python keeps the last one, others the first.

    Attributes:
        said: which key and which values, without what to do about it.
    """

    def __init__(self, said: str) -> None:
        super().__init__(f"{said}; keep one")
        self.said = said


def parsed_json(text: str | bytes) -> Any:
    """The value of *text*.

    Raises:
        KeyTwiceError: an object has a key twice, with two values.
        json.JSONDecodeError, UnicodeDecodeError, RecursionError: as `json.loads`.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        for name, value in pairs:
            if value != whole[name]:
                said = f"has the key {clipped(name)} twice, with {clipped(value)} and {clipped(whole[name])}"
                raise KeyTwiceError(said)
    return whole
