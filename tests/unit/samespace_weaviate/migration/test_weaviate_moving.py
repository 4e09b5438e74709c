"""The same space at another address: vectors are carried, nothing is encoded, and kills at any call change nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from fakes.weaviate.in_memory import FakeWeaviate, Killed
from samespace.errors import MigrationBlocked, RequestInvalid, WeaviateError
from samespace_weaviate import CollectionSpec, StoredObject, check_pin
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.migration import CopyPace, Migration, MigrationJournal, MigrationState, Migrator, Terms
from samespace_weaviate.migration.copying.by_name import WrittenByName
from samespace_weaviate.migration.moving import moved_schema, plan_move, plan_return, renamed_schema
from samespace_weaviate.migration.plan import Wanted, plan_migration, sentences
from samespace_weaviate.migration.progress import Wish
from samespace_weaviate.migration.refusals.unread import refuse_unread_tenants
from samespace_weaviate.pinning.adopted import Adoption
from samespace_weaviate.pinning.pin import Severity, read_pins

VECTOR = f"e_{SPACE[:12]}"
OBJECTS = 300  # more than one page
NEW = f"Articles_{SPACE[:12]}"


def row(number: float) -> Any:
    return np.array([np.cos(number), np.sin(number)], dtype=np.float32)


def record(number: int, angle: float | None = None) -> StoredObject:
    vectors = {VECTOR: row(number if angle is None else angle), "extra": row(2.0 * number)}
    return StoredObject(uuid.UUID(int=number * 2**100), {"text": f"text {number}", "tags": []}, vectors=vectors)


class World:
    """Articles leads to Article, whose second vector is not pinned; the module's answers are nearly those stored."""

    def __init__(self, folder: Path) -> None:
        self.path, self.door = folder / "journal", FakeWeaviate()
        schema = CollectionSpec("Article", SPACE, "http://old:1").schema()
        schema["vectorConfig"]["extra"] = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
        self.door.create(schema)
        self.door.point_alias("Articles", "Article")
        self.server_serves, self.off, self.wrong_part = True, 0.01, 1
        for name in ("Article", NEW):
            self.door.modules[name] = (VECTOR, self._encode)
        self.believed = {}
        for number in range(OBJECTS):
            self.client_writes(record(number))

    def _encode(self, text: str) -> Any:
        if not self.server_serves:
            raise WeaviateError("space is not served here")
        number = text.rpartition(" ")[2]
        if not number.isdigit():
            return row(0.5)
        return row(float(number) + (self.off if int(number) % self.wrong_part == 0 else 0.0))

    def client_writes(self, one: StoredObject) -> None:
        self.door.put("Articles", "", one)
        self.believed[one.uuid] = one

    def run(self, wish: Wish = "migrate", **terms: Any) -> MigrationState:
        time = Patience(clock=lambda: self.door.clock_ms / 1000, pause=self.door.pause)
        with MigrationJournal(self.path) as journal:
            journal.sync = lambda: None  # type: ignore[method-assign]
            if journal.progress.state is MigrationState.NEW:
                plan = plan_move("Articles", "m1", self.door.schemas, self.door.pointers)
                journal.note("planned", plan=plan.to_json())
            migration = Migration(**journal.progress.plan)
            old = self.door.schema(migration.old)
            schema = moved_schema(old, migration, "http://new:2") if old else None
            asked = Terms(CopyPace(patience=time), **terms)
            return Migrator(self.door, journal, schema=schema, terms=asked).run(wish)

    def check(self, name: str) -> None:
        """The alias is *name*, with what clients believe and just the vectors that they wrote."""
        assert self.door.pointers["Articles"] == name
        there = self.door.objects[name][""]
        assert {key: each.properties for key, each in there.items()} == {
            key: each.properties for key, each in self.believed.items()
        }
        for key, each in there.items():
            assert set(each.vectors) == {VECTOR, "extra"}
            assert all(np.array_equal(each.vectors[one], self.believed[key].vectors[one]) for one in each.vectors)


