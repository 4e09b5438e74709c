"""The other strategy: a second named vector in the same collection, for clients that cannot move to an alias.

Clients switch by themselves, each when it names the new vector; until the old one is dropped, both are kept, searched
and encoded (every write asks both encoders), so memory and disk are shared by two indexes for as long as that lasts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from samespace.encoder import Encoder
from samespace.errors import MigrationBlocked, short
from samespace.vectors import Float32

from ..access.database import Database, stream
from ..access.values import StoredObject
from ..audit.coarse import CoarseBuilds
from ..audit.searchable import SearchCheck, check_searchable, remarks, wait_for_index
from ..pinning.index import HNSW, Index
from ..pinning.pin import Pin, read_pins
from ..pinning.spec import BRIDGE_KEY, LONG_TEXTS_KEY, SPACE_KEY, CollectionSpec
from ..replicas.alike import active_tenants, require_alike
from .backfill import Filling, backfill, schema_of
from .copying.route import CopyPace
from .copying.transfer import text_of
from .plan import text_property_of
from .verification import BOUND, INDEX_WAIT_S, distances_of, spread

SAMPLE: Final = 256
"""Objects of each tenant that are encoded again before an old vector goes."""


@dataclass(frozen=True, slots=True)
class SecondVector:
    """A vector that a collection gets beside its own.

    Attributes:
        collection: its real name.
        vector: the new name.
        module, settings, index: of it.
        text_property: what is encoded.
        old: pins that were there.
    """

    collection: str
    vector: str
    module: str
    settings: dict[str, Any]
    index: Index
    text_property: str
    old: tuple[Pin, ...]

    def filling(self, *, needs: str = "") -> Filling:
        """What `backfill` does of it; *needs* is the vector that the new one is made of."""
        others = tuple(pin.vector for pin in self.old)
        return Filling(self.collection, self.vector, self.text_property, others, needs)

    def sentences(self) -> list[str]:
        """For people."""
        have = ", ".join(f"{pin.vector} (space {short(pin.space)})" for pin in self.old) or "no pinned vector"
        return [
            f"{self.collection} has {have}; it gets {self.vector} beside it, and every object its vector. That "
            "a vector was added cannot be undone on every version of Weaviate.",
            "Once all objects have it, clients switch by naming it: target_vector="
            f"\"{self.vector}\" in Weaviate's clients, the new encoder in samespace's.",
        ]


def plan_encoder(database: Database, name: str, encoder: Encoder, server: str, text_property: str = "") -> SecondVector:
    """What `fill` needs to give the collection vectors of *encoder*; vectors that are not pinned are left alone.

    Raises:
        MigrationBlocked: the collection has one vector for each window, or no clear text property.
    """
    schema = schema_of(database, name)
    old = _encoders_of(schema)
    spec = CollectionSpec(
        schema["class"],
        encoder.space_id,
        server,
        text_property=text_property_of(text_property, schema["class"], schema),
        encoder_name=encoder.name,
        long_texts=old[0].long_texts if old else "pool",
    )
    others = tuple(pin for pin in old if pin.vector != spec.vector_name)
    return SecondVector(
        schema["class"],
        spec.vector_name,
        spec.module,
        dict(spec.vectorizer_settings),
        spec.index,
        spec.text_property,
        others,
    )


def plan_bridge(database: Database, name: str, space_id: str, spaces: tuple[str, str]) -> SecondVector:
    """What `backfill` needs for bridged vectors: the approximate space's own name, and both spaces in the schema."""
    schema = schema_of(database, name)
    old = tuple(pin for pin in pins_of(schema) if pin.space == spaces[0])
    if not old:
        raise MigrationBlocked(
            collection=schema["class"], reason=f"it has no vectors of space {spaces[0]}", remedy="fit another bridge"
        )
    text_property = next(iter(old[0].sources), "text")
    settings = {
        "properties": [text_property],
        SPACE_KEY: space_id,
        LONG_TEXTS_KEY: old[0].long_texts,
        BRIDGE_KEY: f"from {spaces[0]} to {spaces[1]}",
    }
    return SecondVector(schema["class"], f"e_{short(space_id)}", "none", settings, HNSW, text_property, old)


def fill(database: Database, plan: SecondVector, encoder: Encoder, pace: CopyPace) -> int:
    """Add the vector and encode every object that lacks it; how many there were. Doing it again changes nothing."""

    def make(records: Sequence[StoredObject]) -> Float32:
        texts = [text_of(record, plan.text_property) for record in records]
        return np.asarray(encoder.encode(texts, "passage").__array__())

    add(database, plan)
    return backfill(database, plan.filling(), make, pace)


