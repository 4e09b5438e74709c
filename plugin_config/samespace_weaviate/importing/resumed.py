"""Whether a collection has what a journal says is finished: each passage with its text, not an object of its id alone.

A collection that was restored from a backup, or another Weaviate, has objects of the same ids and other texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from samespace.errors import WeaviateError, WeaviateUnavailable

from ..access.database import Database
from ..access.values import Passage
from .windows import Target, window_uuid

_READ: Final = "QUORUM"
"""An import goes on while a node is away, so what it wrote is read of as many replicas as took it."""


def holds(database: Database, target: Target, passages: Iterable[Passage], tenant_property: str = "") -> bool:
    """Whether every passage is there, with a vector and its own text.

    Args:
        passages: of one finished batch, without those that failed.
        tenant_property: names the tenant of each; "" where the target does.
    """
    by_tenant: dict[str, dict[UUID, str]] = {}
    for passage in passages:
        tenant = str(passage.properties.get(tenant_property, "")) if tenant_property else target.tenant
        by_tenant.setdefault(tenant, {})[window_uuid(target.collection, passage.id, 0)] = passage.text
    return all(_tenant_holds(database, target, tenant, texts) for tenant, texts in by_tenant.items())


def _tenant_holds(database: Database, target: Target, tenant: str, texts: dict[UUID, str]) -> bool:
    own = database if tenant == target.tenant else database.of_tenant(tenant)
    try:
        found = own.read(target.collection, target.vector, list(texts), [target.text_property], _READ)
    except WeaviateUnavailable:
        raise
    except WeaviateError:  # no such tenant any more
        return False
    stored = {each.uuid: each.properties.get(target.text_property) for each in found if each.vector is not None}
    return all(_is_text(target, stored.get(uuid), text) for uuid, text in texts.items())


def _is_text(target: Target, stored: object, text: str) -> bool:
    """Whether *stored* is what an object of this text has: all of it, or its first window."""
    if not isinstance(stored, str):
        return False
    return stored == text or (target.long_texts == "windows" and bool(stored) and text.startswith(stored))
