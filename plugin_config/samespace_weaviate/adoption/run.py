"""Look who wrote a collection, and pin it where it is.

`look` reads and encodes, and changes nothing. `adopt` carries out what it found: it adds the guard, whose settings keep
the record. What cannot be pinned in place is said, with what can be done instead.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import PinBroken, RequestInvalid
from samespace.providers.encoder import ProviderEncoder
from samespace.vectors import Float32

from ..access.database import Database
from ..access.values import StoredObject
from ..audit.recipes import InputRecipe, declared, text_properties
from ..audit.tolerance import bounds_of
from ..pinning.adopted import Adoption, guard_settings
from ..pinning.index import Index
from ..pinning.pin import Pin, read_pins
from ..pinning.routes import vectorizer_of
from ..pinning.spec import GUARD_VECTOR, collection_name
from ..pinning.unpinned import has_unnamed_vector
from ..replicas.alike import as_read, require_alike
from .findings import CandidateFit, CollectionLook, VectorLook, adoption_of
from .sample import CollectionSample, draw, longest_first
from .search import TRIED_AT_LEAST, WRITTEN_WITHIN, RecipeSearch, Sampled, builds_asked, most_texts

SAMPLE: Final = 200


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
        texts: that each candidate encodes for each vector, at most; None for `most_texts` of sample and builds.
        progress: gets how many more texts were encoded.

    Raises:
        PinBroken: there is no such collection.
        ReplicasDiffer, ReplicasUnknown: replicas do not hold the same, or nobody can tell.
        RequestInvalid: a number is out of range, no candidate is given, or one of a build that is too coarse to tell.
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
    if not candidates:
        raise RequestInvalid(field="candidate", reason="is missing: name an encoder that may have written it")
    asked = max(builds_asked(each, written_within) for each in candidates)
    least = most_texts(sample, TRIED_AT_LEAST, builds=asked)
    if texts is not None and texts < least:
        raise RequestInvalid(
            field="--max-texts", reason=f"{texts}; a sample of {sample} objects needs {least} at least"
        )
    for each in candidates:
        reader, _ = bounds_of(each)
        if reader.worst > written_within and not isinstance(each, ProviderEncoder):
            raise RequestInvalid(
                field="candidate",
                reason=f"{each.name} runs {reader.build}, off by up to 1 - cos {reader.worst:.2g}: an encoder that "
                "is so near would pass for it. Name its artifact (--build fp32) or a server of an exact build; or say "
                f"--written-within {reader.worst:.2g}",
            )


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


def require_adoptable(found: CollectionLook, *, partly: bool = False) -> None:
    """Raise `PinBroken` where nothing of it can be pinned in place; or not all of it, unless *partly*.

    The guard's settings cannot be changed afterwards, so a vector that is left out now is left out for good.
    """
    adopted = found.adoptions
    left = "; ".join(
        f"{each.vector or 'the vector without a name'}: {each.obstacle()}"
        for each in found.vectors
        if each.vector not in adopted
    )
    if not adopted:
        raise PinBroken(
            collection=found.collection,
            expected="a vector whose encoder is known",
            found=left or "no vector without a pin",
            remedy="nothing was changed",
        )
    if found.guarded:
        raise PinBroken(
            collection=found.collection,
            expected=f"no vector {GUARD_VECTOR}, whose settings would keep the record",
            found="one that is there already; its settings cannot be changed",
            remedy="nothing was changed. Copy it to a pinned collection with `samespace weaviate move`",
        )
    if left and not partly:
        raise PinBroken(
            collection=found.collection,
            expected="vectors whose encoders are all known, because the record cannot be changed afterwards",
            found=left,
            remedy=f"nothing was changed. Adopt {', '.join(adopted)} alone with --partly: no other vector can be "
            "adopted in place then",
        )


def adopt(database: Database, found: CollectionLook, *, partly: bool = False) -> dict[str, Adoption]:
    """Pin what *found* says can be pinned where it is; the records that were made.

    Raises:
        PinBroken: see `require_adoptable`. Nothing was changed.
    """
    require_adoptable(found, partly=partly)
    adopted = found.adoptions
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
    return adoption_of(each.vector, each.best, each.unread)


def _fit(
    schema: Mapping[str, Any],
    encoder: Encoder,
    objects: Sequence[Sampled],
    properties: Sequence[str],
    as_module: InputRecipe,
    written_within: float,
    texts: int | None,
    progress: Callable[[int], None],
) -> CandidateFit:
    alike = [each for each in objects if len(each.stored) == encoder.dims]
    search = RecipeSearch(encoder, str(schema["class"]), properties, as_module, written_within, progress, texts)
    recipes = tuple(search.recipes(alike)) if alike and properties else ()
    untried = tuple(search.untried)
    return CandidateFit(
        encoder.name, encoder.space_id, encoder.dims, recipes, search.encoded, untried, search.nearest
    )  # fmt: skip
