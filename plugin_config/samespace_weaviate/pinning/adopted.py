"""The record of an adoption: to which space a vector belongs that is not named after it. Pure.

A vector cannot be renamed, and its settings cannot be changed, so what was found out about an old one is kept in the
settings of the guard, which is added at that moment and kept by Weaviate as it is:

    samespace_guard: {"none": {"samespaceAdopted": {"default": {"space": ID, "recipe": {"properties": ["body"]}}}}}

Where tenants were not read, the record has them too: "unread": {"count": 2, "tenants": ["a", "b"]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .spec import GUARD_VECTOR

ADOPTED_KEY: Final = "samespaceAdopted"
MOST_NAMED: Final = 1000
"""Unread tenants whose names a record keeps; of further ones it keeps the number."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was found out about one vector.

    Attributes:
        vector: its name.
        space: full id.
        recipe: how objects become texts, in the plain form of `audit.recipes.InputRecipe`.
        unread: how many tenants were not read, so that nothing was found out about them.
        tenants: the first `MOST_NAMED` of those.
    """

    vector: str
    space: str
    recipe: Mapping[str, Any]
    unread: int = 0
    tenants: tuple[str, ...] = ()

    def risks(self) -> list[str]:
        """What nothing prevents, and what nobody knows."""
        said = [
            "adopted: a record says its space, and not its name, so a client that names it can write vectors of any "
            "encoder with equal dims; audit it on a schedule, or copy it to a pinned collection, vectors as they are "
            "(`samespace weaviate move`)"
        ]
        if self.unread:
            were, whose = ("tenants were", "their") if self.unread > 1 else ("tenant was", "its")
            named = ", ".join(self.tenants[:_SHOWN]) + (", ..." if self.unread > _SHOWN else "")
            said.append(
                f"{self.unread} {were} not read when it was adopted ({named}), and nothing is known of {whose} "
                f"vectors; audit {'them while they are' if self.unread > 1 else 'it while it is'} active"
            )
        return said


def adoptions(schema: Mapping[str, Any]) -> dict[str, Adoption]:
    """The adopted vectors of *schema* that are there, by name."""
    vectors = schema.get("vectorConfig") or {}
    settings = ((vectors.get(GUARD_VECTOR) or {}).get("vectorizer") or {}).get("none") or {}
    noted = settings.get(ADOPTED_KEY)
    if not isinstance(noted, Mapping):
        return {}
    return {
        str(name): _read(str(name), entry)
        for name, entry in sorted(noted.items())
        if name in vectors and isinstance(entry, Mapping)
    }


def guard_settings(adopted: Mapping[str, Adoption]) -> dict[str, Any]:
    """What the guard's settings say of them."""
    return {ADOPTED_KEY: {name: _noted(each) for name, each in sorted(adopted.items())}}


def _noted(each: Adoption) -> dict[str, Any]:
    unread = {"unread": {"count": each.unread, "tenants": list(each.tenants[:MOST_NAMED])}} if each.unread else {}
    return {"space": each.space, "recipe": dict(each.recipe), **unread}


def _read(name: str, entry: Mapping[str, Any]) -> Adoption:
    unread = entry.get("unread") or {}
    tenants = tuple(map(str, unread.get("tenants") or ()))
    return Adoption(
        name,
        str(entry.get("space") or ""),
        dict(entry.get("recipe") or {}),
        int(unread.get("count") or len(tenants)),
        tenants,
    )
