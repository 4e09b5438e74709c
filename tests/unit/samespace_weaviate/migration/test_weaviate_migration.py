"""A migration on a Weaviate in memory: every crash, clients that write meanwhile, tenants, and the way back."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from fakes.weaviate.in_memory import Killed
from fakes.weaviate.migrating import NEW, OBJECTS, OLD, Encoder, Hasty, World, record, row
from samespace.errors import MigrationBlocked, SpaceMismatch, WeaviateError
from samespace.vectors import Float32
from samespace_weaviate import StoredObject
from samespace_weaviate.audit import AuditReport, Kind, Offender, TenantAudit
from samespace_weaviate.audit.searchable import index_again
from samespace_weaviate.audit.tolerance import Bound, Tolerance
from samespace_weaviate.migration import (
    MigrationState,
)
from samespace_weaviate.migration.journal import read_progress
from samespace_weaviate.migration.progress import Wish


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def killing(world: World, at: int) -> Callable[[str], None]:
    """Kill the process at the *at*-th call, once."""
    left = at

    def on_call(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed(name)

    return on_call


def calls_of(world: World, wish: Wish) -> list[str]:
    """The calls of a run that nobody kills."""
    seen: list[str] = []
    world.door.on_call = seen.append
    world.run(wish)
    world.door.on_call = lambda name: None
    return seen


def test_a_collection_moves_with_everything_in_it(world: World) -> None:
    """Ids and properties are kept, vectors are new, the alias has moved, the old collection is still there."""
    assert world.run() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)
    assert "Article_old" in world.door.schemas
    assert (
        world.door.module_calls - OBJECTS <= 26
    )  # the old module's, when the objects were made; the new one's: a trial


def test_running_it_again_changes_nothing(world: World) -> None:
    """A finished journey has no next step."""
    world.run()
    writes = calls_of(world, "migrate")
    assert writes == []


@pytest.mark.parametrize("wish", ["migrate", "rollback", "finish"])
def test_a_kill_before_or_after_any_call_loses_nothing(
    tmp_path: Path, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each single call to Weaviate in turn and run again, it ends the same, with nothing lost or doubled."""
    monkeypatch.setattr("samespace_weaviate.migration.verification._MODULE_SPOTS", 1)  # each call is a run of its own

    def prepared(folder: Path) -> World:
        folder.mkdir()
        fresh = World(folder)
        if wish != "migrate":
            fresh.run()
        return fresh

    calls = calls_of(prepared(tmp_path / "calls"), wish)
    assert len(calls) > 3
    for number in range(1, len(calls) + 1):
        world = prepared(tmp_path / str(number))
        world.door.on_call = killing(world, number)
        world.run_through(wish)
        world.check(*(("Article_old", OLD) if wish == "rollback" else ("Articles_bbbbbbbbbbbb", NEW)))


def unseen(world: World, key: uuid.UUID) -> bool:
    """Whether the old collection got it after the last round passed: deleted now, it may come back, see the how-to."""
    if not world.path.exists() or (progress := read_progress(world.path)).since_ms == 0:
        return False
    old = world.door.objects["Article_old"][""].get(key)
    return old is not None and old.updated_ms >= progress.since_ms and key not in progress.young.get("", ())


@pytest.mark.parametrize("copied", ["before the last round", "by the last round"])
def test_what_is_deleted_right_after_the_switch_stays_deleted(world: World, copied: str) -> None:
    """Written a moment before the alias moves, carried over, and deleted through the alias a moment after."""
    late, edited = record(2 * OBJECTS), record(3, "edited")

    def client(name: str) -> None:
        noted = world.path.read_text() if world.path.exists() else ""
        if '"verified"' in noted and not world.believed[""].get(late.uuid) and '"switching"' not in noted:
            world.client_writes("", late)
            world.client_writes("", edited)
            if copied.startswith("before"):
                world.door.pause(1)
        if world.door.pointers["Articles"] != "Article_old":
            world.client_deletes("", late.uuid)
            world.client_deletes("", edited.uuid)
            world.door.on_call = lambda name: None

    world.door.on_call = client
    assert world.run() is MigrationState.SETTLED
    assert late.uuid in world.door.objects["Article_old"][""]
    world.check("Articles_bbbbbbbbbbbb", NEW)


