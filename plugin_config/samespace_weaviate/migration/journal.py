"""What a migration has done, in a file that outlives it: append-only, one checked line a fact, on disk before the next.

A line is JSON with a number and a checksum. `append` returns when the line is on the disk (fsync), so whatever the
journal tells did happen; what happened last may not be told yet, which is why every step can be done twice. A line
that a crash cut short is taken off when the file is opened; any other damage is an error, because a journal that
guesses would be worse than none. One process at a time holds the file (flock).

What it gives up: texts, vectors and addresses are never in it; it cannot be used to rebuild a collection.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from samespace.errors import DataInvalid, MigrationBlocked

from .progress import Progress, advance

FORMAT: Final = 1


class Journal:
    """The journal in *path*, and the progress that it tells; made if it is not there. Close it, or use `with`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise MigrationBlocked(
                    collection=str(self.path),
                    reason="another process holds this journal",
                    remedy="wait for it to end, or stop it",
                ) from error
            self.progress, self._lines, self._end = _read(self.path)
            os.ftruncate(self._file, self._end)  # a line that was cut short was never promised to anybody
        except BaseException:
            os.close(self._file)
            raise

    def append(self, event: str, **facts: Any) -> Progress:
        """Note a fact; it is on the disk when this returns.

        Raises:
            MigrationBlocked: the disk did not take it. Nothing of it is left in the file.
        """
        progress = advance(self.progress, event, facts)
        entry = {"n": self._lines, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        if self._lines == 0:
            entry["format"] = FORMAT
        line = _sealed(entry)
        try:
            self.write(line)
        except OSError as error:
            self._take_back()
            raise MigrationBlocked(
                collection=str(self.path),
                reason=f"the journal cannot be written ({error.strerror or error})",
                remedy="make room and run the same command again: it goes on where the journal ends",
            ) from error
        self._lines, self._end, self.progress = self._lines + 1, self._end + len(line), progress
        return progress

    def write(self, line: bytes) -> None:
        """Put *line* at the end of the file, and wait for the disk."""
        os.lseek(self._file, self._end, os.SEEK_SET)
        written = 0
        while written < len(line):
            written += os.write(self._file, line[written:])
        self.sync()

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file; another process may have it now."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            return  # what is left of the line has no valid checksum, and is taken off when the file is opened next


def _read(path: Path) -> tuple[Progress, int, int]:
    """(the progress that the lines tell, how many there are, where the last one ends)."""
    progress, number, end = Progress(), 0, 0
    lines = path.read_bytes().splitlines(keepends=True)
    for line in lines:
        entry = _opened(line)
        if entry is None or entry.pop("n", None) != number:
            if number == len(lines) - 1:
                break
            raise DataInvalid(path=f"{path}, line {number + 1}", reason="is damaged; a journal cannot be repaired")
        if number == 0 and entry.pop("format", None) != FORMAT:
            raise DataInvalid(path=str(path), reason=f"is not a journal of format {FORMAT}; upgrade samespace")
        entry.pop("at", None)
        progress = advance(progress, str(entry.pop("event", "")), entry)
        number, end = number + 1, end + len(line)
    return progress, number, end


def _sealed(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, ensure_ascii=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def _opened(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None where the line is not whole."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    checksum, text = line[:8], line[9:-1]
    if checksum != f"{zlib.crc32(text):08x}".encode():
        return None
    entry = json.loads(text)
    return entry if isinstance(entry, dict) else None
