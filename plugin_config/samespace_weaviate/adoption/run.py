"""Look who wrote a collection, and pin it where it is.

`look` reads and encodes, and changes nothing. `adopt` carries out what it found: it adds the guard, whose settings keep
the record. What cannot be pinned in place is said, with what can be done instead.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import PinBroken, RequestInvalid, short
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import StoredObject
from ..audit.bounds import share_at_most
from ..audit.recipes import InputRecipe, declared, text_properties
from ..pinning.adopted import MOST_NAMED, Adoption, guard_settings
from ..pinning.index import Index
from ..pinning.pin import Pin, read_pins
from ..pinning.routes import vectorizer_of
from ..pinning.spec import GUARD_VECTOR, collection_name
from ..pinning.unpinned import has_unnamed_vector
from ..replicas.alike import as_read, require_alike
from .sample import CollectionSample, draw, longest_first
from .search import TRIED_AT_LEAST, WRITTEN_WITHIN, ObjectKey, RecipeFit, RecipeSearch, Sampled, most_texts

SAMPLE: Final = 200
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
    """

    name: str
    space_id: str
    dims: int
    recipes: tuple[RecipeFit, ...]
    encoded: int = 0
    untried: tuple[InputRecipe, ...] = ()

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
            each.vector: _adoption(each.vector, each.best, each.unread)
            for each in self.vectors
            if each.best is not None and not each.obstacle()
        }


def _adoption(vector: str, best: CandidateFit, unread: tuple[str, ...]) -> Adoption:
    return Adoption(vector, best.space_id, best.recipes[0].recipe.to_json(), len(unread), unread[:MOST_NAMED])


def look(
    database: Database,
    name: str,
    candidates: Sequence[Encoder],
    *,
    sample: int = SAMPLE,
    written_within: float = WRITTEN_WITHIN,
    seed: int = 0,
    texts: int | None = None,
    progress: Callable[[int], None] = lambda texts: None,
) -> CollectionLook:
    """Encode a sample of the collection by every candidate and recipe; nothing is written.

    Args:
        candidates: encoders that may have written it.
        sample: objects that are read.
        written_within: 1 - cos to an exact build that the build that wrote may have, e.g. 0.02 for int8.
        texts: that each candidate encodes for each vector, at most; None for `most_texts(sample)`.
        progress: gets how many more texts were encoded.

    Raises:
        PinBroken: there is no such collection.
        ReplicasDiffer, ReplicasUnknown: replicas do not hold the same, or nobody can tell.
        RequestInvalid: a number is out of range, or no candidate is given.
    """
    _require_sane(candidates, sample, written_within, texts)
    name = collection_name(name)
    schema = database.schema(name)
    if schema is None:
        raise PinBroken(
            collection=name, expected="a collection", found="none of that name", remedy="`samespace weaviate check`"
        )
    require_alike(database, name)
    drawn = draw(database, schema, sample, random.Random(seed))
    properties = longest_first(drawn.objects, text_properties(schema))
    texts = most_texts(sample) if texts is None else texts

    def fits_of(vector: str, objects: Sequence[Sampled]) -> list[CandidateFit]:
        module, settings = vectorizer_of(schema, vector)
        as_module = declared(schema, Pin(vector, module, settings, "", "", ""))
        return [
            _fit(schema, each, objects, properties, as_module, written_within, texts, progress) for each in candidates
        ]

    looks = [_look_at(vector, drawn, properties, fits_of) for vector in vectors_without_pin(schema)]
    for candidate in candidates:
        candidate.confirm()
    guarded = GUARD_VECTOR in (schema.get("vectorConfig") or {})
    return CollectionLook(
        str(schema["class"]),
        tuple(looks),
        read_pins(schema),
        len(drawn.objects),
        drawn.tenants,
        drawn.unread,
        guarded,
        as_read(database, name),
    )


def _require_sane(candidates: Sequence[Encoder], sample: int, written_within: float, texts: int | None) -> None:
    if sample < 1 or not 0.0 < written_within < 1.0:
        reason = f"{sample} and {written_within}; expected 1 or more, and above 0 and below 1"
        raise RequestInvalid(field="sample and written_within", reason=reason)
    least = most_texts(sample, TRIED_AT_LEAST)
    if texts is not None and texts < least:
        raise RequestInvalid(
            field="--max-texts", reason=f"{texts}; a sample of {sample} objects needs {least} at least"
        )
    if not candidates:
        raise RequestInvalid(field="candidate", reason="is missing: name an encoder that may have written it")