def test_a_write_that_arrives_late_by_the_old_name_is_the_last_word(world: World) -> None:
    """Sent before the alias moved, taken afterwards: what clients wrote through the alias meanwhile is older."""
    key = record(3).uuid

    def client(name: str) -> None:
        if world.door.pointers["Articles"] != "Article_old":
            world.client_writes("", record(3, "through the alias"))
            world.door.put("Article_old", "", record(3, "late"))
            world.believed[""][key] = record(3, "late")
            world.door.on_call = lambda name: None

    world.door.on_call = client
    assert world.run() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)


@pytest.mark.parametrize("seed", range(12))
def test_writes_that_come_meanwhile_are_carried_over(tmp_path: Path, seed: int) -> None:
    """Clients write and delete through the alias while it runs and is killed; in the end all of that is there."""
    world, chance = World(tmp_path), random.Random(seed)
    budget = 150

    def client(name: str) -> None:
        nonlocal budget
        if chance.random() < 0.02:
            raise Killed
        while budget and chance.random() < 0.8:
            budget -= 1
            number = chance.randrange(2 * OBJECTS)
            if chance.random() < 0.3 and not unseen(world, record(number).uuid):
                world.client_deletes("", record(number).uuid)
            else:
                world.client_writes("", record(number, f"changed {chance.random()}"))

    world.door.on_call = client
    assert world.run_through() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)


@pytest.mark.parametrize("seed", range(6))
def test_the_way_back_takes_along_what_was_written_since(tmp_path: Path, seed: int) -> None:
    """After a rollback the old collection holds what clients wrote to the new one, with vectors of its own encoder."""
    world, chance = World(tmp_path), random.Random(seed)
    world.run()
    for _ in range(50):
        world.client_writes("", record(chance.randrange(2 * OBJECTS), f"changed {chance.random()}"))
    for number in chance.sample(range(OBJECTS), 20):
        world.client_deletes("", record(number).uuid)
    budget = 50

    def client(name: str) -> None:
        nonlocal budget
        if chance.random() < 0.02:
            raise Killed
        if budget and chance.random() < 0.5:
            budget -= 1
            world.client_writes("", record(chance.randrange(2 * OBJECTS), f"changed {chance.random()}"))

    world.door.on_call = client
    assert world.run_through("rollback") is MigrationState.ROLLED_BACK
    world.check("Article_old", OLD)
    assert "Articles_bbbbbbbbbbbb" not in world.door.schemas


def test_rolling_back_before_the_switch_drops_the_copy(world: World) -> None:
    """The alias has never moved; only the new collection goes."""
    world.door.on_call = killing(world, 12)
    with pytest.raises(Killed):
        world.run()
    assert world.run("rollback", encoder=None) is MigrationState.ROLLED_BACK
    world.check("Article_old", OLD)
    assert list(world.door.schemas) == ["Article_old"]


def test_finish_drops_the_old_collection_and_only_then_rollback_is_refused(world: World) -> None:
    """Until --finish there is a way back."""
    world.run()
    assert world.run("finish", encoder=None) is MigrationState.FINISHED
    assert list(world.door.schemas) == ["Articles_bbbbbbbbbbbb"]
    with pytest.raises(MigrationBlocked, match="finished"):
        world.run("rollback")


def test_finish_is_refused_before_the_switch(world: World) -> None:
    """The old collection is what clients use."""
    world.door.on_call = killing(world, 12)
    with pytest.raises(Killed):
        world.run()
    with pytest.raises(MigrationBlocked, match="does not point to the new"):
        world.run("finish")


def test_finish_is_refused_while_somebody_writes_to_the_old_collection_by_name(world: World) -> None:
    """Such objects are in no other place; giving them up has to be said."""
    world.run()
    world.door.pause(5)
    world.door.put("Article_old", "", record(7, "by name"))
    with pytest.raises(MigrationBlocked, match="after the switch"):
        world.run("finish")
    with pytest.raises(MigrationBlocked, match="after the switch"):
        world.run("rollback")
    assert world.run("finish", force=True) is MigrationState.FINISHED


def test_there_is_no_way_back_without_a_vector(world: World) -> None:
    """Where nothing encodes for the old collection, objects written since would have none; that has to be said."""
    old = world.door.schemas["Article_old"]["vectorConfig"]
    old[f"e_{SPACE[:12]}"]["vectorizer"] = {"none": {"properties": ["text"]}}
    world.run()
    with pytest.raises(MigrationBlocked, match="no vectorizer"):
        world.run("rollback")
    assert world.run("rollback", force=True) is MigrationState.ROLLED_BACK


