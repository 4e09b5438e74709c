"""The search for a recipe does not end in a dead end, whichever objects happen to guide it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import numpy as np

from fakes.models.encoders import WORDS
from samespace import Encoder
from samespace_weaviate.adoption.search import RecipeSearch, Sampled
from samespace_weaviate.audit.recipes import InputRecipe

OBJECTS, DRAWS = 60, 8


def test_every_draw_of_objects_leads_to_the_recipe(tiny_artifact: Path) -> None:
    """Before, 7 of 60 draws named nobody."""

    def text(each: Mapping[str, str]) -> str:
        return f"body {each['body']} title {each['title']}"

    chance, known = random.Random(5), sorted(WORDS)
    lengths = {"title": (2, 4), "body": (4, 12), "note": (1, 2)}
    rows = [
        {name: " ".join(chance.choices(known, k=chance.randint(*length))) for name, length in lengths.items()}
        for _ in range(OBJECTS)
    ]
    with Encoder.load(tiny_artifact) as encoder:
        vectors = np.asarray(encoder.encode([text(each) for each in rows], "passage").__array__())
        declared = InputRecipe(("body", "note", "title"), collection="Planted")
        search = RecipeSearch(encoder, "Planted", ["body", "title", "note"], declared)
        for draw in range(DRAWS):
            order = random.Random(draw).sample(range(OBJECTS), OBJECTS)
            objects = [Sampled(UUID(int=place + 1), rows[place], vectors[place]) for place in order]
            fits = search.recipes(objects)
            assert fits and len(fits[0].objects) == OBJECTS, f"draw {draw}: {fits and fits[0].recipe}"
