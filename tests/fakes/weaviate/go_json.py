"""How Weaviate, which is written in Go, reads an encoder's reply: what its decoder refuses, takes, and ignores.

The structs are those of `usecases/modulecomponents/clients` in weaviate/weaviate, alike in 1.34.2 and 1.40.0-dev. Go's
`encoding/json` ignores fields that a struct lacks, takes names in any capitals, reads null as nothing, and refuses a
whole body for one value of another type. `tests/weaviate/access/test_facts.py` holds `REPLIES` against a running one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Spec = Any  # str, int, float (float32), [Spec], or a mapping of names to Spec

VECTORS: Final = {"text": str, "dims": int, "vector": [float], "error": str, "config": {"pooling_strategy": str}}
COHERE: Final = {
    "id": str,
    "embeddings": {"float": [[float]]},
    "message": str,
    "meta": {"billed_units": {"input_tokens": int, "output_tokens": int}, "warnings": [str]},
}
_OPENAI_ERROR: Final = {"message": str, "type": str, "param": str}
OPENAI: Final = {
    "object": str,
    "data": [{"object": str, "index": int, "embedding": [float], "error": _OPENAI_ERROR}],
    "error": _OPENAI_ERROR,
    "usage": {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int},
}


class Refused(ValueError):
    """Go's decoder gives an error for the body."""


def decode(spec: Spec, body: bytes) -> Any:
    """The body as Weaviate has it afterwards: the fields of the struct alone, those that were not told as None.

    Raises:
        Refused: the client of Weaviate sees an error, whatever the status was.
    """

    def no_constant(name: str) -> Any:
        raise Refused(f"{name} is no JSON")

    try:
        value = json.loads(body, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise Refused(str(error)) from error
    return _read(spec, value, "")


def _read(spec: Spec, value: Any, path: str) -> Any:
    if value is None:
        return None
    if isinstance(spec, Mapping):
        _expect(isinstance(value, dict), path, value)
        told = {name.lower(): each for name, each in value.items()}
        return {name: _read(kind, told.get(name), f"{path}.{name}") for name, kind in spec.items()}
    if isinstance(spec, list):
        _expect(isinstance(value, list), path, value)
        return [_read(spec[0], each, f"{path}[{index}]") for index, each in enumerate(value)]
    if spec is float:
        _expect(isinstance(value, int | float) and not isinstance(value, bool), path, value)
        _expect(abs(value) <= float(np.finfo(np.float32).max), path, value)
        return float(value)
    _expect(type(value) is spec, path, value)  # a bool is no int, and neither is 1.0
    return value


def _expect(fits: bool, path: str, value: Any) -> None:
    if not fits:
        raise Refused(f"{path}: cannot unmarshal {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A reply of status 200 to one text, and what a running Weaviate made of it.

    Attributes:
        spec: of the route that it was sent on, `VECTORS` or `COHERE`.
        outcome: an insert ended `refused` with an error, `stored` with a vector, or was stored `empty`, without one
            and without a word.
    """

    name: str
    spec: Spec
    body: bytes
    outcome: str


REPLIES: Final = (
    Seen("a vector and nothing else", VECTORS, b'{"vector": [1, 2, 3]}', "stored"),
    Seen("other capitals", VECTORS, b'{"Vector": [1, 2, 3]}', "stored"),
    Seen("fields that nobody knows", VECTORS, b'{"vector": [1, 2, 3], "windows": 1, "space_id": "a"}', "stored"),
    Seen("no vector", VECTORS, b'{"text": "a"}', "empty"),
    Seen("null", VECTORS, b'{"vector": null}', "empty"),
    Seen("an error with status 200", VECTORS, b'{"error": "busy"}', "empty"),
    Seen("no number in the vector", VECTORS, b'{"vector": []}', "refused"),
    Seen("numbers as strings", VECTORS, b'{"vector": ["1"]}', "refused"),
    Seen("base64", VECTORS, b'{"vector": "AACAPw=="}', "refused"),
    Seen("a list of vectors", VECTORS, b'{"vector": [[1, 2, 3]]}', "refused"),
    Seen("NaN", VECTORS, b'{"vector": [NaN]}', "refused"),
    Seen("beyond float32", VECTORS, b'{"vector": [1e39]}', "refused"),
    Seen("a text that is none", VECTORS, b'{"text": 5, "vector": [1, 2, 3]}', "refused"),
    Seen("an error that is an object", VECTORS, b'{"error": {"message": "m"}, "vector": [1, 2, 3]}', "refused"),
    Seen("HTML", VECTORS, b"<html></html>", "refused"),
    Seen("cohere: embeddings and nothing else", COHERE, b'{"embeddings": {"float": [[1, 2, 3]]}}', "stored"),
    Seen("cohere: one more than asked for", COHERE, b'{"embeddings": {"float": [[1, 2, 3], [4, 5, 6]]}}', "stored"),
    Seen("cohere: none", COHERE, b'{"id": "a"}', "refused"),
    Seen("cohere: an id that is a number", COHERE, b'{"id": 4, "embeddings": {"float": [[1, 2, 3]]}}', "refused"),
    Seen("cohere: half a token", COHERE,
         b'{"embeddings": {"float": [[1, 2, 3]]}, "meta": {"billed_units": {"input_tokens": 1.5}}}', "refused"),
)  # fmt: skip
