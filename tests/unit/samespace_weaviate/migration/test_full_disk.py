"""A disk that is full, or breaks once, at each line of a migration's journal: it goes on later, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.weaviate.migrating import NEW, OLD, Hasty, World
from samespace.errors import MigrationBlocked
from samespace_weaviate.access.journal import JournalFull
from samespace_weaviate.migration import MigrationState
from samespace_weaviate.migration.journal import MigrationJournal
from samespace_weaviate.migration.progress import Wish

TENANTS = {"hot": "HOT", "cold": "COLD"}
MOST = 80


def full_after(lines: int, *, once: bool) -> type[MigrationJournal]:
    """A journal whose disk takes so many lines, and half of the next one; *once*: further ones fit again."""
    left = lines

    class Full(Hasty):
        def put(self, line: bytes) -> None:
            nonlocal left
            left -= 1
            if left == -1 or (left < 0 and not once):
                super().put(line[: len(line) // 2])
                raise OSError(28, "No space left on device")
            super().put(line)

    return Full


@pytest.mark.parametrize("once", [False, True], ids=["full", "broken-once"])
def test_at_each_line_of_a_migration(tmp_path: Path, once: bool) -> None:
    """Then the whole command again, with room."""
    for lines in range(MOST):
        (tmp_path / str(lines)).mkdir()
        world = World(tmp_path / str(lines), tenants=TENANTS)
        try:
            whole = world.run(journal=full_after(lines, once=once)) is MigrationState.SETTLED
        except (MigrationBlocked, JournalFull) as error:
            assert "No space left" in str(error)
            whole = False
        assert world.run() is MigrationState.SETTLED
        world.check("Articles_bbbbbbbbbbbb", NEW)
        if whole:
            break
    assert 4 < lines < MOST - 1


@pytest.mark.parametrize("once", [False, True], ids=["full", "broken-once"])
@pytest.mark.parametrize("wish", ["rollback", "finish"])
def test_at_each_line_of_what_ends_it(tmp_path: Path, wish: Wish, once: bool) -> None:
    for lines in range(MOST):
        (tmp_path / str(lines)).mkdir()
        world = World(tmp_path / str(lines), tenants=TENANTS)
        world.run()
        done = MigrationState.ROLLED_BACK if wish == "rollback" else MigrationState.FINISHED
        try:
            whole = world.run(wish, journal=full_after(lines, once=once)) is done
        except (MigrationBlocked, JournalFull) as error:
            assert "No space left" in str(error)
            whole = False
        assert world.run(wish) is done
        if wish == "rollback":
            world.check("Article_old", OLD)
        else:
            world.check("Articles_bbbbbbbbbbbb", NEW)
            assert "Article_old" not in world.door.schemas
        if whole:
            break
    assert 1 < lines < MOST - 1
