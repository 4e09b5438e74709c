"""What a way back, or a copy back to a known name, must not write over."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from samespace.errors import MigrationBlocked


def refuse_overwriting(name: str, late: Sequence[UUID]) -> None:
    """Somebody wrote these objects to the old collection *name* by its own name, while it was not served."""
    if late:
        raise MigrationBlocked(
            collection=name,
            reason=f"{len(late)} of its objects were written after the switch, by its own name ({late[0]}, ...); "
            "the way back would overwrite or delete them",
            remedy="let all clients use the alias, do the same there, or give it up with --force",
        )


def refuse_deleting(name: str, tenants: Sequence[str]) -> None:
    """Somebody made these tenants in the old collection *name* by its own name, while it was not served."""
    if tenants:
        raise MigrationBlocked(
            collection=name,
            reason=f"{len(tenants)} of its tenants were made after the switch, by its own name ({tenants[0]}, ...); "
            "the way back would delete them",
            remedy="make them in the new collection, with their objects, or give them up with --force",
        )


def refuse_undoing(source: str, target: str, theirs: Sequence[UUID | str]) -> None:
    """Clients wrote these objects, or made these tenants, by the name *target* while it was made again."""
    if theirs:
        what = "tenants" if isinstance(theirs[0], str) else "objects"
        raise MigrationBlocked(
            collection=target,
            reason=f"{len(theirs)} of its {what} were written by its own name while it was made again from {source} "
            f"({theirs[0]}, ...); going on would delete or overwrite them",
            remedy="let clients use the alias until this is finished, and write these by it too (what is the same in "
            "both is left alone); then run the same command again, or give them up with --force",
        )
