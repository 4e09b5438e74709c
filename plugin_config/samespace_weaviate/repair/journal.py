"""What a repair set out to mend and what of it is done: facts of `access.journal`.

Ids and kinds only: no texts, no vectors, no addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from samespace.errors import DataInvalid

from ..access.journal import Journal
from ..audit.findings import Kind, Offender


@dataclass(frozen=True, slots=True)
class Mend:
    """One object that has to be mended, and why."""

    uuid: UUID
    tenant: str
    kind: Kind


class RepairJournal(Journal):
    """The journal in *path*; made if it is not there. Close it, or use `with`.

    Attributes:
        mends: what the audit named; None before the audit is over.
        done: ids of those that are mended, with their tenants.
    """

    def __init__(self, path: Path | str, collection: str, space_id: str) -> None:
        """Open the journal of a repair of *collection* in the space *space_id*.

        Raises:
            DataInvalid: the file is the journal of something else.
            JournalBusy: another process holds it.
        """
        self.collection, self.space_id = collection, space_id
        self.mends: tuple[Mend, ...] | None = None
        self.done: set[tuple[str, UUID]] = set()
        super().__init__(path, self._follow)

    def plan(self, offenders: Sequence[Offender]) -> None:
        """Note what the audit named."""
        mends = tuple(Mend(each.uuid, each.tenant, each.kind) for each in offenders)
        listed = [[str(each.uuid), each.tenant, each.kind.value] for each in mends]
        self.append({"event": "repair", "collection": self.collection, "space": self.space_id, "mends": listed})
        self.mends, self.done = mends, set()

    def mended(self, mends: Sequence[Mend]) -> None:
        """Note that these are written."""
        self.append({"event": "mended", "ids": [[each.tenant, str(each.uuid)] for each in mends]})
        self.done |= {(each.tenant, each.uuid) for each in mends}

    @property
    def left(self) -> tuple[Mend, ...]:
        """What has still to be mended."""
        return tuple(each for each in self.mends or () if (each.tenant, each.uuid) not in self.done)

    def _follow(self, entry: Mapping[str, Any]) -> None:
        if entry.get("event") == "repair":
            if (entry.get("collection"), entry.get("space")) != (self.collection, self.space_id):
                raise DataInvalid(
                    path="the journal",
                    reason=f"is of collection {entry.get('collection')} in space {entry.get('space')}, not of "
                    f"{self.collection} in {self.space_id}; name another file with --journal",
                )
            self.mends = tuple(Mend(UUID(uuid), tenant, Kind(kind)) for uuid, tenant, kind in entry["mends"])
            self.done = set()
        elif entry.get("event") == "mended":
            self.done |= {(tenant, UUID(uuid)) for tenant, uuid in entry["ids"]}
        else:
            raise DataInvalid(path="the journal", reason="is not a repair journal; name another file with --journal")
