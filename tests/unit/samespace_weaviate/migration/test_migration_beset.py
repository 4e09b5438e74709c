"""What other people, clocks and backups do to a migration: nothing is lost in silence, and nothing comes back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.weaviate.in_memory import FakeWeaviate, Killed
from fakes.weaviate.migrating import NEW, OBJECTS, OLD, World, record
from samespace.errors import MigrationBlocked, WeaviateUnavailable
from samespace_weaviate.access.values import Failure
from samespace_weaviate.migration.compare import changed_settings, settings_of
from samespace_weaviate.migration.plan import Migration
from samespace_weaviate.migration.refusals.aliases import refuse_other_copies

COPY = "Articles_bbbbbbbbbbbb"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stop_at(world: World, call: str, times: int = 1) -> None:
    """Kill the process at a call of that name."""
    left = times

    def on_call(name: str) -> None:
        nonlocal left
        left -= name == call
        if left == 0 and name == call:
            world.door.on_call = lambda other: None
            raise Killed(name)

    world.door.on_call = on_call


# -- where the alias leads


@pytest.mark.parametrize("call", ["after write", "after create"])
def test_a_journal_that_is_older_than_the_truth_undoes_nothing(world: World, call: str) -> None:
    """Restored from a backup: what clients wrote to the served collection since would be deleted as a stranger's."""
    stop_at(world, call)
    with pytest.raises(Killed):
        world.run()
    kept = world.path.with_suffix(".backup")
    shutil.copy(world.path, kept)
    world.run()
    for number in range(5000, 5040):
        world.client_writes("", record(number))
    world.client_deletes("", record(7).uuid)
    shutil.copy(kept, world.path)
    with pytest.raises(MigrationBlocked, match=r"points to Articles_bb.*nothing was changed.*this journal is older"):
        world.run()
    world.check(COPY, NEW)


def test_somebody_who_moves_the_alias_early_loses_nothing(world: World) -> None:
    """What clients wrote through it meanwhile is in the copy alone, and stays."""
    rounds = 0

    def early(name: str) -> None:
        nonlocal rounds
        rounds += name == "after write"
        if rounds == 2 and name == "after write":
            world.door.pointers["Articles"] = COPY
            for number in range(5000, 5010):
                world.door.put(COPY, "", record(number))

    world.door.on_call = early
    with pytest.raises(MigrationBlocked, match="either somebody moved it"):
        world.run()
    there = world.door.objects[COPY][""]
    assert all(record(number).uuid in there for number in range(5000, 5010))


def test_the_alias_is_asked_for_right_before_it_is_moved(world: World) -> None:
    """Another operator switched while the last round was made: the switch is theirs."""
    world.door.schemas["Elsewhere"] = {"class": "Elsewhere"}
    noted: list[str] = []
    point = world.door.alias_target

    def asked(alias: str) -> str:
        noted.append(alias)
        if '"switching"' in world.path.read_text(encoding="utf-8"):
            world.door.pointers["Articles"] = "Elsewhere"
        return point(alias)

    world.door.alias_target = asked  # type: ignore[method-assign]
    with pytest.raises(MigrationBlocked, match="the alias points to Elsewhere"):
        world.run()
    assert world.door.pointers["Articles"] == "Elsewhere"


def test_two_migrations_of_one_collection_do_not_meet() -> None:
    """The copy of one that is not over is named; one that another alias serves is a collection of its own."""
    mine = Migration("m2", "A", False, "Old", "A_2", "e_1", "e_2", "1", "2", "text", False)
    schemas = {"Old": {}, "A_1": {"description": "Pinned. Copied by samespace, migration m1, from Old."}}
    with pytest.raises(MigrationBlocked, match="A_1 is a copy of it, made by migration m1, which is not over"):
        refuse_other_copies(mine, schemas, {"A": "Old"})
    refuse_other_copies(mine, schemas, {"A": "Old", "Others": "A_1"})
    refuse_other_copies(mine, {"A_2": {"description": mine.mark}}, {})
    other = {"A_1": {"description": "Copied by samespace, migration m1, from Older."}}
    refuse_other_copies(mine, other, {})


