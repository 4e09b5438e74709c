"""samespace_weaviate.access.journal: what a crash, a full disk, a foreign hand or a second process does to it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import DataInvalid, OutputFailed
from samespace_weaviate.access.journal import Journal, JournalBusy, JournalFull, is_journal, read_journal

FACTS = [{"event": "a", "text": "ü"}, {"event": "b", "list": [1, 2]}, {"event": "c"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of three facts."""
    made = tmp_path / "journal"
    with Journal(made) as journal:
        for fact in FACTS:
            journal.append(fact)
    return made


def test_facts_come_back_in_order(path: Path) -> None:
    """To whoever opens it and to whoever only reads; without what the file adds."""
    seen: list[Any] = []
    with Journal(path, seen.append) as journal:
        assert journal.lines == 3
    assert seen == read_journal(path) == FACTS


def test_a_fact_is_on_the_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told did happen, also after the power fails."""
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr("os.fsync", lambda file: (synced.append(os.fstat(file).st_size), fsync(file))[1])
    with Journal(tmp_path / "journal") as journal:
        for count, fact in enumerate(FACTS, start=1):
            journal.append(fact)
            assert len(synced) == count
            assert synced[-1] == (tmp_path / "journal").stat().st_size


def test_a_cut_anywhere_leaves_whole_facts(path: Path) -> None:
    """Whatever is left of the last line is taken off, and the next fact follows the last whole one."""
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends)
        assert read_journal(path) == FACTS[:kept]
        with Journal(path) as journal:
            journal.append({"event": "new"})
        assert read_journal(path) == [*FACTS[:kept], {"event": "new"}]


def test_any_other_damage_is_an_error(path: Path) -> None:
    """One flipped bit in the middle, a line that is missing or twice, another format."""
    whole = path.read_bytes()
    first, second, third = whole.splitlines(keepends=True)
    for damaged in (
        whole.replace(b'"b"', b'"B"'),
        first + third + third,
        first + first + third,
        second + third,
        b"my notes\nand more\n",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataInvalid, match="line"):
            Journal(path)
        assert path.read_bytes() == damaged
    assert not is_journal(path)


def test_a_full_disk_takes_nothing_back_that_was_told(path: Path) -> None:
    """Half of a line still fits: it is taken off again, and with room the next fact follows."""

    class Full(Journal):
        def put(self, line: bytes) -> None:
            super().put(line[: len(line) // 2])
            raise OSError(28, "No space left on device")

    before = path.read_bytes()
    with Full(path) as journal, pytest.raises(JournalFull, match="No space left"):
        journal.append({"event": "d"})
    assert path.read_bytes() == before


def test_one_process_holds_it(path: Path) -> None:
    """Two would tell different stories; reading is free."""
    with Journal(path):
        with pytest.raises(JournalBusy, match="another process"):
            Journal(path)
        assert read_journal(path) == FACTS
    Journal(path).close()
    assert path.stat().st_mode & 0o077 == 0


def test_what_its_user_does_not_believe_keeps_it_shut_and_whole(path: Path) -> None:
    """An entry that cannot be is its user's to say; the file is let go."""

    def doubt(entry: Any) -> None:
        raise DataInvalid(path="journal", reason="cannot be")

    before = path.read_bytes()
    with pytest.raises(DataInvalid, match="cannot be"):
        Journal(path, doubt)
    assert path.read_bytes() == before
    Journal(path).close()


def test_one_that_begins_anew_replaces_the_old_one_at_once(path: Path) -> None:
    """With just its entries; and goes on from there."""
    with Journal.anew(path, FACTS[1:]) as journal:
        journal.append(FACTS[0])
    assert read_journal(path) == [*FACTS[1:], FACTS[0]]


@pytest.mark.parametrize("call", ["open", "ftruncate"])
def test_a_disk_that_takes_no_journal_is_one_error(path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only disk, say; and what the journal told is there afterwards."""
    before = path.read_bytes()

    def fails(*_: Any) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fails)
        with pytest.raises(OutputFailed, match="Read-only file system; name an output"):
            Journal(path)
    assert path.read_bytes() == before
    with Journal(path) as journal:
        assert journal.lines == len(FACTS)
