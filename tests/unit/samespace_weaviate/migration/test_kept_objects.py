"""What an automatic way back keeps: nobody is there to say who made the new collection lack it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.weaviate.migrating import OBJECTS, OLD, World, record
from samespace.errors import GuardFailed
from samespace_weaviate.cutover.watch import Watched
from samespace_weaviate.migration import MigrationState
from samespace_weaviate.migration import session as sessions
from samespace_weaviate.migration.refusals.wishes import Asked

COPY = "Articles_bbbbbbbbbbbb"


@pytest.mark.parametrize("lost", [1, OBJECTS // 2])
def test_the_old_collection_keeps_what_the_new_one_lost(tmp_path: Path, lost: int) -> None:
    """4 of 100 were deleted from the last collection that had them; of more, readers were left on the new one."""
    world = World(tmp_path)
    world.run()
    world.client_writes("", record(5000))
    for number in range(lost):
        del world.door.objects[COPY][""][record(number).uuid]  # a lost disk, and no client
    told: list[str] = []
    assert world.run("rollback", encoder=None, keep_missing=True, tell=told.append) is MigrationState.ROLLED_BACK
    world.check("Article_old", OLD)
    assert any(f"{lost} of {OBJECTS} objects" in each and "They stay in Article_old" in each for each in told)


def test_a_tenant_that_the_new_collection_lost_is_kept_too(tmp_path: Path) -> None:
    world = World(tmp_path, tenants={"a": "HOT", "b": "HOT"})
    world.run()
    world.door.status[COPY].pop("b")
    world.door.objects[COPY].pop("b", None)
    assert world.run("rollback", encoder=None, keep_missing=True) is MigrationState.ROLLED_BACK
    world.check("Article_old", OLD)


@pytest.mark.parametrize("said", [False, True])
def test_a_watch_that_leads_back_deletes_nothing_unless_told_to(
    said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: dict[str, bool] = {}

    def go_on(database: Any, journal: Any, migration: Any, order: sessions.Order, *rest: Any) -> MigrationState:
        wishes[order.wish] = order.terms.keep_missing
        return MigrationState.SETTLED

    plan = World(tmp_path)
    plan.run()
    monkeypatch.setattr(sessions, "_go_on", go_on)
    migration: Any = type("M", (), {"alias": "A", "old": "Old", "new": "New"})()
    monkeypatch.setattr(sessions, "_take_up", lambda *arguments: (None, migration))
    terms = replace(sessions.Terms(), clients_deleted=said)
    order = sessions.Order(
        "migrate", Asked("A"), tmp_path / "journal", lambda: migration, lambda plan: None, None, terms,
        watch=lambda plan: Watched(3, 15.0, "the pin: another address"),
    )  # fmt: skip
    talk: Any = type("T", (), {"tell": lambda self, sentence: None})()
    with pytest.raises(GuardFailed):
        sessions.carry(None, order, talk)  # type: ignore[arg-type]
    assert wishes == {"migrate": False, "rollback": not said}