def test_finish_is_refused_while_others_refer_to_the_old_collection(world: World) -> None:
    """The alias of another program, or a reference of another collection, would lead nowhere."""
    world.run()
    world.door.pointers["Elsewhere"] = "Article_old"
    with pytest.raises(MigrationBlocked, match="Elsewhere"):
        world.run("finish")
    del world.door.pointers["Elsewhere"]
    world.door.create({"class": "Person", "properties": [{"name": "wrote", "dataType": ["Article_old"]}]})
    with pytest.raises(MigrationBlocked, match=r"Person\.wrote"):
        world.run("finish")
    assert world.run("finish", force=True) is MigrationState.FINISHED


def test_a_collection_without_an_alias_gets_one(tmp_path: Path) -> None:
    """The alias is made first; at the end the collection's own name is an alias too."""
    world = World(tmp_path, named=False)
    assert world.run() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)
    assert world.run("finish") is MigrationState.FINISHED
    assert world.door.pointers == {"Articles": "Articles_bbbbbbbbbbbb", "Article_old": "Articles_bbbbbbbbbbbb"}


def test_tenants_are_left_as_they_were_found(tmp_path: Path) -> None:
    """Cold tenants are woken one at a time, copied, and put to sleep again; a kill in between leaves none awake."""
    tenants = {"cold": "COLD", "hot": "HOT", "icy": "COLD"}
    (tmp_path / "calls").mkdir()
    calls = calls_of(World(tmp_path / "calls", tenants=tenants), "migrate")
    for number in range(1, len(calls) + 1, 3):
        (tmp_path / str(number)).mkdir()
        world = World(tmp_path / str(number), tenants=tenants)
        world.door.on_call = killing(world, number)
        world.run_through()
        world.check("Articles_bbbbbbbbbbbb", NEW)
        assert world.door.status["Article_old"] == tenants


def test_an_offloaded_tenant_stops_it(tmp_path: Path) -> None:
    """It cannot be read; the message says which, and what to do."""
    world = World(tmp_path, tenants={"away": "FROZEN"})
    with pytest.raises(MigrationBlocked, match="'away' is FROZEN"):
        world.run()


def test_an_object_that_weaviate_refuses_stops_it_and_nothing_is_lost(world: World) -> None:
    """The first one is named with its reason; once mended, the same command ends well."""
    world.door.refuse = lambda one: "too large" if one.properties["n"] == 300 else ""
    with pytest.raises(MigrationBlocked, match="too large"):
        world.run()
    world.door.refuse = lambda one: ""
    assert world.run() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)


