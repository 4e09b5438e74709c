"""A journal that is used on another Weaviate than its own: nothing is changed there or noted, and nothing said gone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.weaviate.database import OTHER_SPACE
from fakes.weaviate.in_memory import FakeWeaviate, Killed
from fakes.weaviate.migrating import OLD, World
from samespace.errors import MigrationBlocked
from samespace_weaviate.migration import Migration, MigrationJournal, MigrationState, Terms
from samespace_weaviate.migration import session as sessions
from samespace_weaviate.migration.journal import read_progress
from samespace_weaviate.migration.progress import Wish
from samespace_weaviate.migration.refusals.wishes import Asked

COPY = f"Articles_{OTHER_SPACE[:12]}"
TENANTS = {"a": "HOT", "b": "COLD"}


def empty() -> FakeWeaviate:
    return FakeWeaviate()


def without_the_alias(world: World) -> FakeWeaviate:
    other = FakeWeaviate()
    other.create(copy.deepcopy(world.door.schemas["Article_old"]))
    return other


def with_the_alias_elsewhere(world: World) -> FakeWeaviate:
    other = without_the_alias(world)
    other.create({"class": "Other"})
    other.point_alias("Articles", "Other")
    return other


def twin(world: World) -> FakeWeaviate:
    """The same names, such as a staging system's; no copy was begun there."""
    other = without_the_alias(world)
    other.point_alias("Articles", "Article_old")
    return other


def killed(world: World, state: MigrationState, wish: Wish = "migrate") -> None:
    """Run it until the journal is in that state, and no further."""

    def on_call(name: str) -> None:
        if world.path.exists() and read_progress(world.path).state is state:
            raise Killed

    world.door.on_call = on_call
    with pytest.raises(Killed):
        world.run(wish)
    world.door.on_call = lambda name: None
    assert read_progress(world.path).state is state


