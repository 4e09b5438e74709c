"""The audit itself: draw a sample, read it, encode its texts again, compare, and explain what does not fit."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samespace.encoder import Encoder
from samespace.errors import PinBroken, RequestInvalid, SpaceMismatch

from ..access.database import Database
from ..pinning.pin import Pin, Severity, check_pin, find_pin, read_pins
from ..pinning.spec import collection_name, vector_name
from ..replicas.alike import as_read, require_alike
from .coarse import CoarseBuilds
from .explain import Texts
from .findings import AuditReport
from .recipes import declared, mistakes, text_properties
from .searchable import wait_for_index
from .tenant import Audited, Progress, audit_tenant
from .tolerance import HALF, Bound, bounds_of


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How much is looked at.

    Attributes:
        sample: objects of each tenant; None for all. Where 1 % are wrong, 500 show at least one in 99 of 100 audits;
            ten times as many show a tenth of that, and cost ten times the encoding.
        tenants: only these; empty for all that are active.
        confidence: of the bounds.
        seed: of the sample; None for a new one, which the report tells.
        wait_s: how long to wait for vectors that are stored and not indexed yet (asynchronous indexing), in seconds.
        written_within: the largest 1 - cos to the fp32 reference of the build that wrote, where the encoder does not
            know that build, e.g. 0.02 for an int8 server; 0 for none such. A large one hides small drift.
    """

    sample: int | None = 500
    tenants: tuple[str, ...] = ()
    confidence: float = 0.99
    seed: int | None = None
    written_within: float = 0.0
    wait_s: float = 60.0

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise RequestInvalid(field="sample", reason=f"{self.sample}; expected 1 or more")
        if not 0.0 < self.confidence < 1.0:
            raise RequestInvalid(
                field="confidence", reason=f"{self.confidence}; expected above 0 and below 1, e.g. 0.99"
            )
        if not 0.0 <= self.written_within < 1.0:
            raise RequestInvalid(
                field="written_within", reason=f"{self.written_within}; expected 0 to below 1, e.g. 0.02"
            )


def audit(
    database: Database,
    name: str,
    encoder: Encoder,
    options: AuditOptions | None = None,
    *,
    against: Sequence[Encoder] = (),
    progress: Progress = lambda what, count: None,
) -> AuditReport:
    """Compare a sample of the collection *name* with what *encoder* gives for its texts. Nothing is written.

    A pin whose parts disagree is told and does not stop the audit: just then one wants to know what is stored.

    Args:
        encoder: of the pinned space. Its exact build sees most: `Encoder.load(..., build="fp32")`.
        against: encoders whose vectors may have got in; suspects are encoded with them too.
        progress: gets "ids" or "objects" and how many more were read or compared.

    Raises:
        SpaceMismatch: the encoder is of another space than the pin; nothing was read.
        PinBroken: there is no such collection, or it is pinned to no space; nothing was read.
        RequestInvalid: a tenant is not there, or cannot be read.
        ReplicasDiffer: replicas of the collection do not hold the same.
        ReplicasUnknown: it has replicas, and they cannot be compared (see `replicas.alike`).
        VectorsDisagree: a hosted encoder is not what was pinned any more, and nothing can be judged with it.
    """
    options = options or AuditOptions()
    name = collection_name(name)
    schema = database.schema(name)
    pin = _pin(name, schema, encoder.space_id)
    assert schema is not None  # or there would be no pin
    audited = _audited(schema, pin, encoder, against, options.written_within, progress)
    chosen, unread = _tenants(database.tenants(name, options.tenants), options.tenants, name)
    if not chosen and not unread and not (schema.get("multiTenancyConfig") or {}).get("enabled"):
        chosen = [""]
    require_alike(database, name, chosen)
    wait_for_index(database, name, options.wait_s)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    report = AuditReport(
        collection=name,
        vector=pin.vector,
        space_id=encoder.space_id,
        encoder=f"{encoder.name} ({audited.reader.build})",
        confidence=options.confidence,
        seed=seed,
        tenants=tuple(
            audit_tenant(database.of_tenant(tenant), tenant, audited, options.sample, random.Random(f"{seed} {tenant}"))
            for tenant in chosen
        ),
        unread=unread,
        shards=tuple(database.shards(name)),
        pin_findings=tuple(
            f"{each.severity.word}: {each.message}"
            for each in check_pin(schema, encoder.space_id).findings
            if each.severity >= Severity.UNSAFE
        ),
        as_read=as_read(database, name),
    )
    report = replace(report, witnesses=audited.coarse.said if audited.coarse.asked else "")
    return _confirmed(report, encoder, *against)


def _confirmed(report: AuditReport, *encoders: Encoder) -> AuditReport:
    """The same, once no encoder drifted meanwhile: what one that did calls wrong may be right."""
    for each in encoders:
        each.confirm()
    return report


def _audited(
    schema: Mapping[str, Any],
    pin: Pin,
    encoder: Encoder,
    against: Sequence[Encoder],
    written_within: float,
    progress: Progress,
) -> Audited:
    """What is the same for all tenants."""
    right = declared(schema, pin)
    reader, writers = bounds_of(encoder)
    claimed = max(written_within, HALF)
    if written_within:
        writers = tuple(sorted((*writers, Bound("given", written_within)), key=lambda each: each.worst))
    return Audited(
        name=str(schema["class"]),
        vector=pin.vector,
        texts=Texts(encoder, right, mistakes(schema, right), pin.long_texts == "multivector", tuple(against)),
        properties=tuple(sorted({*right.properties, *text_properties(schema)})),
        reader=reader,
        writers=writers,
        coarse=CoarseBuilds(encoder, claimed),
        claimed=claimed,
        progress=progress,
    )


def _pin(name: str, schema: Mapping[str, Any] | None, space_id: str) -> Pin:
    pin = find_pin(schema or {}, space_id)
    if pin is not None:
        return pin
    if pins := read_pins(schema or {}):
        raise SpaceMismatch(
            expected=" or ".join(each.space for each in pins), found=space_id, where=f"audit of collection {name}"
        )
    raise PinBroken(
        collection=name,
        expected=f"vector {vector_name(space_id)} of space {space_id}",
        found="no such collection" if schema is None else "no vector that is named after a space",
        remedy="nothing was read. `samespace weaviate check` tells what is there",
    )


def _tenants(there: Mapping[str, bool], wanted: Sequence[str], name: str) -> tuple[list[str], tuple[str, ...]]:
    """(the tenants to read, those that cannot be read)."""
    for tenant in wanted:
        if tenant not in there:
            raise RequestInvalid(field="tenant", reason=f"collection {name} has no tenant {tenant!r}")
        if not there[tenant]:
            raise RequestInvalid(field="tenant", reason=f"tenant {tenant!r} is not active: activate it first")
    if wanted:
        return list(dict.fromkeys(wanted)), ()
    return [each for each in sorted(there) if there[each]], tuple(each for each in sorted(there) if not there[each])
