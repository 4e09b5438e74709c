"""What was done, in a file that outlives it: append-only, one checked line a fact, on disk before the next.

A line is JSON with a number and a checksum. `append` returns when the line is on the disk (fsync), so whatever the
journal tells did happen; what happened last may not be told yet, which is why every step has to be one that can be done
twice. A line that a crash cut short is taken off when the file is opened; any other damage is an error, because a
journal that guesses would be worse than none. One process at a time holds the file (flock).

What the facts mean is left to its users: `importing.journal` and `migration.journal`.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from samespace.errors import DataInvalid, WeaviateError
from samespace.folders import disk_errors, whole_file

FORMAT: Final = 1


class JournalBusy(WeaviateError):
    """Another process holds the journal."""

    def __init__(self, *, path: str) -> None:
        self.path = path
        super().__init__(f"{path}: another process holds this journal; wait for it to end, or stop it")


class JournalFull(WeaviateError):
    """The disk did not take a line."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"{path}: the journal cannot be written ({reason}); make room and run the same command again: it goes on "
            "where the journal ends"
        )


class Journal:
    """The journal in *path*; made if it is not there. Close it, or use `with`.

    Args:
        path: of the file; only its owner may read it.
        read: gets each entry that is there, in order; what it raises keeps the journal from being opened.

    Raises:
        JournalBusy: another process holds it.
        DataInvalid: it is damaged, or no journal of this format.
        OutputFailed: it cannot be written there.
    """

    def __init__(self, path: Path | str, read: Callable[[Mapping[str, Any]], None] = lambda entry: None) -> None:
        self.path = Path(path)
        with disk_errors(self.path):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise JournalBusy(path=str(self.path)) from error
            self._lines, self._end = 0, 0
            for entry, end in _entries(self.path):
                read(entry)
                self._lines, self._end = self._lines + 1, end
            with disk_errors(self.path):
                os.ftruncate(self._file, self._end)  # a line that was cut short was never promised to anybody
        except BaseException:
            os.close(self._file)
            raise

    @staticmethod
    def anew(path: Path, entries: Sequence[Mapping[str, Any]]) -> Journal:
        """A journal of just these entries in place of whatever is at *path*, at once or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(b"".join(_sealed(number, entry) for number, entry in enumerate(entries)))
        return Journal(path)

    @property
    def lines(self) -> int:
        """How many entries there are."""
        return self._lines

    def append(self, entry: Mapping[str, Any]) -> None:
        """Note a fact, as a JSON object without "n", "at" and "format"; it is on the disk when this returns.

        Raises:
            JournalFull: the disk did not take it. Nothing of it is left in the file.
        """
        line = _sealed(self._lines, entry)
        try:
            self.put(line)
        except OSError as error:
            self._take_back()
            raise JournalFull(path=str(self.path), reason=error.strerror or str(error)) from error
        self._lines, self._end = self._lines + 1, self._end + len(line)

    def put(self, line: bytes) -> None:
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


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal that another process may hold; what a crash cut short is left out.

    Raises:
        DataInvalid: it is damaged, or no journal of this format.
    """
    return [entry for entry, _ in _entries(path)]


def is_journal(path: Path) -> bool:
    """Whether the file at *path* begins with a line of a journal, or is empty."""
    with path.open("rb") as file:
        first = file.readline()
    return not first or _opened(first) is not None


def _entries(path: Path) -> list[tuple[dict[str, Any], int]]:
    """Each entry, and where its line ends."""
    found: list[tuple[dict[str, Any], int]] = []
    end = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        entry = _opened(line)
        if entry is None or entry.pop("n", None) != number:
            if number == len(lines) - 1:
                break
            raise DataInvalid(path=f"{path}, line {number + 1}", reason="is damaged; a journal cannot be repaired")
        if number == 0 and entry.pop("format", None) != FORMAT:
            raise DataInvalid(path=str(path), reason=f"is not a journal of format {FORMAT}; upgrade samespace")
        entry.pop("at", None)
        end += len(line)
        found.append((entry, end))
    return found


def _sealed(number: int, entry: Mapping[str, Any]) -> bytes:
    whole = {"n": number, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
    if number == 0:
        whole["format"] = FORMAT
    text = json.dumps(whole, ensure_ascii=True, separators=(",", ":"))
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
