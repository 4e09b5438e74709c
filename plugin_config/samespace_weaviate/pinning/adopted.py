"""The record of an adoption: to which space a vector belongs that is not named after it. Pure.

A vector cannot be renamed, and its settings cannot be changed, so what was found out about an old one is kept in the
settings of the guard, which is added at that moment and kept by Weaviate as it is:

    samespace_guard: {"none": {"samespaceAdopted": {"default": {"space": ID, "recipe": {"properties": ["body"]}}}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .spec import GUARD_VECTOR

ADOPTED_KEY: Final = "samespaceAdopted"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was found out about one vector.

    Attributes:
        vector: its name.
        space: full id.
        recipe: how objects become texts, in the plain form of `audit.recipes.InputRecipe`.
    """

    vector: str
    space: str
    recipe: Mapping[str, Any]


def adoptions(schema: Mapping[str, Any]) -> dict[str, Adoption]:
    """The adopted vectors of *schema* that are there, by name."""
    vectors = schema.get("vectorConfig") or {}
    settings = ((vectors.get(GUARD_VECTOR) or {}).get("vectorizer") or {}).get("none") or {}
    noted = settings.get(ADOPTED_KEY)
    if not isinstance(noted, Mapping):
        return {}
    return {
        str(name): Adoption(str(name), str(entry.get("space") or ""), dict(entry.get("recipe") or {}))
        for name, entry in sorted(noted.items())
        if name in vectors and isinstance(entry, Mapping)
    }


def guard_settings(adopted: Mapping[str, Adoption]) -> dict[str, Any]:
    """What the guard's settings say of them."""
    noted = {name: {"space": each.space, "recipe": dict(each.recipe)} for name, each in sorted(adopted.items())}
    return {ADOPTED_KEY: noted}
