"""JSON schemas of what dialects read and write, for `/openapi.json`. Pure.

A dialect's own module says which fields it has; what is shared is here. Fields that are not named are let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from samespace.text import LONG_TEXTS

from .numbers import FORMATS

Schema = Mapping[str, Any]

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer", "minimum": 0}
TEXTS: Final[Schema] = {"type": "array", "items": STRING, "minItems": 1}
TEXT_OR_TEXTS: Final[Schema] = {"oneOf": [STRING, TEXTS]}
MODEL: Final[Schema] = {
    "type": "string",
    "description": "12 or more hex digits of a space id; any other name stands for the space of the path.",
}
DIMS: Final[Schema] = {
    "type": ["integer", "null"],
    "minimum": 0,
    "description": "Keep this many dimensions, where the encoder was trained for it.",
}
ROLE: Final[Schema] = {
    "type": ["string", "null"],
    "description": "query or passage, in anybody's spelling (search_query, document, retrieval.query, ...); "
    "needed where the encoder treats them differently and the path does not say it.",
}
ROLE_FIELDS: Final = ("input_type", "task_type", "task", "prompt_name")
"""Where clients say the role; any of them counts in any dialect, so that none contradicts another in silence."""
ROLES: Final[Mapping[str, Any]] = dict.fromkeys(ROLE_FIELDS, ROLE)
LONG: Final[Schema] = {
    "enum": [*LONG_TEXTS, None],
    "description": "Texts beyond the token limit: one pooled vector, one for each window or slice, or an error.",
}
FORMAT: Final[Schema] = {"enum": [*FORMATS, None], "description": "How numbers are written."}
FLAG: Final[Schema] = {"type": ["boolean", "null"]}
VECTOR: Final[Schema] = {"type": "array", "items": {"type": "number"}}
ANY_VECTOR: Final[Schema] = {"oneOf": [VECTOR, STRING]}
COUNTS: Final[Schema] = {"type": "array", "items": INTEGER}
ERROR: Final[Schema] = {
    "type": "object",
    "properties": {"message": STRING},
    "required": ["message"],
    "description": "What is wrong and what to do about it; and the keys that the route's clients read.",
}


def body(required: Sequence[str] = (), **properties: Schema) -> Schema:
    """An object that has at least the *required* ones of its *properties*."""
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return found | {"required": list(required)} if required else found


def list_of(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}