def killed_at(count: int) -> Callable[[str], None]:
    left = count

    def on_call(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    return on_call


def test_everything_is_carried_and_nothing_encoded(tmp_path: Path) -> None:
    """Both vectors, number by number; the pin is fine at its new address; the way back and the end work too."""
    world = World(tmp_path)
    assert world.run() is MigrationState.SETTLED
    world.check(NEW)
    schema = world.door.schema(NEW) or {}
    assert read_pins(schema)[0].url == f"http://new:2/e/{SPACE}"
    assert check_pin(schema, SPACE).worst is Severity.UNSAFE  # for the vector that is not pinned, as before
    world.client_writes(record(7, 0.25))
    assert world.run("rollback", force=False) is MigrationState.ROLLED_BACK
    world.check("Article")
    world.path.unlink()
    assert world.run() is MigrationState.SETTLED
    assert world.run("finish") is MigrationState.FINISHED
    world.check(NEW)
    assert 0 < world.door.module_calls <= 2 * 26  # the trial before each switch


def test_killed_at_any_call_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each single effect in turn, with a client that changes a vector alone in between."""
    monkeypatch.setattr("samespace_weaviate.migration.verification._MODULE_SPOTS", 1)  # each call is a run of its own
    count, reached = 0, True
    while reached:
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        world = World(folder)
        world.door.on_call = killed_at(count)
        try:
            world.run()
            reached = False
        except Killed:
            world.door.on_call = lambda name: None
            world.client_writes(record(3, 0.125))
            assert world.run() is MigrationState.SETTLED
        world.check(NEW)
    assert count > 10


@pytest.mark.parametrize("part", [1, 2])
def test_a_server_that_says_the_right_space_and_gives_other_vectors_is_not_switched_to(
    tmp_path: Path, part: int
) -> None:
    """A gateway, a bad build, another model behind the same path, for all texts or half of them: nothing else sees it
    before clients write."""
    world = World(tmp_path)
    world.off, world.wrong_part = 0.3, part
    with pytest.raises(MigrationBlocked, match=r"at its address gives \d+ other vectors \(1 - cos up to 0\.04"):
        world.run()
    assert world.door.pointers["Articles"] == "Article"
    assert len(world.door.objects[NEW][""]) == OBJECTS  # nothing of the trial stays
    world.off = 0.01
    assert world.run() is MigrationState.SETTLED


def test_vectors_that_clients_brought_do_not_stop_a_move(tmp_path: Path) -> None:
    """They are carried as they are, and told."""
    world, told = World(tmp_path), list[str]()
    for number in range(0, OBJECTS, 7):
        world.client_writes(record(number, angle=number + 1.0))
    assert world.run(tell=told.append) is MigrationState.SETTLED
    assert any("clients brought those vectors" in each for each in told)


def test_a_late_write_of_a_vector_alone_is_not_lost(tmp_path: Path) -> None:
    """Clients that bring their vectors write them by the old name: the text is the same in both collections."""
    world = World(tmp_path)
    world.run()
    world.door.put("Article", "", record(7, angle=3.0))
    with pytest.raises(MigrationBlocked, match="1 of its objects were written after the switch"):
        world.run("finish")
    assert "Article" in world.door.schemas


def test_a_server_of_another_space_stops_it_before_anything_is_copied(tmp_path: Path) -> None:
    """Weaviate has to have a text encoded at the new address, first of all."""
    world = World(tmp_path)
    world.server_serves = False
    with pytest.raises(MigrationBlocked, match="cannot have a text encoded"):
        world.run()
    assert world.door.pointers["Articles"] == "Article" and not world.door.objects[NEW][""]
    world.server_serves = True
    assert world.run() is MigrationState.SETTLED


def test_a_vector_that_does_not_arrive_as_it_was_is_not_switched_to(tmp_path: Path) -> None:
    """Content alone is not enough: an object whose vector Weaviate keeps otherwise is named."""
    world = World(tmp_path)
    put, bent = world.door.put, uuid.UUID(int=5 * 2**100)

    def bending(name: str, tenant: str, one: StoredObject) -> None:
        put(name, tenant, record(5, 0.75) if one.uuid == bent and name == NEW else one)

    world.door.put = bending  # type: ignore[method-assign]
    with pytest.raises(MigrationBlocked, match=f"1 of {OBJECTS} objects are not the same in both, the first {bent}"):
        world.run()
    assert world.door.pointers["Articles"] == "Article"


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    """The address that it has, no module, two spaces; and `migrate` to the same space says `move`."""
    world = World(tmp_path)
    schemas, aliases = world.door.schemas, world.door.pointers
    plan = plan_move("Articles", "m1", schemas, aliases)
    with pytest.raises(MigrationBlocked, match="already"):
        moved_schema(schemas["Article"], plan, "http://old:1")
    with pytest.raises(RequestInvalid):
        moved_schema(schemas["Article"], plan, "new:2")
    with pytest.raises(MigrationBlocked, match="samespace weaviate move"):
        plan_migration(Wanted("Articles", SPACE), "m1", schemas, aliases)
    two = dict(schemas["Article"]["vectorConfig"])
    two |= CollectionSpec("Article", OTHER_SPACE, "http://old:1").vectors()
    with pytest.raises(MigrationBlocked, match="--encoder"):
        plan_move("Articles", "m1", {"Article": {**schemas["Article"], "vectorConfig": two}}, aliases)
    assert (
        plan_move(
            "Articles", "m1", {"Article": {**schemas["Article"], "vectorConfig": two}}, aliases, space_id=OTHER_SPACE
        ).new_vector
        == f"e_{OTHER_SPACE[:12]}"
    )
    none = CollectionSpec("Article", SPACE, long_texts="multivector").schema()
    with pytest.raises(MigrationBlocked, match="no pin has an address"):
        plan_move("Articles", "m1", {"Article": none}, aliases)


def test_moved_again_it_gets_a_name_of_its_own(tmp_path: Path) -> None:
    """The name of the first copy is taken; descriptions do not pile up."""
    world = World(tmp_path)
    assert world.run() is MigrationState.SETTLED
    assert world.run("finish") is MigrationState.FINISHED
    again = plan_move("Articles", "m2", world.door.schemas, world.door.pointers)
    assert (again.old, again.new) == (NEW, f"{NEW}_2")
    description = moved_schema(world.door.schemas[NEW], again, "http://third:3")["description"]
    assert description.count("Copied by samespace") == 1 and "m2" in description


def test_the_way_back_to_the_old_name(tmp_path: Path) -> None:
    """`--keep-name`: the name is left free at the end, and a second copy goes there."""
    world = World(tmp_path)
    assert world.run() is MigrationState.SETTLED
    assert world.run("finish", keep_name=True) is MigrationState.FINISHED
    assert "Article" not in world.door.pointers
    with MigrationJournal(world.path) as journal:
        back = plan_return(Migration(**journal.progress.plan), "m2", {})
    assert (back.alias, back.old, back.new, back.makes_alias) == ("Articles", NEW, "Article", False)
    with MigrationJournal(tmp_path / "back") as journal:
        journal.note("planned", plan=back.to_json())
        schema = renamed_schema(world.door.schema(NEW) or {}, back)
        time = Patience(clock=lambda: world.door.clock_ms / 1000, pause=world.door.pause)
        driver = Migrator(world.door, journal, schema=schema, terms=Terms(CopyPace(patience=time)))
        assert driver.run("migrate") is MigrationState.SETTLED
        assert driver.run("finish") is MigrationState.FINISHED
    world.check("Article")
    assert read_pins(world.door.schema("Article") or {})[0].url == f"http://new:2/e/{SPACE}"


@pytest.mark.parametrize("change", ["a new object", "an old one", "nothing"])
@pytest.mark.parametrize("killed", [False, True])
def test_what_clients_write_by_the_old_name_while_it_is_made_again_is_kept(
    change: str, killed: bool, tmp_path: Path
) -> None:
    """Five objects were deleted and one was undone: "0 differ", "Finished". What they write by the alias is carried."""
    world = World(tmp_path)
    world.run()
    world.run("finish", keep_name=True)
    with MigrationJournal(world.path) as journal:
        back = plan_return(Migration(**journal.progress.plan), "m2", {})
    schema = renamed_schema(world.door.schema(NEW) or {}, back)
    theirs = {"a new object": record(5000), "an old one": replace(record(3), properties={"text": "text 4711"})}
    copied = iter(range(99))

    def on_call(name: str) -> None:
        if name == "after write" and "Article" in world.door.schemas and next(copied) == 2:
            world.door.clock_ms += 10_000
            world.client_writes(record(6000))
            world.door.clock_ms += 10_000
            if change in theirs:
                world.door.put("Article", "", theirs[change])
            if killed:
                raise Killed

    world.door.on_call = on_call

    def go() -> MigrationState:
        time = Patience(clock=lambda: world.door.clock_ms / 1000, pause=world.door.pause)
        with MigrationJournal(tmp_path / "back") as journal:
            if journal.progress.state is MigrationState.NEW:
                journal.note("planned", plan=back.to_json())
            terms = Terms(CopyPace(patience=time), by_name=WrittenByName())
            return Migrator(world.door, journal, schema=schema, terms=terms).run("migrate")

    if killed:
        with pytest.raises(Killed):
            go()
    if change == "nothing":
        assert go() is MigrationState.SETTLED
        world.check("Article")
        return
    with pytest.raises(MigrationBlocked, match="1 of its objects were written by its own name while it was made again"):
        go()
    assert world.door.objects["Article"][""][theirs[change].uuid].properties == theirs[change].properties
    world.client_writes(theirs[change])  # by the alias too, as it says
    assert go() is MigrationState.SETTLED
    world.check("Article")


def test_the_plan_says_what_an_alias_cannot_do_and_what_lives_longer(tmp_path: Path) -> None:
    """Tenants, properties and settings go by the collection's own name; times to live start anew, but not by a date."""
    world = World(tmp_path)
    world.door.pointers.clear()
    plan = plan_move("Article", "m1", world.door.schemas, {}, alias="Articles")
    told = " ".join(sentences(plan, [], world.door.schemas["Article"]))
    assert "--keep-name" in told and "nothing is encoded" in told and "expire" not in told
    lifetime = {"enabled": True, "deleteOn": "_creationTimeUnix", "defaultTtl": 3600}
    schema = {**world.door.schemas["Article"], "objectTtlConfig": lifetime}
    assert "expire 3600 s after _creationTimeUnix" in " ".join(sentences(plan, [], schema))
    schema["objectTtlConfig"] = {**lifetime, "deleteOn": "expires"}
    assert "expire" not in " ".join(sentences(plan, [], schema)).replace("expires", "")


@pytest.mark.parametrize("asleep", [(), ("cold",)])
def test_an_adopted_vector_is_not_renamed_over_tenants_that_nobody_read(asleep: tuple[str, ...]) -> None:
    """The name of the space would vouch for them; the audit of the copy passes over them too."""
    door = FakeWeaviate()
    schema = {"class": "Docs", "properties": [], "multiTenancyConfig": {"enabled": True}}
    door.schemas["Docs"] = schema | {"vectorConfig": {"default": {"vectorizer": {"none": {}}}}}
    door.status["Docs"] = {"hot": "HOT", **dict.fromkeys(asleep, "COLD")}
    found = Adoption("default", SPACE, {"properties": ["text"]})
    migration = plan_move("Docs", "m1", door.schemas, {}, alias="DocsAlias", found=found)
    if asleep:
        with pytest.raises(MigrationBlocked, match="1 tenant is not active, the first 'cold'"):
            refuse_unread_tenants(door, migration)  # type: ignore[arg-type]
    else:
        refuse_unread_tenants(door, migration)  # type: ignore[arg-type]
    door.status["Docs"]["colder"] = "COLD"
    refuse_unread_tenants(door, replace(migration, new_vector="default"))  # type: ignore[arg-type]
