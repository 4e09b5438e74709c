"""What clients write to a collection by its own name while it is made again under that name.

The copy back to a name that clients know (`--keep-name`) takes hours, and Weaviate takes writes by that name all the
time. The source of the copy has none of them, so a round would delete or overwrite what was acknowledged. What was
copied and when is remembered; another run remembers nothing of it, and goes by the stamps of both sides then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from ...access.values import StoredObject
from ..compare import Change, Write


@dataclass(slots=True)
class WrittenByName:
    """Objects of the target that are not as this copy left them.

    Attributes:
        copied: tenant -> object -> the latest stamp that this copy can have given it, in milliseconds by Weaviate's
            clock; tenants that it has been to are there.
        tenant: of the pass under way.
        source, target: object -> its stamp, as far as that has come.
    """

    copied: dict[str, dict[UUID, int]] = field(default_factory=dict)
    tenant: str = ""
    source: dict[UUID, int] = field(default_factory=dict)
    target: dict[UUID, int] = field(default_factory=dict)

    def begin(self, tenant: str) -> None:
        """A new pass over a tenant."""
        self.tenant, self.source, self.target = tenant, {}, {}
        self.copied.setdefault(tenant, {})

    def in_source(self, record: StoredObject) -> None:
        """Note an object of the source."""
        self.source[record.uuid] = record.updated_ms

    def in_target(self, record: StoredObject) -> None:
        """Note an object of the target."""
        self.target[record.uuid] = record.updated_ms

    def among(self, changes: Iterable[Change]) -> list[UUID]:
        """Those of *changes* that would undo what a client wrote."""
        return [uuid for change in changes if self._is_theirs(uuid := _id_of(change))]

    def wrote(self, ids: Iterable[UUID], until_ms: int) -> None:
        """The copy has written these, until then."""
        self.copied[self.tenant].update(dict.fromkeys(ids, until_ms))

    def _is_theirs(self, uuid: UUID) -> bool:
        if uuid not in self.target:
            return False
        known = self.copied[self.tenant].get(uuid, self.source.get(uuid))
        return known is None or self.target[uuid] > known


def _id_of(change: Change) -> UUID:
    return change.record.uuid if isinstance(change, Write) else change.uuid
