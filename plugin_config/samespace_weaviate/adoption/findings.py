"""What was found out about a collection: which encoder explains which vector, and whether it can be pinned. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from samespace.errors import short

from ..audit.bounds import share_at_most
from ..audit.recipes import InputRecipe
from ..pinning.adopted import MOST_NAMED, Adoption
from ..pinning.pin import Pin
from .search import ObjectKey, RecipeFit

CONFIDENCE: Final = 0.99
FEWEST: Final = 10
"""Objects that have to be there before a vector is pinned: fewer tell too little."""


@dataclass(frozen=True, slots=True)
class CandidateFit:
    """What one encoder explains of one vector.

    Attributes:
        name: of the encoder.
        space_id: its.
        dims: of its vectors.
        recipes: that it was found to have written with, what explains most first; () for none.
        encoded: texts that it took.
        untried: recipes that were next when no more texts were allowed.
        nearest: mean 1 - cos of the nearest recipe on the nearer half of a few objects; inf where none was tried.
    """

    name: str
    space_id: str
    dims: int
    recipes: tuple[RecipeFit, ...]
    encoded: int = 0
    untried: tuple[InputRecipe, ...] = ()
    nearest: float = math.inf

    @property
    def fitting(self) -> int:
        """Objects that any of its recipes explains."""
        return len(self.explained)

    @property
    def explained(self) -> frozenset[ObjectKey]:
        """Which these are."""
        return frozenset(key for fit in self.recipes for key in fit.objects)


@dataclass(frozen=True, slots=True)
class VectorLook:
    """What was found out about one vector.

    Attributes:
        vector: its name; "" for the one without a name.
        sampled: objects of the sample that have it.
        dims: of most of them.
        candidates: each with what it explains, what explains most first.
        fair: whether every object had the same chance of being sampled; else nothing is said of the others.
        without: objects of the sample that have a text and not this vector.
        unread: tenants that were not read, of which nothing is said either.
        met: the objects that were sampled, as far as they have a vector.
    """

    vector: str
    sampled: int
    dims: int
    candidates: tuple[CandidateFit, ...]
    fair: bool = True
    without: int = 0
    unread: tuple[str, ...] = ()
    met: tuple[ObjectKey, ...] = ()

    @property
    def best(self) -> CandidateFit | None:
        """The encoder that explains most; None where none explains anything."""
        return next((each for each in self.candidates if each.recipes), None)

    @property
    def alike(self) -> tuple[CandidateFit, ...]:
        """Other spaces that explain most of the same objects: they cannot be told apart.

        Of two that are near, what fits more is decided by noise, and by what is allowed to the build of each.
        """
        best = self.best
        if best is None:
            return ()
        theirs = best.explained
        return tuple(
            each for each in self.candidates if each is not best and 2 * len(each.explained & theirs) >= len(theirs)
        )

    @property
    def otherwise(self) -> tuple[ObjectKey, ...]:
        """The objects of the sample that the first recipe of the best does not explain; all, where there is none."""
        fitting = frozenset(self.best.recipes[0].objects) if self.best else frozenset()
        return tuple(sorted(each for each in self.met if each not in fitting))

    @property
    def strangers_at_most(self) -> float:
        """The largest share of objects that are otherwise, which the sample does not rule out, 0 to 1; 1 for an unfair
        one. Of tenants that were not read it says nothing."""
        if not self.fair:
            return 1.0
        fitting = len(self.best.recipes[0].objects) if self.best else 0
        return share_at_most(self.sampled - fitting, self.sampled, None, CONFIDENCE)

    def doubt(self) -> str:
        """Why it is not known who wrote all of it, and how; "" where it is."""
        best = self.best
        if best is None:
            if any(each.untried for each in self.candidates):
                return "none of the candidates was found to have written it; --max-texts tries more, --candidate others"
            return "none of the candidates wrote it; name others with --candidate"
        first = best.recipes[0]
        if self.alike:
            others = ", ".join(f"{each.name} ({short(each.space_id)})" for each in self.alike)
            return f"{best.name} and {others} give nearly the same vectors; give the one that is meant alone"
        if self.sampled < FEWEST:
            return f"{self.sampled} objects with a vector were read, and {FEWEST} are too few to tell by"
        if len(first.objects) < self.sampled:
            return (
                f"{self.sampled - len(first.objects)} of {self.sampled} objects are otherwise, so it holds vectors "
                "that do not compare; delete these objects or write them again with its vectors, or migrate it, which "
                "encodes all of it again"
            )
        return ""

    def obstacle(self) -> str:
        """Why it cannot be pinned where it is; "" where it can."""
        if (doubt := self.doubt()) or self.vector:
            return doubt
        return (
            "a vector without a name takes whatever names none, and no guard prevents that; copy it to a pinned "
            "collection with `samespace weaviate move`, vectors as they are"
        )


@dataclass(frozen=True, slots=True)
class CollectionLook:
    """What was found out about a collection.

    Attributes:
        collection: its name.
        vectors: those that nobody pinned.
        pins: those that are pinned, or were adopted before.
        read: objects that were read.
        tenants: that were read.
        unread: tenants that were not, and are as they were.
        guarded: whether the guard is there already.
        as_read: of how many replicas all this is, where it is not of all.
    """

    collection: str
    vectors: tuple[VectorLook, ...]
    pins: tuple[Pin, ...]
    read: int
    tenants: tuple[str, ...]
    unread: tuple[str, ...]
    guarded: bool
    as_read: str = ""

    @property
    def adoptions(self) -> dict[str, Adoption]:
        """What can be pinned in place, by vector."""
        return {
            each.vector: adoption_of(each.vector, each.best, each.unread)
            for each in self.vectors
            if each.best is not None and not each.obstacle()
        }


def adoption_of(vector: str, best: CandidateFit, unread: tuple[str, ...]) -> Adoption:
    return Adoption(vector, best.space_id, best.recipes[0].recipe.to_json(), len(unread), unread[:MOST_NAMED])
