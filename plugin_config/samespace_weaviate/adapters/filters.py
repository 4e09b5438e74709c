"""Filters of other libraries as filters of Weaviate; what Weaviate would answer otherwise than they mean is refused.

Weaviate compares a text by its tokens, unless its property is tokenized as a whole (`field`): `== "red"` would also
find "dark red". Such a filter is refused here, by name; it is exact on numbers, truth values, dates and `field` texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from samespace.errors import RequestInvalid

_MAKERS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": lambda asked, value: asked.equal(value),
    "!=": lambda asked, value: asked.not_equal(value),
    ">": lambda asked, value: asked.greater_than(value),
    ">=": lambda asked, value: asked.greater_or_equal(value),
    "<": lambda asked, value: asked.less_than(value),
    "<=": lambda asked, value: asked.less_or_equal(value),
    "in": lambda asked, value: asked.contains_any(list(value)),
}
_ORDERED: Final = frozenset({">", ">=", "<", "<="})


def compare(schema: Mapping[str, Any], name: str, operator: str, value: Any) -> Any:
    """The objects whose property *name* compares so to *value*.

    Args:
        schema: of the collection.
        operator: ==, !=, >, >=, <, <=, in or not in.

    Returns:
        A `Filter` of weaviate-client.

    Raises:
        RequestInvalid: no such property or operator, or Weaviate would not compare exactly.
    """
    from weaviate.classes.query import Filter

    entry = next((entry for entry in schema.get("properties") or () if entry["name"] == name), None)
    if entry is None:
        names = ", ".join(str(entry["name"]) for entry in schema.get("properties") or ())
        raise RequestInvalid(field=f"filter {name}", reason=f"no such property; the collection has {names}")
    if operator == "not in":
        return combine("and", [compare(schema, name, "!=", each) for each in _listed(name, value)])
    if operator not in _MAKERS:
        expected = ", ".join([*_MAKERS, "not in"])
        raise RequestInvalid(field=f"filter {name}", reason=f"operator {operator!r}; expected {expected}")
    values = _listed(name, value) if operator == "in" else [value]
    if any(each is None or isinstance(each, list | dict) for each in values):
        raise RequestInvalid(field=f"filter {name}", reason="a value is nothing or a list; expected a text or a number")
    if str(entry["dataType"][0]).startswith("text"):
        if operator in _ORDERED:
            raise RequestInvalid(field=f"filter {name}", reason=f"texts have no order, so not {operator}")
        if entry.get("tokenization") != "field":
            found = entry.get("tokenization")
            remedy = "use a property with tokenization field, or search by words"
            raise RequestInvalid(
                field=f"filter {name}", reason=f"is compared by {found}, so {operator} is not exact; {remedy}"
            )
    return _MAKERS[operator](Filter.by_property(name), values if operator == "in" else value)


def combine(how: str, parts: Sequence[Any]) -> Any:
    """Filters joined by "and" or "or"; None for none; raises `RequestInvalid` for anything else."""
    from weaviate.classes.query import Filter

    if how not in ("and", "or"):
        raise RequestInvalid(field="filter", reason=f"{how!r}; expected and, or")
    if len(parts) < 2:
        return parts[0] if parts else None
    return Filter.all_of(list(parts)) if how == "and" else Filter.any_of(list(parts))


def _listed(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple | set) or not value:
        raise RequestInvalid(field=f"filter {name}", reason="expected a list of at least one value")
    return list(value)
