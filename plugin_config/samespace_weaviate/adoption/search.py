"""Searches the recipe by which an encoder made stored vectors: from the nearest guess on, one change at a time.

A few objects guide the search, and all that were sampled are then held against what it found. What does not fit is
searched for by itself, so that a collection of two recipes is told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np

from samespace.encoder import Encoder
from samespace.text import Role
from samespace.vectors import Float32

from ..audit.coarse import CoarseBuilds
from ..audit.compare import distance
from ..audit.explain import encode_rows
from ..audit.recipes import InputRecipe
from ..audit.tolerance import HALF, Bound, apart, bounds_of
from .guesses import first_guesses, neighbours

PILOT: Final = 10
"""Objects that guide the search."""
UNRELATED: Final = 0.6
"""1 - cos of the nearer half, beyond which no guess is of this encoder: the best guess of the right one is nearer."""
ROUNDS: Final = 10
BEAM: Final = 3
"""Orders of properties, and first guesses, that a search goes on from: the nearest one alone may be a dead end."""
RECIPES: Final = 3
"""That are told apart in one collection."""
WRITTEN_WITHIN: Final = HALF
"""1 - cos that is allowed to vectors of which nobody knows the build."""
GIVEN: Final = "given"
TRIED: Final = 340
"""Recipes that a search may try on the pilot, each with other texts; those that find one mostly need fewer."""
TRIED_AT_LEAST: Final = 100

ObjectKey = tuple[str, UUID]
"""A tenant ("" for none) and an id: tenants may have objects of the same ids."""


def most_texts(sample: int, tried: int = TRIED, *, builds: int = 1) -> int:
    """Texts that a search may encode: those of *tried* recipes, and the whole sample by *builds* for what it finds."""
    return tried * PILOT + builds * RECIPES * sample


def builds_asked(encoder: Encoder, written_within: float) -> int:
    """How many may be asked about one text: the build of *encoder* that runs, and its coarse ones on each runtime."""
    return 1 + len(CoarseBuilds(encoder, written_within).ways)


@dataclass(frozen=True, slots=True)
class Sampled:
    """One object, as far as it is needed.

    Attributes:
        properties: as stored.
        stored: (dim,) float32.
        tenant: whose it is; "" for none.
    """

    uuid: UUID
    properties: Mapping[str, object]
    stored: Float32
    tenant: str = ""

    @property
    def key(self) -> ObjectKey:
        """What tells it from all others of the collection."""
        return self.tenant, self.uuid


@dataclass(frozen=True, slots=True)
class RecipeFit:
    """A recipe, and the objects whose vectors it makes.

    Attributes:
        objects: those that fit.
        worst: the largest 1 - cos of them.
        build: the most exact one that may be off by so much; `GIVEN` where only the caller's word allows it.
    """

    recipe: InputRecipe
    objects: tuple[ObjectKey, ...]
    worst: float
    build: str


@dataclass(slots=True)
class RecipeSearch:
    """The search for one encoder.

    Args:
        encoder: the candidate.
        collection: name of the collection.
        properties: its text properties, the longest first.
        declared: what the module of the schema would do.
        written_within: 1 - cos to the exact build that is allowed.
        progress: gets how many more texts were encoded.
        texts: that `recipes` may encode, at most; None for `most_texts`.

    Attributes:
        encoded: texts so far.
        untried: recipes that were next when no more texts were allowed.
        nearest: what the nearest recipe so far leaves, as `_far` says.
    """

    encoder: Encoder
    collection: str
    properties: Sequence[str]
    declared: InputRecipe
    written_within: float = WRITTEN_WITHIN
    progress: Callable[[int], None] = lambda count: None
    texts: int | None = None
    encoded: int = 0
    untried: dict[InputRecipe, None] = field(default_factory=dict)
    nearest: float = math.inf
    _tries_end: int = 0
    _made: dict[tuple[Role, bool, str], Float32] = field(default_factory=dict)
    _owned: dict[tuple[ObjectKey, Role, bool, str], bool] = field(default_factory=dict)
    _coarse: CoarseBuilds = field(init=False)

    def __post_init__(self) -> None:
        self._coarse = CoarseBuilds(self.encoder, self.written_within)

    def recipes(self, objects: Sequence[Sampled]) -> list[RecipeFit]:
        """The recipes that made vectors of *objects*, those that explain most first; [] for none.

        A recipe that is found for what others left over may explain all of it: that long texts were cut shows in long
        texts alone. Where no more texts are allowed, what is the nearest so far is held against all the same.
        """
        tried: list[InputRecipe] = []
        left = list(objects)
        builds = builds_asked(self.encoder, self.written_within)
        most = most_texts(len(objects), builds=builds) if self.texts is None else self.texts
        # The rest is for holding what is found against all objects.
        self._tries_end = self.encoded + most - builds * RECIPES * len(objects)
        while len(tried) < RECIPES and (fit := self._one(left)) is not None and fit.recipe not in tried:
            tried.append(fit.recipe)
            left = _without(left, fit)
        found: list[RecipeFit] = []
        left = list(objects)
        while tried:
            fits = [fit for recipe in tried if (fit := self._held_against(recipe, left)) is not None]
            if not fits:
                break
            best = max(fits, key=lambda fit: len(fit.objects))
            found.append(best)
            tried.remove(best.recipe)
            left = _without(left, best)
        return found

    def _one(self, objects: Sequence[Sampled]) -> RecipeFit | None:
        """The recipe of most of them, if there is one: from the few nearest guesses on, each to its neighbours.

        The way to the right recipe may lead through farther ones. So each round also goes on from first guesses that
        nobody went on from yet: of 780 searches for planted recipes, 8 ended in a dead end without it, and none so.
        """
        pilot = spread_out(objects, PILOT)
        guesses = first_guesses(self.properties, self.declared)
        far: dict[InputRecipe, float] = {}
        self._try(guesses if pilot else [], pilot, far)
        if not far or min(far.values()) > UNRELATED:
            return None
        expanded: set[InputRecipe] = set()
        for _ in range(ROUNDS):
            beam = _beam(far, guesses, expanded)
            if min(far.values()) <= self._exact or not beam:
                break
            expanded.update(beam)
            for each in beam:
                self._try(neighbours(each, self.properties, self.collection), pilot, far)
        return self._held_against(min(far, key=far.__getitem__), objects)

    def _try(self, recipes: Sequence[InputRecipe], pilot: Sequence[Sampled], far: dict[InputRecipe, float]) -> None:
        """Add to *far* how far each of *recipes* is, as long as texts are left for it."""
        for each in recipes:
            if each in far:
                continue
            if self.encoded + len(self._new(each, pilot)) > self._tries_end:
                self.untried[each] = None
            else:
                far[each] = self._far(each, pilot)
                self.nearest = min(self.nearest, far[each])
                self.untried.pop(each, None)

    def _held_against(self, recipe: InputRecipe, objects: Sequence[Sampled]) -> RecipeFit | None:
        distances = self._distances(recipe, objects)
        allowed = apart(self._reader.worst, max(self.written_within, self._reader.worst))
        own = {
            place
            for place, far in enumerate(distances)
            if far <= allowed or (far <= self._loosest and self._own(recipe, objects[place]))
        }
        if not own:
            return None
        worst = max(float(distances[place]) for place in own)
        writers = [each.build for each in self._writers if worst <= apart(self._reader.worst, each.worst)]
        keys = tuple(objects[place].key for place in sorted(own))
        return RecipeFit(recipe, keys, worst, writers[0] if writers else GIVEN)

    def _own(self, recipe: InputRecipe, one: Sampled) -> bool:
        """Whether a coarse build wrote the vector of what *recipe* makes of it; one that cannot be asked did not."""
        text = recipe.text(one.properties)
        key = (one.key, recipe.role, recipe.cut, text)
        if key not in self._owned:
            exact = self._made[recipe.role, recipe.cut, text][None]
            (self._owned[key],) = self._coarse.wrote([one.stored[None]], [exact], [text], recipe)
            self.encoded += len(self._coarse.ways)
            self.progress(len(self._coarse.ways))
        return self._owned[key]

    @property
    def _reader(self) -> Bound:
        return bounds_of(self.encoder)[0]

    @property
    def _writers(self) -> tuple[Bound, ...]:
        return bounds_of(self.encoder)[1]

    @property
    def _loosest(self) -> float:
        return apart(self._reader.worst, self._writers[-1].worst)

    @property
    def _exact(self) -> float:
        return apart(self._reader.worst, self._writers[0].worst)

    def _far(self, recipe: InputRecipe, objects: Sequence[Sampled]) -> float:
        """Mean 1 - cos of the nearer half: objects that another encoder or recipe wrote do not count."""
        distances = np.sort(self._distances(recipe, objects))
        return float(distances[: max(1, -(-len(distances) // 2))].mean()) if len(distances) else float("inf")

    def _distances(
        self, recipe: InputRecipe, objects: Sequence[Sampled]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """1 - cos of each stored vector to what the recipe makes; 2 where it makes nothing."""
        texts = [recipe.text(each.properties) for each in objects]
        self._encode(self._new(recipe, objects), recipe)
        return np.array(
            [
                distance(each.stored[None], self._made[recipe.role, recipe.cut, text][None]) if text else 2.0
                for each, text in zip(objects, texts, strict=True)
            ]
        )

    def _new(self, recipe: InputRecipe, objects: Sequence[Sampled]) -> list[str]:
        """The texts of *objects* that were not encoded yet, each once."""
        texts = dict.fromkeys(recipe.text(each.properties) for each in objects)
        return [text for text in texts if text and (recipe.role, recipe.cut, text) not in self._made]

    def _encode(self, new: Sequence[str], recipe: InputRecipe) -> None:
        for text, (rows, _) in zip(new, encode_rows(self.encoder, new, recipe.role, windows=recipe.cut), strict=True):
            self._made[recipe.role, recipe.cut, text] = rows[0]
        self.encoded += len(new)
        self.progress(len(new))


def _beam(
    far: Mapping[InputRecipe, float], guesses: Sequence[InputRecipe], expanded: set[InputRecipe]
) -> list[InputRecipe]:
    """Where a search goes on: the nearest of each order of properties, the second of all, and the nearest guesses."""
    ranked = sorted((each for each in far if each not in expanded), key=far.__getitem__)
    by_properties: dict[tuple[str, ...], InputRecipe] = {}
    for each in ranked:
        by_properties.setdefault(each.properties, each)
    first = sorted((each for each in guesses if each in far and each not in expanded), key=far.__getitem__)
    return list(dict.fromkeys([*list(by_properties.values())[:BEAM], *first[:BEAM], *ranked[1:2]]))


def _without(objects: Sequence[Sampled], fit: RecipeFit) -> list[Sampled]:
    fitting = set(fit.objects)
    return [each for each in objects if each.key not in fitting]


def spread_out(objects: Sequence[Sampled], most: int) -> list[Sampled]:
    """Up to *most* of them, from the whole length of the list."""
    step = max(1, len(objects) // most)
    return list(objects[::step][:most])
