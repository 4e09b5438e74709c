"""What a migration has done: the facts of `access.journal`, and the progress that they tell.

What it gives up: texts, vectors and addresses are never in it; it cannot be used to rebuild a collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samespace.errors import MigrationBlocked

from ..access.journal import Journal, JournalBusy, JournalFull, read_journal
from .progress import MigrationProgress, advance


class MigrationJournal(Journal):
    """The journal in *path*, and the progress that it tells; made if it is not there. Close it, or use `with`."""

    def __init__(self, path: Path | str) -> None:
        self.progress = MigrationProgress()
        try:
            super().__init__(path, self._follow)
        except JournalBusy as error:
            raise MigrationBlocked(
                collection=str(path),
                reason="another process holds this journal",
                remedy="wait for it to end, or stop it",
            ) from error

    def note(self, event: str, **facts: Any) -> MigrationProgress:
        """Note a fact; it is on the disk when this returns.

        Raises:
            MigrationBlocked: the disk did not take it. Nothing of it is left in the file.
        """
        progress = advance(self.progress, event, facts)
        try:
            self.append({"event": event, **facts})
        except JournalFull as error:
            raise MigrationBlocked(
                collection=str(self.path),
                reason=f"the journal cannot be written ({error.reason})",
                remedy="make room and run the same command again: it goes on where the journal ends",
            ) from error
        self.progress = progress
        return progress

    def _follow(self, entry: Mapping[str, Any]) -> None:
        self.progress = _after(self.progress, entry)


def read_progress(path: Path) -> MigrationProgress:
    """The progress that a journal tells, also where another process holds it."""
    progress = MigrationProgress()
    for entry in read_journal(path):
        progress = _after(progress, entry)
    return progress


def _after(progress: MigrationProgress, entry: Mapping[str, Any]) -> MigrationProgress:
    facts = dict(entry)
    return advance(progress, str(facts.pop("event", "")), facts)
