"""Whether a collection has what a journal says is finished: each passage as it would be written, not its id alone.

A collection that was restored from a backup, or another Weaviate, has objects of the same ids and other texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from samespace.errors import WeaviateError, WeaviateUnavailable

from ..access.database import Database
from ..access.values import Passage
from ..pinning.spec import DOCUMENT_PROPERTY, SPAN_PROPERTIES, WINDOW_PROPERTY
from .found import READ, door_of
from .windows import Target, typed, window_uuid


def holds(database: Database, target: Target, passages: Iterable[Passage], tenant_property: str = "") -> bool:
    """Whether every passage is there with a vector, its own text and its properties.

    Args:
        passages: of one finished batch, without those that failed.
        tenant_property: names the tenant of each; "" where the target does.
    """
    by_tenant: dict[str, list[Passage]] = {}
    for passage in passages:
        tenant = str(passage.properties.get(tenant_property, "")) if tenant_property else target.tenant
        by_tenant.setdefault(tenant, []).append(passage)
    return all(_tenant_holds(database, target, tenant, some) for tenant, some in by_tenant.items())


def _tenant_holds(database: Database, target: Target, tenant: str, passages: list[Passage]) -> bool:
    own = door_of(database, target, tenant)
    try:
        first = _read(own, target, [window_uuid(target.collection, passage.id, 0) for passage in passages])
        return all(_is_whole(own, target, passage, first) for passage in passages)
    except WeaviateUnavailable:
        raise
    except WeaviateError:  # no such tenant any more
        return False


def _read(own: Database, target: Target, uuids: list[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """The properties of those that are there with a vector."""
    spans = SPAN_PROPERTIES if target.long_texts == "windows" else ()
    names = list(dict.fromkeys([target.text_property, *spans, *target.properties]))
    found = own.read(target.collection, target.vector, uuids, names, READ)
    return {each.uuid: each.properties for each in found if each.vector is not None}


def _is_whole(own: Database, target: Target, passage: Passage, first: Mapping[UUID, Mapping[str, Any]]) -> bool:
    stored = first.get(window_uuid(target.collection, passage.id, 0))
    if stored is None or not _has_properties(target, passage, stored):
        return False
    if stored.get(target.text_property) == passage.text:
        return True
    return target.long_texts == "windows" and _covers(own, target, passage, stored)


def _has_properties(target: Target, passage: Passage, stored: Mapping[str, Any]) -> bool:
    """Whether an object has the properties of its passage, and none that the passage lacks."""
    ours = {target.text_property, target.id_property, DOCUMENT_PROPERTY, WINDOW_PROPERTY, *SPAN_PROPERTIES}
    return all(
        _is_value(stored.get(name), passage.properties.get(name), kind)
        for name, kind in target.properties.items()
        if name not in ours
    )


def _covers(own: Database, target: Target, passage: Passage, first: Mapping[str, Any]) -> bool:
    """Whether the windows of a document are slices of this text, up to its end, each with its properties."""
    size = max(1, len(str(first.get(target.text_property) or "")))
    count = 2 * -(-len(passage.text) // size) + 2  # windows overlap
    uuids = [window_uuid(target.collection, passage.id, number) for number in range(1, count)]
    start, end = SPAN_PROPERTIES
    reached = 0
    for each in (first, *_read(own, target, uuids).values()):
        begins, ends = int(each.get(start) or 0), int(each.get(end) or 0)
        if each.get(target.text_property) != passage.text[begins:ends] or not _has_properties(target, passage, each):
            return False
        reached = max(reached, ends)
    return reached >= len(passage.text.rstrip())


def _is_value(stored: Any, given: Any, kind: str) -> bool:
    """Whether *stored* is what Weaviate keeps of *given*; what cannot be told counts as another value."""
    if given is None or stored is None:
        return given in (None, []) and stored in (None, [])  # Weaviate does not tell them apart everywhere
    try:
        wanted = typed(given, kind)
    except (ValueError, OverflowError):
        return False
    if kind == "date" and isinstance(stored, datetime):
        return stored == datetime.fromisoformat(str(wanted).replace("Z", "+00:00"))
    if kind in ("text", "uuid"):
        return str(stored) == str(wanted)
    return bool(stored == wanted)
