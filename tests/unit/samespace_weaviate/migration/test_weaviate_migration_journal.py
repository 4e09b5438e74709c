"""The journal of a migration: what a crash, a foreign hand or a second process does to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from samespace.errors import DataInvalid, MigrationBlocked
from samespace_weaviate.migration import MigrationJournal, MigrationState
from samespace_weaviate.migration.journal import read_progress

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "journals"
PLAN = {"id": "m1", "alias": "Articles"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of a migration that has copied up to an object."""
    made = tmp_path / "journal"
    with MigrationJournal(made) as journal:
        journal.note("planned", plan=PLAN)
        journal.note("created")
        journal.note("copied", tenant="", cursor="0f", objects=256)
    return made


def test_it_tells_what_was_noted(path: Path) -> None:
    """MigrationState, plan and cursor are there for the next process."""
    with MigrationJournal(path) as journal:
        found = journal.progress
    assert (found.state, found.plan, found.cursors, found.copied) == (MigrationState.COPYING, PLAN, {"": "0f"}, 256)


def test_a_journal_of_format_1_is_read(tmp_path: Path) -> None:
    """As a released version wrote it, byte for byte."""
    made = tmp_path / "journal"
    made.write_bytes((GOLDEN / "migration.format1.journal").read_bytes())
    assert read_progress(made) == MigrationJournal(made).progress
    found = read_progress(made)
    assert (found.state, found.plan, found.copied) == (MigrationState.COPYING, PLAN, 256)
    assert found.cursors == {"tenant ü": "00000000-0000-0000-0000-00000000000f"}


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_was_cut_short_is_taken_off(path: Path, cut: int) -> None:
    """It was never promised; what is noted next follows the last whole line."""
    path.write_bytes(path.read_bytes()[:-cut])
    with MigrationJournal(path) as journal:
        assert journal.progress.state is MigrationState.CREATED
        journal.note("copied", tenant="", cursor="0e", objects=1)
    with MigrationJournal(path) as journal:
        assert journal.progress.cursors == {"": "0e"}
    assert path.read_bytes().count(b"\n") == 3


def test_damage_in_the_middle_is_an_error(path: Path) -> None:
    """A journal that guesses would be worse than none."""
    text = bytearray(path.read_bytes())
    text[text.index(b"created")] ^= 1
    path.write_bytes(text)
    with pytest.raises(DataInvalid, match="line 2"):
        MigrationJournal(path)


def test_a_missing_line_is_an_error(path: Path) -> None:
    """Lines are numbered."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2] + lines[2])
    with pytest.raises(DataInvalid, match="line 2"):
        MigrationJournal(path)


def test_one_process_at_a_time(path: Path) -> None:
    """Two migrators of one collection would copy everything twice."""
    with MigrationJournal(path), pytest.raises(MigrationBlocked, match="another process"):
        MigrationJournal(path)
    MigrationJournal(path).close()


def test_an_event_that_cannot_come_is_an_error_and_is_not_written(path: Path) -> None:
    """Nothing is finished before it has settled."""
    before = path.read_bytes()
    with MigrationJournal(path) as journal, pytest.raises(DataInvalid, match="'finished' cannot come in state copying"):
        journal.note("finished")
    assert path.read_bytes() == before


def test_only_its_owner_may_read_it(path: Path) -> None:
    """It holds no texts, but names of tenants."""
    assert path.stat().st_mode & 0o077 == 0