def test_two_operators_who_plan_at_the_same_time_are_told_when_the_copies_are_made(world: World) -> None:
    create = world.door.create

    def both(schema: Any) -> None:
        create(schema)
        create(
            {"class": "Articles_cccccccccccc", "description": "Copied by samespace, migration m9, from Article_old."}
        )

    world.door.create = both  # type: ignore[method-assign]
    with pytest.raises(MigrationBlocked, match="migration m9, which is not over"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"


def test_an_alias_that_somebody_made_meanwhile_is_theirs(tmp_path: Path) -> None:
    """While a person thought about the plan, or the journal lay about for days."""
    world = World(tmp_path, named=False)
    create = world.door.create

    def meanwhile(schema: Any) -> None:
        create(schema)
        create({"class": "Others"})
        world.door.pointers["Articles"] = "Others"

    world.door.create = meanwhile  # type: ignore[method-assign]
    with pytest.raises(MigrationBlocked, match="somebody made it meanwhile: it points to Others"):
        world.run()
    assert world.door.pointers["Articles"] == "Others"


# -- clocks


@pytest.mark.parametrize("ahead_ms", [-60_000, 20_000])
def test_the_date_of_a_proxy_is_no_clock(world: World, ahead_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are compared by Weaviate's own stamps; a proxy that is ahead cost acknowledged writes, one behind
    brought deletions back."""
    monkeypatch.setattr(FakeWeaviate, "now_ms", lambda self: (self.clock_ms + ahead_ms) // 1000 * 1000)
    number = 5000

    def client(name: str) -> None:
        nonlocal number
        if number < 5300 and name in ("after point_alias", "page", "before delete"):
            world.client_writes("", record(number))
            world.client_deletes("", record(number - 4990).uuid)
            number += 1

    world.door.on_call = client
    world.run()
    world.door.on_call = lambda name: None
    world.check(COPY, NEW)


@pytest.mark.parametrize("ahead_ms", [30_000, -30_000])
def test_a_node_whose_clock_is_wrong_stops_the_switch(world: World, ahead_ms: int) -> None:
    """Clients write by it, and their objects would look older than what was carried."""

    class Ahead:
        def __init__(self) -> None:
            self.own = world.door.of_tenant("")

        def of_tenant(self, tenant: str) -> Ahead:
            return self

        def get(self, name: str, uuid: Any) -> Any:
            found = self.own.get(name, uuid)
            return replace(found, updated_ms=found.updated_ms + ahead_ms)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.own, name)

    world.door.each_node = lambda: {"http://node3": Ahead()}  # type: ignore[assignment, return-value, dict-item]
    with pytest.raises(
        MigrationBlocked, match=r"the clock of http://node3 is (30|29)\.\d s (ahead|behind).*2 s are allowed"
    ):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"


def test_a_slow_line_is_no_wrong_clock(world: World) -> None:
    """Each question takes a second: five of them are no difference of clocks."""

    class Far:
        def __init__(self) -> None:
            self.own = world.door.of_tenant("")

        def of_tenant(self, tenant: str) -> Far:
            return self

        def __getattr__(self, name: str) -> Any:
            world.door.pause(3)
            return getattr(self.own, name)

    world.door.each_node = lambda: {f"http://node{n}": Far() for n in (1, 2, 3)}  # type: ignore[assignment, return-value, dict-item, misc]
    world.run()
    world.check(COPY, NEW)


@pytest.mark.parametrize("wish", ["migrate", "rollback"])
def test_a_collection_that_takes_no_object_of_ours_does_not_stop_it(world: World, wish: Any) -> None:
    """The old one is read-only, or empty and its encoder gone: its clock is not needed once the alias has moved."""
    old = "Article_old" if wish == "migrate" else COPY
    world.run() if wish == "rollback" else None
    write = world.door.of_tenant("").write

    def refusing(tenant: str, name: str, objects: Any) -> Any:
        if name == old and not objects[0].properties:
            return [Failure(objects[0].uuid, "store is read-only due to: manually set by user")]
        return write(name, objects)

    world.door._write = refusing  # type: ignore[method-assign, assignment]
    world.run(wish)
    world.check(*((COPY, NEW) if wish == "migrate" else ("Article_old", OLD)))


def test_a_tenant_deleted_while_the_last_round_is_made_does_not_live_on(tmp_path: Path) -> None:
    """Before the switch the old name is the only way to delete a customer."""
    world = World(tmp_path, tenants={"a": "HOT", "b": "HOT", "c": "HOT"})

    def on_call(name: str) -> None:
        if '"verified"' in world.path.read_text(encoding="utf-8") and "c" in world.door.status["Article_old"]:
            world.door.status["Article_old"].pop("c")
            world.door.objects["Article_old"].pop("c", None)

    world.door.on_call = on_call
    world.run()
    del world.tenants["c"], world.believed["c"]
    world.check(COPY, NEW)
    assert "c" not in world.door.status[COPY]


def test_a_clock_that_goes_back_deletes_nothing(world: World) -> None:
    """What clients write after the switch would look as if it had been carried, and been deleted in the source."""

    def back(name: str) -> None:
        if name == "after point_alias":
            world.door.clock_ms -= 3_600_000
            for number in range(5000, 5010):
                world.client_writes("", record(number))

    world.door.on_call = back
    with pytest.raises(MigrationBlocked, match="clock went back"):
        world.run()
    world.door.on_call = lambda name: None
    world.check(COPY, NEW)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_stamp_of_the_future_stops_the_switch(world: World, side: str) -> None:
    """A node's clock was ahead once, and is right now: whatever clients do to that object would look older."""

    def stamped(name: str) -> None:
        if side == "target" and COPY not in world.door.objects:
            return
        there = world.door.objects[COPY if side == "target" else "Article_old"][""]
        if record(3).uuid in there:
            there[record(3).uuid] = replace(there[record(3).uuid], updated_ms=world.door.clock_ms + 3_600_000)

    world.door.on_call = stamped
    with pytest.raises(MigrationBlocked, match=rf"object {record(3).uuid}, the newest, .* 3[56]\d\d s from now"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"


def test_a_way_back_from_stamps_of_the_future_can_be_forced(world: World) -> None:
    """By then the journal says that it goes back, so no other way is open."""
    world.run()

    def ahead(name: str) -> None:
        if COPY in world.door.objects:
            there = world.door.objects[COPY][""]
            there[record(3).uuid] = replace(there[record(3).uuid], updated_ms=world.door.clock_ms + 3_600_000)

    world.door.on_call = ahead
    with pytest.raises(MigrationBlocked, match=r"the newest, was last written.*--force"):
        world.run("rollback")
    world.run("rollback", force=True)
    assert world.door.pointers["Articles"] == "Article_old"


def test_a_stamp_that_is_ahead_hides_no_late_write(world: World) -> None:
    """Of a node that is ahead: what others write by the old name later looks older than what it stamped."""

    def ahead(name: str) -> None:
        if name == "after point_alias":
            there = world.door.objects["Article_old"][""]
            there[record(3).uuid] = replace(there[record(3).uuid], updated_ms=world.door.clock_ms + 3_600_000)

    world.door.on_call = ahead
    world.run()
    world.door.on_call = lambda name: None
    world.door.clock_ms += 1_000
    world.door.put("Article_old", "", record(4, "late"))
    with pytest.raises(MigrationBlocked, match="of its objects were written after the switch"):
        world.run("finish")


# -- what is done by the old collection's own name


@pytest.mark.parametrize("wish", ["finish", "rollback"])
def test_a_tenant_deleted_by_the_old_name_is_looked_for(tmp_path: Path, wish: Any) -> None:
    """An alias cannot delete tenants, so that name is what people use; it came back, or lived on."""
    world = World(tmp_path, tenants={"a": "HOT", "b": "HOT", "c": "COLD"})
    world.run()
    world.door.remove_tenant("Article_old", "b")
    with pytest.raises(MigrationBlocked, match=r"1 of its tenants were deleted after the switch.*\(b, \.\.\.\)"):
        world.run(wish)
    world.door.remove_tenant(COPY, "b")
    del world.tenants["b"], world.believed["b"]
    world.run(wish)
    world.check(*(("Article_old", OLD) if wish == "rollback" else (COPY, NEW)))


def test_a_tenant_that_clients_made_since_is_searched_before_the_old_collection_goes(tmp_path: Path) -> None:
    """And is no tenant that was deleted by the old name."""
    world = World(tmp_path, tenants={"a": "HOT"})
    world.run()
    world.door.set_tenant_state(COPY, "new", "HOT")
    world.door.put(COPY, "new", record(1))
    world.door.unindexed = {record(1).uuid}
    world.door.on_call = lambda name: world.door.unindexed.add(record(1).uuid)  # for good
    with pytest.raises(MigrationBlocked, match="stored and no search finds them"):
        world.run("finish")
    assert "Article_old" in world.door.schemas


@pytest.mark.parametrize("call", ["after set_tenant", "before write", "page"])
def test_a_way_back_does_not_delete_what_is_written_by_the_old_name_meanwhile(world: World, call: str) -> None:
    """ "We are going back to it": killed and run again, or while it runs; 30 acknowledged writes were deleted."""
    world.run()
    world.client_writes("", record(3, "changed since"))
    world.door.clock_ms += 10_000
    late = [record(number) for number in range(5000, 5030)]
    if call == "after set_tenant":  # killed right after the note that it begins
        point = world.door.alias_target
        world.door.alias_target = lambda alias: (_ for _ in ()).throw(Killed())  # type: ignore[method-assign]
        with pytest.raises(Killed):
            world.run("rollback", force=True)
        world.door.alias_target = point  # type: ignore[method-assign]
        for each in late:
            world.door.put("Article_old", "", each)
    else:
        left = [3]

        def meanwhile(name: str) -> None:
            left[0] -= name == call
            if left[0] == 0 and name == call:
                for each in late:
                    world.door.put("Article_old", "", each)

        left[0] = 3 if call == "page" else 1
        world.door.on_call = meanwhile
    with pytest.raises(MigrationBlocked, match="written after the switch, by its own name"):
        world.run("rollback")
    world.door.on_call = lambda name: None
    assert all(each.uuid in world.door.objects["Article_old"][""] for each in late)


def test_writes_that_come_while_everything_is_searched_are_seen_before_the_drop(world: World) -> None:
    """The search of a large collection takes an hour; late writes are looked for after it."""
    world.run()
    world.door.clock_ms += 10_000
    nearest = FakeWeaviate._nearest
    with pytest.MonkeyPatch.context() as patch:

        def searched(self: FakeWeaviate, *arguments: Any) -> Any:
            self.put("Article_old", "", record(5000))
            return nearest(self, *arguments)

        patch.setattr(FakeWeaviate, "_nearest", searched)
        with pytest.raises(MigrationBlocked, match="1 of its objects were written after the switch"):
            world.run("finish")
    assert "Article_old" in world.door.schemas


def test_an_old_collection_that_is_gone_is_said_to_be(world: World) -> None:
    world.run()
    world.door.delete_collection("Article_old")
    with pytest.raises(MigrationBlocked, match="somebody deleted it, so there is no way back"):
        world.run("rollback")


CHANGES = {
    "bm25": ("invertedIndexConfig", {"bm25": {"b": 0.1}}),
    "time to live": ("objectTtlConfig", {"enabled": True, "defaultTtl": 3600}),
    "replication": ("replicationConfig", {"factor": 1, "asyncEnabled": True}),
    "modules": ("moduleConfig", {"generative-openai": {"model": "gpt-4o"}}),
    "tenants": ("multiTenancyConfig", {"enabled": False, "autoTenantCreation": True}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["while it is copied", "after the switch"])
def test_settings_that_change_meanwhile_stop_it(world: World, change: str, when: str) -> None:
    """Each key that a copy takes over; made in the new collection too, it goes on."""
    key, value = CHANGES[change]
    if when == "after the switch":
        world.run()
        world.door.schemas["Article_old"][key] = value
    else:
        world.door.on_call = lambda name: world.door.schemas["Article_old"].update({key: value})
    with pytest.raises(MigrationBlocked, match=f"its settings were changed meanwhile.*{key}"):
        world.run("finish" if when == "after the switch" else "migrate")
    world.door.on_call = lambda name: None
    world.door.schemas[COPY][key] = value
    world.run("finish" if when == "after the switch" else "migrate")


def test_the_settings_of_the_vector_index_count_too() -> None:
    """By the vector's place, not by its name, which differs."""

    def schema(vector: str, ef: int) -> dict[str, Any]:
        config = {"vectorIndexType": "hnsw", "vectorIndexConfig": {"ef": ef, "pq": {"enabled": False}}}
        return {"vectorConfig": {vector: config}, "shardingConfig": {"actualCount": ef}}

    planned = settings_of(schema("e_1", -1), "e_1")
    assert changed_settings(planned, planned, settings_of(schema("e_2", 7), "e_2")) == []
    old = settings_of(schema("e_1", 512), "e_1")
    assert changed_settings(planned, old, settings_of(schema("e_2", 512), "e_2")) == []
    (said,) = changed_settings(planned, old, settings_of(schema("e_2", -1), "e_2"))
    assert said == "the vector's index.ef is 512, was -1, and is -1 there"
    assert changed_settings({}, old, {}) == []  # the journal of an earlier version does not tell


def test_settings_that_are_changed_after_the_switch_are_not_lost_by_the_way_back(world: World) -> None:
    """By the new collection's own name, as the plan says."""
    world.run()
    world.door.schemas[COPY]["invertedIndexConfig"] = {"bm25": {"b": 0.1}}
    with pytest.raises(MigrationBlocked, match="its settings were changed since the switch"):
        world.run("rollback")
    world.door.schemas["Article_old"]["invertedIndexConfig"] = {"bm25": {"b": 0.1}}
    world.run("rollback")


def test_a_description_that_is_changed_shuts_no_way(world: World) -> None:
    """It is told where it would be lost, before the way back begins; either name takes it, and so does --force."""
    world.run()
    name = world.door.schemas[COPY]["properties"][0]["name"]
    world.door.schemas[COPY]["properties"][0]["description"] = "what the customer wrote"
    with pytest.raises(MigrationBlocked, match=f"the description of {name} is 'what.*change them in Article_old"):
        world.run("rollback")
    assert '"returning"' not in world.path.read_text(encoding="utf-8")
    world.door.schemas["Article_old"]["properties"][0]["description"] = "what the customer wrote"
    world.run("rollback")


@pytest.mark.parametrize("way", ["alike", "force"])
def test_a_property_that_is_defined_otherwise_after_the_switch_has_a_way_back(world: World, way: str) -> None:
    """The remedy of the way there, to roll back, would lead in a circle."""
    world.run()
    world.door.schemas[COPY]["properties"][0]["indexFilterable"] = False
    with pytest.raises(MigrationBlocked, match="define them in Article_old as they are in") as caught:
        world.run("rollback")
    assert "--rollback" not in str(caught.value)
    assert '"returning"' not in world.path.read_text(encoding="utf-8")
    if way == "alike":
        world.door.schemas["Article_old"]["properties"][0]["indexFilterable"] = False
    world.run("rollback", force=way == "force")
    world.check("Article_old", OLD)


def test_a_description_that_is_added_while_it_is_copied_does_not_cost_the_copy(world: World) -> None:
    """Of a property, or of one within it."""
    nested = {"name": "inner", "dataType": ["text"]}
    world.door.schemas["Article_old"]["properties"].append(
        {"name": "outer", "dataType": ["object"], "nestedProperties": [nested]}
    )

    def add(name: str) -> None:
        if name == "after write":
            nested["description"] = "added"
            world.door.schemas["Article_old"]["properties"][-1]["nestedProperties"] = [nested]

    world.door.on_call = add
    with pytest.raises(MigrationBlocked, match=r"the description of outer\.inner is 'added', was '', and is '' there"):
        world.run()
    world.door.on_call = lambda name: None
    world.door.schemas[COPY]["properties"][-1]["nestedProperties"] = [nested]
    world.run()


def test_a_tenant_made_by_the_old_name_is_not_deleted_by_the_way_back(tmp_path: Path) -> None:
    world = World(tmp_path, tenants={"a": "HOT"})
    world.run()

    def on_call(name: str) -> None:
        if '"returning"' in world.path.read_text(encoding="utf-8"):
            world.door.status["Article_old"]["n"] = "HOT"

    world.door.on_call = on_call
    with pytest.raises(MigrationBlocked, match=r"1 of its tenants were made after the switch.*\(n, \.\.\.\)"):
        world.run("rollback")
    assert "n" in world.door.status["Article_old"]


def test_tenants_that_people_change_while_it_settles_stay_so(tmp_path: Path) -> None:
    """One that is deleted in the new collection is not made again, one that is deactivated stays so."""
    world = World(tmp_path, tenants={"a": "HOT", "b": "HOT", "c": "HOT"})

    def on_call(name: str) -> None:
        if name == "after point_alias":
            world.door.status[COPY].pop("a")
            world.door.objects[COPY].pop("a", None)
            world.door.status[COPY]["b"] = "COLD"

    world.door.on_call = on_call
    world.run()
    assert world.door.status[COPY] == {"b": "COLD", "c": "HOT"}


def test_a_node_that_is_away_does_not_stop_a_migration_at_quorum(world: World) -> None:
    class Away:
        def of_tenant(self, tenant: str) -> Away:
            return self

        def write(self, name: str, objects: Any) -> Any:
            raise WeaviateUnavailable(address="http://node3", reason="connection refused")

    world.door.each_node = lambda: {"http://node3": Away()}  # type: ignore[assignment, return-value, dict-item]
    world.run()
    world.check(COPY, NEW)


# -- what the new collection loses


@pytest.mark.parametrize("wish", ["finish", "rollback"])
def test_what_the_new_collection_lost_is_not_deleted_from_the_old_one(world: World, wish: Any) -> None:
    """A backup that was taken while it was copied has been restored: the old one is the only whole one."""
    world.run()
    there = world.door.objects[COPY][""]
    for key in sorted(there)[OBJECTS // 3 :]:
        del there[key]
    with pytest.raises(MigrationBlocked, match=f"400 of {OBJECTS} objects of Article_old are not in {COPY}"):
        world.run(wish)
    assert len(world.door.objects["Article_old"][""]) == OBJECTS


def test_a_person_can_say_that_clients_deleted_it(world: World) -> None:
    """Without giving up what else is looked for."""
    world.run()
    for number in range(100):
        world.client_deletes("", record(number).uuid)
    world.door.clock_ms += 10_000
    world.door.put("Article_old", "", record(5000))
    with pytest.raises(MigrationBlocked, match="1 of its objects were written after the switch"):
        world.run("finish", clients_deleted=True)
    del world.door.objects["Article_old"][""][record(5000).uuid]
    world.run("finish", clients_deleted=True)
    world.check(COPY, NEW)


def test_a_way_back_that_was_killed_at_its_beginning_needs_no_new_encoder(world: World) -> None:
    """As it did not before it was killed."""
    world.run()
    point = world.door.alias_target
    world.door.alias_target = lambda alias: (_ for _ in ()).throw(Killed())  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.run("rollback", encoder=None)
    world.door.alias_target = point  # type: ignore[method-assign]
    world.run("rollback", encoder=None)
    world.check("Article_old", OLD)


def test_a_few_deletions_by_the_alias_are_told(world: World) -> None:
    """Clients delete objects; nobody can tell that from a loss, so it is said."""
    world.run()
    world.client_deletes("", record(7).uuid)
    told: list[str] = []
    world.run("finish", tell=told.append)
    assert any("1 of 600 objects of Article_old are not in" in each for each in told)
    world.check(COPY, NEW)


def test_objects_that_expired_were_not_deleted_by_anybody(world: World) -> None:
    """With a time to live the old ones go first, because their time began earlier; it is said, and stops nothing."""
    lifetime = {"enabled": True, "defaultTtl": 60, "deleteOn": "_creationTimeUnix"}
    world.door.schemas["Article_old"]["objectTtlConfig"] = lifetime
    world.run()
    world.door.clock_ms += 10_000
    for number in range(200):
        del world.door.objects["Article_old"][""][record(number).uuid]
    told: list[str] = []
    world.run("finish", tell=told.append)
    assert any("200 objects are in" in each and "They expired there" in each for each in told)
    world.check(COPY, NEW)
