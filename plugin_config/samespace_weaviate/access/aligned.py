"""Pages of one collection as several nodes list them, side by side in order of ids. Pure.

A node lists what its own replicas hold, whatever consistency level is asked for; so only the lists of all nodes
together tell what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from .values import StoredObject


@dataclass(frozen=True, slots=True)
class AlignedRow:
    """One object as each node has it.

    Attributes:
        uuid: of the object.
        copies: one for each node, in the order of the pages; None where the node does not have it.
    """

    uuid: UUID
    copies: tuple[StoredObject | None, ...]

    @property
    def alike(self) -> bool:
        """Whether every node has it, and the same: one write carries one time to all replicas."""
        first = self.copies[0]
        return first is not None and all(
            each is not None and each.updated_ms == first.updated_ms and each.same_content(first)
            for each in self.copies
        )

    @property
    def newest_ms(self) -> int:
        """When the newest copy was written."""
        return max(each.updated_ms for each in self.copies if each is not None)


def aligned(pages: Sequence[Sequence[StoredObject]], limit: int) -> list[AlignedRow]:
    """At most *limit* rows that follow the place behind which all pages begin; none where nothing follows.

    Args:
        pages: one for each node, each in order of ids, and of *limit* objects unless the node has no more.
        limit: that was asked for.
    """
    ends = [page[-1].uuid for page in pages if len(page) >= limit]
    last = min(ends) if ends else None  # what follows in this page may not be in the others yet
    copies = [{each.uuid: each for each in page} for page in pages]
    ids = sorted({uuid for page in copies for uuid in page if last is None or uuid <= last})[:limit]
    return [AlignedRow(uuid, tuple(page.get(uuid) for page in copies)) for uuid in ids]
