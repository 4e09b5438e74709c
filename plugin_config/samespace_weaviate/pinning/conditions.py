"""`PROPERTY=VALUE` on a command line, read as the type that the property has in the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from samespace.errors import RequestInvalid

Value = str | int | float | bool


def read_conditions(texts: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Value]:
    """The wanted value of each property.

    Raises:
        RequestInvalid: no `=`, no such property, or not a value of its type; the message names what would be.
    """
    types = {str(entry["name"]): str(entry["dataType"][0]) for entry in schema.get("properties") or ()}
    found: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestInvalid(field="--filter", reason=f"{text!r}; expected PROPERTY=VALUE")
        if name not in types:
            close = get_close_matches(name, types, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(types)) or 'none'}"
            raise RequestInvalid(field="--filter", reason=f"no property {name!r}; {hint}")
        if name in found:
            raise RequestInvalid(field="--filter", reason=f"{name} appears twice, and all conditions have to hold")
        found[name] = _typed(name, value, types[name])
    return found


def _typed(name: str, value: str, kind: str) -> Value:
    try:
        match kind.removesuffix("[]"):
            case "text" | "uuid" | "date":
                return value
            case "int":
                return int(value)
            case "number":
                return float(value)
            case "boolean" if value in ("true", "false"):
                return value == "true"
    except ValueError as error:
        raise RequestInvalid(field="--filter", reason=f"{name} is of type {kind}, which {value!r} is not") from error
    expected = "expected true or false" if kind == "boolean" else f"properties of type {kind} cannot be compared here"
    raise RequestInvalid(field="--filter", reason=f"{name}={value}: {expected}")