def test_a_foreign_vector_in_the_new_collection_is_found_before_the_switch(world: World) -> None:
    """The sample is encoded again; what is not of the encoder keeps the alias where it is."""
    spoilt = row(OLD, "something else")
    write = world.door.put
    world.door.put = lambda name, tenant, one: write(  # type: ignore[method-assign]
        name, tenant, StoredObject(one.uuid, one.properties, vectors=dict.fromkeys(one.vectors, spoilt))
    )
    with pytest.raises(MigrationBlocked, match="not those of the encoder"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"


def test_an_audit_that_finds_something_keeps_the_alias_where_it_is(world: World) -> None:
    """The report's first offender is told; once the audit is clean, the same command switches."""
    offender = Offender(uuid.UUID(int=7), "", Kind.OTHER_SPACE, "of another encoder", 0.9)
    tenant = TenantAudit("", OBJECTS, 10, (offender,), 0, Tolerance(*[Bound("fp32", 1e-6)] * 3), ())
    found = AuditReport("Articles", "e_b", OTHER_SPACE, "new", 0.99, 1, (tenant,))
    with pytest.raises(MigrationBlocked, match="of another encoder"):
        world.run(audit=lambda name: found)
    assert world.door.pointers["Articles"] == "Article_old"
    clean = replace(found, tenants=(replace(tenant, offenders=()),))
    assert world.run(audit=lambda name: clean) is MigrationState.SETTLED


def test_an_object_without_text_has_no_vector_afterwards_either(world: World) -> None:
    """Weaviate makes no vector of nothing, so neither does a migration; and its check does not miss it."""
    empty = StoredObject(uuid.UUID(int=5), {"n": -1})
    world.door.objects["Article_old"][""][empty.uuid] = empty
    assert world.run() is MigrationState.SETTLED
    assert world.door.objects["Articles_bbbbbbbbbbbb"][""][empty.uuid].vectors == {}


def test_another_encoder_is_refused(world: World) -> None:
    """A journal is for one space."""
    with pytest.raises(SpaceMismatch):
        world.run(encoder=OLD)


class FullDisk(Hasty):
    """A journal whose disk is full after some lines: half of the next one still fits."""

    room = 7

    def put(self, line: bytes) -> None:
        type(self).room -= 1
        if type(self).room < 0:
            super().put(line[: len(line) // 2])
            raise OSError(28, "No space left on device")
        super().put(line)


def test_a_full_disk_stops_it_and_it_goes_on_later(world: World) -> None:
    """The journal takes back the half line; with room again, everything is there once."""
    with pytest.raises(MigrationBlocked, match="No space left"):
        world.run(journal=FullDisk)
    assert world.run() is MigrationState.SETTLED
    world.check("Articles_bbbbbbbbbbbb", NEW)


def test_what_a_restart_left_out_of_the_index_is_indexed_before_the_switch(tmp_path: Path) -> None:
    """Stored is not searchable: the copy is complete, and some of it would never be found."""
    world = World(tmp_path)
    lost = {record(number).uuid for number in range(590, 600)}
    create = world.door.create

    def created(schema: dict[str, Any]) -> None:
        create(schema)
        world.door.unindexed |= lost

    world.door.create = created  # type: ignore[method-assign]
    assert world.run() is MigrationState.SETTLED
    assert world.door.unindexed == set()
    there, vector = world.door.objects[world.door.pointers["Articles"]][""], f"e_{OTHER_SPACE[:12]}"
    for each in map(there.__getitem__, lost):
        assert np.allclose(each.vectors[vector], row(NEW, each.properties["text"]), rtol=1e-5)


def test_what_a_kill_after_the_switch_left_out_of_the_index_is_left_to_repair(world: World) -> None:
    """Clients edit the new collection by then: a vector that is written again would be that of the text before."""
    world.run()
    copy = world.door.pointers["Articles"]
    lost = {record(number).uuid for number in range(590, 600)}
    world.door.unindexed |= lost
    before = dict(world.door.objects[copy][""])
    with pytest.raises(MigrationBlocked, match=r"10 of 600 objects are stored and no search finds them.*repair"):
        world.run("finish", encoder=None)
    assert "Article_old" in world.door.schemas and world.door.objects[copy][""] == before
    world.door.unindexed -= lost
    assert world.run("finish", encoder=None) is MigrationState.FINISHED


@pytest.mark.parametrize("late", [False, True])
def test_a_text_that_is_edited_while_its_vector_is_indexed_again_is_told(world: World, late: bool) -> None:
    """Read one by one, right before the write: an edit before that is seen, and one in between is named."""
    world.run()
    copy, vector = world.door.pointers["Articles"], f"e_{OTHER_SPACE[:12]}"
    edited = [record(number).uuid for number in range(2)]
    patch = world.door.patch_vector

    def edit() -> None:
        there = world.door.objects[copy][""]
        there[edited[1]] = replace(
            there[edited[1]], properties={"text": "edited"}, vectors={vector: row(NEW, "edited")}
        )

    def patched(name: str, key: uuid.UUID, *rest: Any) -> None:
        if late and key == edited[1]:
            edit()
        patch(name, key, *rest)
        if not late and key == edited[0]:
            edit()

    world.door.patch_vector = patched  # type: ignore[method-assign]
    changed = index_again(world.door, copy, vector, edited)
    assert changed == (edited[1:] if late else [])
    stored = world.door.objects[copy][""][edited[1]].vectors[vector]
    assert late or np.allclose(stored, row(NEW, "edited"), rtol=1e-5)


def test_what_cannot_be_indexed_is_not_switched_to(tmp_path: Path) -> None:
    """The alias stays where it is, and the objects are counted."""
    world = World(tmp_path)

    class Forgetful(set):  # type: ignore[type-arg]
        def discard(self, uuid: object) -> None: ...

    world.door.unindexed = Forgetful({record(5).uuid})
    with pytest.raises(MigrationBlocked, match="1 of 600 objects are stored and no search finds them"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"


@pytest.mark.parametrize("tenants", [None, {"a": "HOT", "b": "COLD"}])
def test_properties_that_clients_add_meanwhile_are_as_they_were_defined(
    tmp_path: Path, tenants: dict[str, str] | None
) -> None:
    """Weaviate's guess at a keyword is text, at a whole number a number: filters would find something else."""
    world = World(tmp_path, tenants=tenants)
    code = {"name": "code", "dataType": ["text"], "tokenization": "field", "indexFilterable": True,
            "moduleConfig": {"text2vec-transformers": {"skip": True}}}  # fmt: skip
    left = 2

    def added(name: str) -> None:
        nonlocal left
        left -= name == "before write"
        if left == 0:
            left = -1
            world.door.schemas["Article_old"]["properties"].append(code)
            for tenant in world.tenants:
                if world.tenants[tenant] == "HOT":
                    world.client_writes(
                        tenant, replace(record(5), properties={"text": "text", "n": 5, "code": "A-1 b"})
                    )

    world.door.on_call = added
    assert world.run() is MigrationState.SETTLED
    (found,) = [each for each in world.door.schemas["Articles_bbbbbbbbbbbb"]["properties"] if each["name"] == "code"]
    assert found == {key: value for key, value in code.items() if key != "moduleConfig"}
    world.check("Articles_bbbbbbbbbbbb", NEW)


def test_a_property_that_weaviate_guessed_stops_the_switch(world: World) -> None:
    """It is in both collections and means two things; nothing has moved, and the way back is open."""
    entry = {"name": "code", "dataType": ["text"], "tokenization": "field"}
    guessed = {**entry, "tokenization": "word"}

    def added(name: str) -> None:
        if name == "before write" and "Articles_bbbbbbbbbbbb" in world.door.schemas:
            world.door.on_call = lambda name: None
            world.door.schemas["Article_old"]["properties"].append(entry)
            world.door.schemas["Articles_bbbbbbbbbbbb"]["properties"].append(guessed)

    world.door.on_call = added
    with pytest.raises(MigrationBlocked, match="code has tokenization 'word', not 'field'"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"
    world.run("rollback")
    world.check("Article_old", OLD)


def test_nothing_switches_to_an_encoder_that_weaviate_cannot_reach(world: World) -> None:
    """Every query by text would fail from then on; --force does it all the same."""
    reach = world.modules

    def unreachable(name: str, encoder: Encoder) -> None:
        def refuse(text: str) -> Float32:
            raise WeaviateError("vectorize: connection refused")

        world.door.modules[name] = (f"e_{encoder.space_id[:12]}", refuse)

    world.modules = unreachable  # type: ignore[method-assign]
    with pytest.raises(MigrationBlocked, match=r"cannot have a text encoded at the new address.*connection refused"):
        world.run()
    assert world.door.pointers["Articles"] == "Article_old"
    assert world.run(force=True) is MigrationState.SETTLED
    world.modules = reach  # type: ignore[method-assign]
    world.check("Articles_bbbbbbbbbbbb", NEW)


@pytest.mark.parametrize("wish", ["rollback", "finish"])
def test_deletions_by_the_old_name_are_looked_for_too(world: World, wish: Wish) -> None:
    """They are in the new collection still, and would come back on the way back; --force accepts that."""
    world.run()
    world.door.clock_ms += 10_000
    gone = [record(number).uuid for number in (3, 300)]
    for key in gone:
        del world.door.objects["Article_old"][""][key]
    world.client_writes("", record(1000))  # a client's own object of the new collection is no such thing
    world.client_deletes("", record(7).uuid)
    with pytest.raises(MigrationBlocked, match=f"2 of its objects were deleted after the switch.*{gone[0]}"):
        world.run(wish)
    assert "Article_old" in world.door.schemas and world.door.pointers["Articles"] == "Articles_bbbbbbbbbbbb"
    for key in gone:
        world.client_deletes("", key)
    world.run(wish)
    world.check(*(("Article_old", OLD) if wish == "rollback" else ("Articles_bbbbbbbbbbbb", NEW)))


@pytest.mark.parametrize("changed", ["gone", "of another"])
@pytest.mark.parametrize("wish", ["migrate", "rollback", "finish"])
def test_a_journal_is_no_proof_where_weaviate_says_otherwise(world: World, changed: str, wish: Wish) -> None:
    """The same names on another Weaviate, or a new collection that somebody deleted: nothing is done, nothing said."""
    world.run()
    if changed == "gone":
        del world.door.schemas["Articles_bbbbbbbbbbbb"]
    else:
        world.door.schemas["Articles_bbbbbbbbbbbb"]["description"] = "Copied by samespace, migration another one."
    with pytest.raises(MigrationBlocked, match="is this the Weaviate that the migration was started on"):
        world.run(wish)
    assert "Article_old" in world.door.schemas
