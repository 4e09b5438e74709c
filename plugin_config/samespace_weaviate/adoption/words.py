"""What was found out about a collection, for people and as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from samespace.errors import short

from ..audit.recipes import InputRecipe
from .findings import CONFIDENCE, CandidateFit, CollectionLook, VectorLook
from .search import GIVEN, ObjectKey, RecipeFit

MOST_SHOWN: Final = 20
"""Objects that are named to people; JSON has all that were met."""
_RECIPES_SHOWN: Final = 3
HEAD: Final = ("candidate", "dims", "fits", "recipe")


def described(recipe: InputRecipe) -> str:
    """A recipe in words: of which properties the text is made, and how."""
    names = list(recipe.properties) if recipe.ordered else sorted(recipe.properties)
    said = [f"the text of {', '.join(names)}"]
    said += [f"joined by {recipe.separator!r}"] if len(names) > 1 else []
    said += [f"behind {recipe.prefix!r}"] if recipe.prefix else []
    said += ["with the collection's name in front"] if recipe.collection else []
    said += ["with the properties' names in it"] if recipe.names else []
    said += ["in lower case"] if recipe.lower else []
    said += ["cut at the token limit"] if recipe.cut else []
    said += [f"encoded as a {recipe.role}"] if recipe.role != "passage" else []
    return ", ".join(said)


def rows(found: VectorLook) -> list[tuple[str, str, str, str]]:
    """A row for each candidate and recipe, under `HEAD`."""
    lines: list[tuple[str, str, str, str]] = []
    for each in found.candidates:
        if not each.recipes:
            why = f"; the nearest is off by 1 - cos {each.nearest:.1g}" if each.nearest < math.inf else ""
            why = why if each.dims == found.dims else f"; the vectors have {found.dims}"
            lines.append((_name(each), str(each.dims), "none", f"-{why}"))
        for fit in each.recipes:
            lines.append((_name(each), str(each.dims), f"{len(fit.objects)} of {found.sampled}", described(fit.recipe)))
    return lines


def verdict(found: VectorLook) -> str:
    """One sentence: what the vector is, or what is in the way."""
    name = f"Vector {found.vector}" if found.vector else "The vector without a name"
    if found.best is None or not found.best.recipes:
        return f"{name}: {found.obstacle()}."
    fit = found.best.recipes[0]
    said = (
        f"{name}: {len(fit.objects)} of {found.sampled} objects are what {found.best.name} (space "
        f"{short(found.best.space_id)}) makes of {described(fit.recipe)}, {_by(fit)}; "
    )
    those = "those of the tenants that were read" if found.unread else "all"
    said += (
        f"with {CONFIDENCE:.0%} confidence at most {found.strangers_at_most:.2%} of {those} are otherwise."
        if found.fair
        else "nothing is known of the others, because there are too many ids to draw fairly: audit it."
    )
    if found.without:
        said += (
            f" Besides, {found.without} of {found.without + found.sampled} objects that were read have a text and no "
            "vector: searches do not find them until `samespace weaviate repair` has encoded them."
        )
    obstacle = found.obstacle()
    return f"{said} Not pinned: {obstacle}." if obstacle else said


def _by(fit: RecipeFit) -> str:
    return f"within 1 - cos {fit.worst:.1g}" if fit.build == GIVEN else f"by {fit.build}"


def sentences(found: CollectionLook) -> Iterator[str]:
    """What was looked at, and what follows."""
    tenants = f" of {_count(len(found.tenants), 'tenant', 'tenants')}" if found.tenants else ""
    read = _count(found.read, "object", "objects")
    yield f"{read}{tenants} read{', ' + found.as_read if found.as_read else ''}."
    if found.unread:
        yield (
            f"{_count(len(found.unread), 'tenant was', 'tenants were')} not read, and "
            f"{'is as it was' if len(found.unread) == 1 else 'are as they were'}; nothing is known of "
            f"{'it' if len(found.unread) == 1 else 'them'}: {_some(found.unread, _RECIPES_SHOWN)}."
        )
    for pin in found.pins:
        yield f"Vector {pin.vector} is {'adopted' if pin.adopted else 'pinned'} already, to space {short(pin.space)}."
    for each in found.vectors:
        yield verdict(each)
        yield from _left_untried(each)


def strangers(found: VectorLook) -> list[str]:
    """The first objects that are otherwise, a line each, where most are not; [] where it is not known who wrote it."""
    if found.best is None or not found.otherwise:
        return []
    shown = [_object(each) for each in found.otherwise[:MOST_SHOWN]]
    more = len(found.otherwise) - len(shown)
    return [*shown, *([f"and {more} more that were met: --json tells all of them"] if more else [])]


def _object(each: ObjectKey) -> str:
    tenant, uuid = each
    return f"{uuid} of tenant {tenant}" if tenant else str(uuid)


def _left_untried(found: VectorLook) -> Iterator[str]:
    """Where not everything was tried, and not everything is explained."""
    for each in found.candidates if found.doubt() else ():
        if each.untried and len(each.recipes[0].objects if each.recipes else ()) < found.sampled:
            yield (
                f"{each.name} encoded {each.encoded:,} texts, and no more were allowed: not everything was tried. "
                f"{_count(len(each.untried), 'recipe was', 'recipes were')} next, such as "
                f"{'; '.join(described(recipe) for recipe in each.untried[:_RECIPES_SHOWN])}. --max-texts allows more."
            )


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _some(names: tuple[str, ...], most: int) -> str:
    return ", ".join(names[:most]) + (" and others" if len(names) > most else "")


def to_json(found: CollectionLook) -> dict[str, Any]:
    """The plain form."""
    return {
        "collection": found.collection,
        "read": found.read,
        "tenants": list(found.tenants),
        "unread_tenants": list(found.unread),
        "vectors": [
            {
                "vector": each.vector,
                "sampled": each.sampled,
                "dims": each.dims,
                "adoptable": not each.obstacle(),
                "obstacle": each.obstacle(),
                "otherwise_at_most": each.strangers_at_most,
                "otherwise": [{"tenant": tenant, "id": str(uuid)} for tenant, uuid in each.otherwise],
                "candidates": [_candidate(one) for one in each.candidates],
            }
            for each in found.vectors
        ],
    }


def _candidate(found: CandidateFit) -> dict[str, Any]:
    recipes = [
        {"recipe": fit.recipe.to_json(), "fits": len(fit.objects), "worst": fit.worst, "build": fit.build}
        for fit in found.recipes
    ]
    return {
        "name": found.name,
        "space": found.space_id,
        "dims": found.dims,
        "recipes": recipes,
        "encoded": found.encoded,
        "nearest": found.nearest if found.nearest < math.inf else None,
        "untried": [each.to_json() for each in found.untried],
    }


def _name(found: CandidateFit) -> str:
    return f"{found.name} ({short(found.space_id)})"