def add(database: Database, plan: SecondVector) -> None:
    """Add the vector to the schema; one of that name that is there is left as it is."""
    if plan.vector not in (schema_of(database, plan.collection).get("vectorConfig") or {}):
        database.add_vector(plan.collection, plan.vector, plan.settings, module=plan.module, index=plan.index)


def drop_old(database: Database, plan: SecondVector, encoder: Encoder) -> list[str]:
    """Drop the vectors that were there; a sentence for each.

    Raises:
        MigrationBlocked: the new vector is not there, or not every object is found by it.
        ReplicasDiffer, ReplicasUnknown: replicas do not hold the same, or nobody can tell.
    """
    if plan.vector not in (schema_of(database, plan.collection).get("vectorConfig") or {}):
        raise MigrationBlocked(
            collection=plan.collection, reason=f"it has no vector {plan.vector}", remedy="run it without --finish first"
        )
    if not plan.old:
        return ["No vector was pinned before, and none is dropped."]
    told = [_require_filled(database, plan, encoder)]
    for pin in plan.old:
        refused = database.drop_vector(plan.collection, pin.vector)
        told.append(f"{pin.vector} stays: {refused}" if refused else f"{pin.vector} is dropped.")
    return told


def _require_filled(database: Database, plan: SecondVector, encoder: Encoder) -> str:
    """Without the old vector an object is found by the new one or not at all; what was looked at, for people."""
    name, vector, searched, sampled = plan.collection, plan.vector, SearchCheck(), 0
    coarse = CoarseBuilds(encoder, BOUND)
    inactive = (
        sorted(tenant for tenant, state in database.tenant_states(name).items() if state != "HOT")
        if (schema_of(database, name).get("multiTenancyConfig") or {}).get("enabled")
        else []
    )
    if inactive:
        raise _not_filled(
            plan, f"{len(inactive)} tenants cannot be looked at, the first {inactive[0]}", "activate them"
        )
    require_alike(database, name)
    if queued := wait_for_index(database, name, INDEX_WAIT_S):
        raise _not_filled(plan, f"{queued} vectors are still waiting to be indexed", "wait for them")
    for tenant in active_tenants(database, name):
        own = database.of_tenant(tenant) if tenant else database
        lacking = [
            each.uuid
            for each in stream(own, name, vectors=True)
            if vector not in each.vectors and text_of(each, plan.text_property)
        ]
        if lacking:
            raise _not_filled(plan, f"{len(lacking)} objects have no {vector}, the first {lacking[0]}", "complete it")
        found = check_searchable(own, name, vector, own.ids(name))
        if found.lost:
            reason = (
                f"{len(found.lost)} of {found.searched} objects are not found by {vector}, the first {found.lost[0]}"
            )
            raise _not_filled(plan, reason, f"fix them with `samespace weaviate repair {name} --encoder ENCODER`")
        records = spread(own, name, SAMPLE, random.Random(tenant))
        searched, sampled = searched + found, sampled + len(records)
        distances = distances_of(records, vector, plan.text_property, encoder, coarse)
        wrong = [record.uuid for record, far in zip(records, distances, strict=True) if not far <= BOUND]
        if wrong:
            reason = f"{len(wrong)} of {len(records)} vectors are not those of the encoder, the first {wrong[0]}"
            raise _not_filled(plan, reason, f"fix them with `samespace weaviate repair {name} --encoder ENCODER`")
    by_itself = searched.searched - searched.tied - searched.behind
    said = (
        f"{by_itself} of {searched.searched} objects are found by {vector}; a sample of {sampled} was encoded again, "
    )
    return " ".join([f"{said}and none differs.", *remarks(searched.tied, searched.behind)])


def _not_filled(plan: SecondVector, reason: str, remedy: str) -> MigrationBlocked:
    return MigrationBlocked(
        collection=plan.collection, reason=f"nothing was dropped: {reason}", remedy=f"{remedy}, then run --finish again"
    )


def pins_of(schema: dict[str, Any]) -> tuple[Pin, ...]:
    """The pins of encoders, bridges left out; at least one."""
    pins = _encoders_of(schema)
    if not pins:
        raise MigrationBlocked(
            collection=schema["class"],
            reason="no vector of it is named after a space",
            remedy="give it a pin with `samespace weaviate adopt`, its vectors as they are, or with "
            "`samespace weaviate migrate`, which encodes all of it again",
        )
    return pins


def _encoders_of(schema: dict[str, Any]) -> tuple[Pin, ...]:
    pins = tuple(pin for pin in read_pins(schema) if BRIDGE_KEY not in pin.settings)
    if any(pin.long_texts == "multivector" for pin in pins):
        raise MigrationBlocked(
            collection=schema["class"],
            reason="its objects hold one vector for each window of a text",
            remedy="windows differ between encoders: create a new collection and import the documents again",
        )
    return pins