BEFORE = [MigrationState.CREATED, MigrationState.COPYING, MigrationState.CATCHING_UP, MigrationState.VERIFIED]
OTHERS: dict[str, Callable[[World], FakeWeaviate]] = {
    "empty": lambda world: empty(),
    "no alias": without_the_alias,
    "alias elsewhere": with_the_alias_elsewhere,
    "twin": twin,
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("state", BEFORE)
@pytest.mark.parametrize("wish", ["migrate", "rollback", "finish"])
def test_before_the_switch_nothing_is_done_on_another_weaviate(
    tmp_path: Path, state: MigrationState, other: str, wish: Wish
) -> None:
    """Nor noted, of tenants that were woken either; on its own Weaviate the way back deletes the copy."""
    world = World(tmp_path, tenants=TENANTS)
    killed(world, state)
    before, own, told = world.path.read_bytes(), world.door, list[str]()
    world.door = OTHERS[other](world)
    schemas = copy.deepcopy(world.door.schemas)
    with pytest.raises(MigrationBlocked, match=r"is this the Weaviate that|run the command without --finish"):
        world.run(wish, tell=told.append)
    assert (world.path.read_bytes(), world.door.schemas, told) == (before, schemas, [])
    world.door = own
    assert world.run("rollback", encoder=None, tell=told.append) is MigrationState.ROLLED_BACK
    assert told == [f"Rolled back: Articles is Article_old, {COPY} is gone."]
    assert list(own.schemas) == ["Article_old"]
    world.check("Article_old", OLD)


@pytest.mark.parametrize("other", ["empty", "no alias", "alias elsewhere"])
@pytest.mark.parametrize("state", [MigrationState.PLANNED, MigrationState.DISCARDING])
def test_nor_where_the_copy_may_or_may_not_be_there(tmp_path: Path, state: MigrationState, other: str) -> None:
    """Its first call was under way, or its last."""
    world = World(tmp_path)
    if state is MigrationState.DISCARDING:
        killed(world, MigrationState.COPYING)
    killed(world, state, "rollback" if state is MigrationState.DISCARDING else "migrate")
    before, world.door = world.path.read_bytes(), OTHERS[other](world)
    with pytest.raises(MigrationBlocked, match="is this the Weaviate that"):
        world.run("rollback", encoder=None)
    assert world.path.read_bytes() == before


def test_on_a_twin_it_is_said_what_was_not_there_and_its_own_weaviate_is_cleared_later(tmp_path: Path) -> None:
    """A twin cannot be told from a copy that was just deleted; the journal that ended there is no dead end."""
    world = World(tmp_path)
    killed(world, MigrationState.COPYING)
    killed(world, MigrationState.DISCARDING, "rollback")
    own, told = world.door, list[str]()
    world.door = twin(world)
    assert world.run("rollback", encoder=None, tell=told.append) is MigrationState.ROLLED_BACK
    assert told == [f"Rolled back: Articles is Article_old, {COPY} was not there."]
    world.door = own
    assert world.run("rollback", encoder=None, tell=told.append) is MigrationState.ROLLED_BACK
    assert told[1:] == [f"{COPY} was still there, and is gone now."]
    assert list(own.schemas) == ["Article_old"]
    world.path.unlink()
    assert world.run() is MigrationState.SETTLED


@pytest.mark.parametrize("what", ["of another migration", "served", "the only copy"])
def test_a_journal_that_is_rolled_back_deletes_nothing_else(tmp_path: Path, what: str) -> None:
    """A copy that a later migration made, that an alias leads to, or whose original is gone."""
    world = World(tmp_path)
    killed(world, MigrationState.COPYING)
    left = copy.deepcopy(world.door.schemas[COPY])
    world.run("rollback", encoder=None)
    if what == "of another migration":
        left["description"] = left["description"].replace("migration m1", "migration m2")
    world.door.create(left)
    if what == "served":
        world.door.point_alias("Mine", COPY)
    if what == "the only copy":
        world.door.delete_collection("Article_old")
    if what == "of another migration":
        assert world.run("rollback", encoder=None) is MigrationState.ROLLED_BACK
    else:
        with pytest.raises(MigrationBlocked, match=r"Mine point to it|may be the only copy"):
            world.run("rollback", encoder=None)
    assert COPY in world.door.schemas


@pytest.mark.parametrize("gone", ["copy", "everything"])
def test_a_person_can_end_it_where_collections_are_gone_for_good(tmp_path: Path, gone: str) -> None:
    """With --force; only what is seen is said."""
    world, told = World(tmp_path), list[str]()
    killed(world, MigrationState.COPYING)
    if gone == "copy":
        world.door.delete_collection(COPY)
    else:
        world.door = empty()
    with pytest.raises(MigrationBlocked, match="--rollback --force"):
        world.run("rollback", encoder=None)
    assert world.run("rollback", encoder=None, force=True, tell=told.append) is MigrationState.ROLLED_BACK
    leads = "Articles is Article_old" if gone == "copy" else "there is no alias Articles"
    assert told == [f"Rolled back: {leads}, {COPY} was not there."]


AFTER: list[tuple[MigrationState, Wish]] = [
    (MigrationState.SWITCHING, "migrate"),
    (MigrationState.SWITCHED, "migrate"),
    (MigrationState.RETURNING, "rollback"),
    (MigrationState.UNSWITCHING, "rollback"),
    (MigrationState.UNSWITCHED, "rollback"),
]


@pytest.mark.parametrize("other", ["empty", "twin"])
@pytest.mark.parametrize(("state", "by"), AFTER)
@pytest.mark.parametrize("wish", ["migrate", "rollback", "finish"])
def test_nor_around_the_switch_and_on_the_way_back(
    tmp_path: Path, state: MigrationState, by: Wish, other: str, wish: Wish
) -> None:
    world = World(tmp_path)
    if by == "rollback":
        world.run()
    killed(world, state, by)
    before, world.door = world.path.read_bytes(), OTHERS[other](world)
    schemas = copy.deepcopy(world.door.schemas)
    with pytest.raises(MigrationBlocked, match=r"is this the Weaviate that|complete it with --rollback"):
        world.run(wish)
    assert (world.path.read_bytes(), world.door.schemas) == (before, schemas)


class _Nobody:
    """Nobody is asked."""

    def tell(self, sentence: str) -> None:
        pass

    def agree(self, question: str) -> None:
        raise AssertionError

    def progress(self, label: str, total: int) -> Any:
        return ExitStack()


@pytest.mark.parametrize(
    ("other", "keep_name"),
    [(other, keep) for other in OTHERS for keep in (True, False) if keep or other != "twin"],  # as after a copy back
)
def test_nor_where_it_is_finished_and_a_copy_back_to_the_old_name_follows(
    tmp_path: Path, other: str, keep_name: bool
) -> None:
    """`--finish --keep-name`, and `--finish` once more."""
    world = World(tmp_path)
    world.run()
    beside = tmp_path / "journal.keep-name"
    if not keep_name:
        beside.touch()
    others = OTHERS[other](world)
    world.run("finish")
    with MigrationJournal(world.path) as journal:
        migration = Migration(**journal.progress.plan)
    order = sessions.Order(
        "finish", Asked("Articles"), world.path, lambda: migration, lambda migration: None, None,
        Terms(keep_name=keep_name), yes=True,
    )  # fmt: skip
    before, schemas = world.path.read_bytes(), copy.deepcopy(others.schemas)
    with pytest.raises(MigrationBlocked, match="is this the Weaviate that"):
        sessions.carry(others, order, _Nobody())  # type: ignore[arg-type]
    assert (world.path.read_bytes(), others.schemas) == (before, schemas)
    assert not beside.exists() or not beside.read_bytes()


@pytest.mark.parametrize("wish", ["migrate", "finish"])
def test_a_copy_back_that_was_broken_off_is_not_called_finished(tmp_path: Path, wish: Wish) -> None:
    """`--finish` without --keep-name said "is finished", exit code 0, beside a copy that nobody keeps up to date."""
    world = World(tmp_path)
    world.run()
    world.run("finish")
    with MigrationJournal(world.path) as journal:
        migration = Migration(**journal.progress.plan)
    with MigrationJournal(tmp_path / "journal.keep-name") as beside:
        beside.note("planned", plan=migration.to_json())
        beside.note("created")
    order = sessions.Order(
        wish, Asked("Articles"), world.path, lambda: migration, lambda migration: None, None, Terms(), yes=True
    )
    with pytest.raises(MigrationBlocked, match=r"is not finished, it is .*--finish --keep-name"):
        sessions.carry(world.door, order, _Nobody())  # type: ignore[arg-type]
