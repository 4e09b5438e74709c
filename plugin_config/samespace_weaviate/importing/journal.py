"""Which batches of an import are finished, in a file, so that an import that was killed goes on where it was.

The first entry says what is imported where: collection, space, and the options on which batches depend. Each further
one is a finished batch with the digest of its input, noted after Weaviate has answered for all its objects (the file
itself: `access.journal`). Whatever a kill leaves out is done again, which changes nothing, because ids come from the
passages. A batch whose input has changed does not count. A journal of another import is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from samespace.errors import DataInvalid
from samespace.folders import whole_file

from ..access.journal import Journal, is_journal, read_journal
from ..access.values import Failure

_MARK: Final = "samespaceImport"
_PLAIN, _FORMAT = 1, 2  # plain lines, which are still read; the checked lines of `access.journal`


@dataclass(frozen=True, slots=True)
class FinishedBatch:
    """One finished batch.

    Attributes:
        number: of the batch.
        digest: of its passages.
        failed: ids of the passages that were not written.
    """

    number: int
    digest: str
    failed: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportJournal:
    """What is finished of an import; `open` reads it, and `begin` makes it a file that `note` adds to."""

    path: Path
    key: Mapping[str, Any]
    finished: dict[int, FinishedBatch] = field(default_factory=dict)
    _file: Journal | None = None

    @staticmethod
    def open(path: Path, key: Mapping[str, Any]) -> ImportJournal:
        """The journal at *path* as far as it is of the import that *key* describes; else an empty one, not yet written.

        Raises:
            DataInvalid: there is another kind of file at *path*, or the journal is damaged in the middle.
        """
        journal = ImportJournal(path, dict(key))
        if not path.exists() or not path.stat().st_size:
            return journal
        header, *entries = _read(path) or [{}]
        if header.get(_MARK) not in (_PLAIN, _FORMAT) or header.get("key") != journal.key:
            return journal
        for entry in entries:
            done = _finished(entry)
            journal.finished[done.number] = done
        return journal

    def begin(self) -> None:
        """Write the file anew, with what was read and still counts, and keep it open.

        Raises:
            JournalBusy: another import holds it.
        """
        header = {_MARK: _FORMAT, "key": self.key}
        with ExitStack() as held:
            if self.path.exists() and is_journal(self.path):
                held.enter_context(Journal(self.path))  # of another import, it is not replaced under its feet
            self._file = Journal.anew(self.path, [header, *map(_entry, self.finished.values())])

    def has(self, number: int, digest: str) -> FinishedBatch | None:
        """The batch, if it is finished with just this input."""
        done = self.finished.get(number)
        return done if done is not None and done.digest == digest else None

    def note(self, done: FinishedBatch) -> None:
        """Note a finished batch; it is on the disk when this returns.

        Raises:
            JournalFull: the disk did not take it.
        """
        assert self._file is not None, "begin comes first"
        self._file.append(_entry(done))
        self.finished[done.number] = done

    def close(self) -> None:
        """Let go of the file; it stays for the next run."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Nothing is left to do: a journal that stayed would keep the next import from writing."""
        self.close()
        self.path.unlink(missing_ok=True)


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """One JSON object a line: id, reason and, where there is one, tenant; never a text. No failures, no file."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = []
    for failure in failures:
        tenant = {"tenant": failure.tenant} if failure.tenant else {}
        lines.append(json.dumps({"id": failure.passage, "reason": failure.reason, **tenant}, ensure_ascii=False))
    write_whole(path, "\n".join(lines) + "\n")


def read_failed_ids(path: Path) -> frozenset[str]:
    """The ids in a file that `write_failures` wrote.

    Raises:
        DataInvalid: it is not such a file.
    """
    if not path.is_file():
        raise DataInvalid(path=str(path), reason="no such file; expected the failures of an import")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        entry = _json(line.encode())
        if entry is None or not isinstance(entry.get("id"), str):
            raise DataInvalid(path=f"{path}, line {number}", reason='expected {"id": ..., "reason": ...}')
        found.append(entry["id"])
    return frozenset(found)


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, or leave the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def _read(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal in either format."""
    if is_journal(path):
        return read_journal(path)
    first, *lines = path.read_bytes().split(b"\n")[:-1] or [b""]  # what follows the last newline is torn
    header = _json(first)
    if first and (header is None or _MARK not in header):
        raise DataInvalid(
            path=str(path),
            reason="is not the journal of an import; choose another --state, or, if it was one that got damaged, "
            "remove it: everything is imported again then, under the same ids",
        )
    return [header or {}, *(entry for entry in map(_json, lines) if entry is not None)]


def _entry(done: FinishedBatch) -> dict[str, Any]:
    return {"batch": done.number, "digest": done.digest, "failed": done.failed}


def _finished(entry: Mapping[str, Any]) -> FinishedBatch:
    return FinishedBatch(number=int(entry["batch"]), digest=str(entry["digest"]), failed=tuple(entry["failed"]))


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