def vectors_without_pin(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The vectors of *schema* that `look` looks at; "" for the one without a name."""
    pinned = {pin.vector for pin in read_pins(schema)}
    named = [each for each in schema.get("vectorConfig") or {} if each not in pinned and each != GUARD_VECTOR]
    return (*sorted(named), *([""] if has_unnamed_vector(schema) else []))


def _look_at(
    vector: str,
    drawn: CollectionSample,
    properties: Sequence[str],
    fits_of: Callable[[str, Sequence[Sampled]], Sequence[CandidateFit]],
) -> VectorLook:
    owned = zip(drawn.owners, drawn.objects, strict=True)
    stored = [(owner, each, each.vectors[vector]) for owner, each in owned if vector in each.vectors]
    objects = [Sampled(each.uuid, each.properties, row, owner) for owner, each, row in stored if _has_direction(row)]
    dims = int(np.bincount([len(each.stored) for each in objects]).argmax()) if objects else 0
    ranked = sorted(
        fits_of(vector, objects), key=lambda fit: (-len(fit.recipes[0].objects) if fit.recipes else 1, -fit.fitting)
    )
    without = sum(1 for each in drawn.objects if vector not in each.vectors and _has_text(each, properties))
    met = tuple((owner, each.uuid) for owner, each, _ in stored)
    return VectorLook(vector, len(stored), dims, tuple(ranked), drawn.fair, without, drawn.unread, met)


def _has_direction(row: Float32) -> bool:
    """Whether an encoder may have made it: zeros, what is no number, and several vectors at once fit no recipe."""
    return row.ndim == 1 and bool(row.any()) and bool(np.isfinite(row).all())


def _has_text(each: StoredObject, properties: Sequence[str]) -> bool:
    return any(str(each.properties.get(name) or "").strip() for name in properties)


def adopt(database: Database, found: CollectionLook) -> dict[str, Adoption]:
    """Pin what *found* says can be pinned where it is; the records that were made.

    Raises:
        PinBroken: nothing can be, or the guard is there without a record. Nothing was changed.
    """
    adopted = found.adoptions
    if not adopted:
        why = "; ".join(f"{each.vector or 'the vector without a name'}: {each.obstacle()}" for each in found.vectors)
        raise PinBroken(
            collection=found.collection,
            expected="a vector whose encoder is known",
            found=why or "no vector without a pin",
            remedy="nothing was changed",
        )
    if found.guarded:
        raise PinBroken(
            collection=found.collection,
            expected=f"no vector {GUARD_VECTOR}, whose settings would keep the record",
            found="one that is there already; its settings cannot be changed",
            remedy="nothing was changed. Copy it to a pinned collection with `samespace weaviate move`",
        )
    database.add_vector(found.collection, GUARD_VECTOR, guard_settings(adopted), module="none", index=Index("flat"))
    return adopted


def as_adoption(found: CollectionLook) -> Adoption:
    """The one vector of the collection as it can be copied under its space's name, also one without a name.

    Raises:
        PinBroken: there is not one vector, or not all of it was explained.
    """
    vectors = found.vectors
    if len(vectors) != 1:
        raise PinBroken(
            collection=found.collection,
            expected="one vector without a pin",
            found=f"{len(vectors)}",
            remedy="nothing was changed; migrate it with --strategy named-vector",
        )
    each = vectors[0]
    doubt = each.doubt()
    if doubt or each.best is None:
        raise PinBroken(
            collection=found.collection,
            expected="vectors that one encoder made by one recipe",
            found=doubt,
            remedy=f"nothing was changed; `samespace weaviate adopt {found.collection} --candidate ENCODER --dry-run` "
            "tells more",
        )
    return _adoption(each.vector, each.best, each.unread)


def _fit(
    schema: Mapping[str, Any],
    encoder: Encoder,
    objects: Sequence[Sampled],
    properties: Sequence[str],
    as_module: InputRecipe,
    written_within: float,
    texts: int,
    progress: Callable[[int], None],
) -> CandidateFit:
    alike = [each for each in objects if len(each.stored) == encoder.dims]
    search = RecipeSearch(encoder, str(schema["class"]), properties, as_module, written_within, progress, texts)
    recipes = tuple(search.recipes(alike)) if alike and properties else ()
    return CandidateFit(encoder.name, encoder.space_id, encoder.dims, recipes, search.encoded, tuple(search.untried))
