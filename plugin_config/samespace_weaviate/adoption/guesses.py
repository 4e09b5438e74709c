"""Recipes that a collection may have been written with: where a search begins, and what is next to a recipe. Pure.

A wrong recipe of the right encoder gives a vector near the right one, and the nearer the more of the recipe is right.
So a search goes from the nearest of a few to its neighbours, which differ in one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Final

from ..audit.recipes import InputRecipe

MOST_PROPERTIES: Final = 5
"""Text properties that are tried in twos and threes; the longest ones."""
SEPARATORS: Final = (" ", "\n", "\n\n", ". ", ": ", ", ", " - ", " | ")
PREFIXES: Final = (
    "", "passage: ", "query: ", "search_document: ", "search_query: ", "document: ", "title: none | text: ",
    "Represent this sentence for searching relevant passages: ", "Represent this document for retrieval: ",
)  # fmt: skip


def first_guesses(properties: Sequence[str], declared: InputRecipe) -> list[InputRecipe]:
    """Where a search begins, the likeliest first.

    Args:
        properties: text properties of the collection, the longest first.
        declared: what the module of the schema would do.
    """
    few = properties[:MOST_PROPERTIES]
    found = [declared]
    found += [InputRecipe((name,)) for name in properties]
    if len(properties) > 1:
        found.append(InputRecipe(tuple(sorted(properties))))
    for size in (2, 3):
        for chosen in combinations(few, size):
            found += [InputRecipe(order, ordered=True) for order in permutations(chosen)]
    return _distinct(found)


def neighbours(recipe: InputRecipe, properties: Sequence[str], collection: str) -> list[InputRecipe]:
    """What differs from *recipe* in one thing."""
    several = len(recipe.properties) > 1
    found = [
        replace(recipe, lower=not recipe.lower),
        replace(recipe, collection="" if recipe.collection else collection),
        replace(recipe, names=() if recipe.names else tuple(recipe.properties)),
        replace(recipe, role="query" if recipe.role == "passage" else "passage"),
        replace(recipe, cut=not recipe.cut),
    ]
    found += [replace(recipe, prefix=prefix) for prefix in PREFIXES]
    if several or recipe.collection:
        found += [replace(recipe, separator=separator) for separator in SEPARATORS]
    for name in properties:
        if name in recipe.properties and several:
            found.append(_with(recipe, tuple(each for each in recipe.properties if each != name)))
        elif name not in recipe.properties:
            for place in range(len(recipe.properties) + 1):
                found.append(
                    _with(recipe, (*recipe.properties[:place], name, *recipe.properties[place:]), ordered=True)
                )
    if several and len(recipe.properties) <= 3:
        found += [_with(recipe, order, ordered=True) for order in permutations(recipe.properties)]
    return [each for each in _distinct(found) if each != recipe]


def _with(recipe: InputRecipe, properties: tuple[str, ...], *, ordered: bool | None = None) -> InputRecipe:
    names = properties if recipe.names else ()
    return replace(recipe, properties=properties, names=names, ordered=recipe.ordered if ordered is None else ordered)


def _distinct(recipes: Sequence[InputRecipe]) -> list[InputRecipe]:
    return list(dict.fromkeys(_plain(each) for each in recipes))


def _plain(recipe: InputRecipe) -> InputRecipe:
    """The simplest of the recipes that mean the same."""
    if recipe.ordered and list(recipe.properties) == sorted(recipe.properties):
        recipe = replace(recipe, ordered=False)
    if not recipe.ordered:
        recipe = replace(recipe, properties=tuple(sorted(recipe.properties)))
    if recipe.names:
        recipe = replace(recipe, names=tuple(sorted(recipe.names)))
    if len(recipe.properties) == 1 and not recipe.collection:
        recipe = replace(recipe, separator=" ")
    return recipe
