"""samespace_weaviate.migration.backfill: a second vector for each object, while clients insert and edit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakes.weaviate.in_memory import FakeWeaviate, Killed
from samespace.errors import MigrationBlocked
from samespace.vectors import Float32
from samespace_weaviate import StoredObject
from samespace_weaviate.migration import CopyPace
from samespace_weaviate.migration.backfill import Filling, backfill

PLAN = Filling("Article", "e_new", "text", others=("e_old",))
OBJECTS = 600  # more than two pages


def row(text: str, encoder: float) -> Float32:
    number = float(sum(text.encode()))
    return np.array([np.cos(number * encoder), np.sin(number * encoder)], np.float32)


def record(number: int, text: str = "") -> StoredObject:
    text = text or f"text {number}"
    return StoredObject(uuid.UUID(int=(number + 1) * 2**100), {"text": text}, vectors={"e_old": row(text, 1.0)})


def make(records: Sequence[StoredObject]) -> Float32:
    return np.stack([row(each.properties["text"], 2.0) for each in records])


class World:
    """A collection of 600 objects; `meanwhile` is called before each patch."""

    def __init__(self) -> None:
        self.door = FakeWeaviate()
        self.door.create({"class": "Article", "vectorConfig": {"e_old": {}, "e_new": {}}})
        for number in range(OBJECTS):
            self.put(record(number))
        self.meanwhile: Callable[[uuid.UUID], None] = lambda key: None
        self.patched: list[uuid.UUID] = []
        patch = self.door._patch_vector

        def patched(tenant: str, name: str, key: uuid.UUID, *rest: Any) -> None:
            self.meanwhile(key)
            patch(tenant, name, key, *rest)
            self.patched.append(key)

        self.door._patch_vector = patched  # type: ignore[method-assign]

    @property
    def objects(self) -> dict[uuid.UUID, StoredObject]:
        return self.door.objects["Article"][""]

    def put(self, one: StoredObject) -> None:
        self.door.put("Article", "", one)

    def edit(self, key: uuid.UUID, text: str, *, old: bool = True) -> None:
        """As a client's PATCH of the text: Weaviate's modules encode it for each vector that is there."""
        have = self.objects[key]
        vectors = {name: row(text, 1.0 if name == "e_old" else 2.0) for name in have.vectors}
        self.put(replace(have, properties={"text": text}, vectors=vectors if old else have.vectors))

    def fill(self) -> int:
        return backfill(self.door, PLAN, make, CopyPace())

    def check(self) -> None:
        for each in self.objects.values():
            assert np.allclose(each.vectors["e_new"], row(each.properties["text"], 2.0)), each.uuid


def test_every_object_gets_its_vector_once() -> None:
    world = World()
    assert world.fill() == OBJECTS
    assert len(world.patched) == OBJECTS
    world.check()
    assert world.fill() == 0


def test_what_is_edited_while_others_are_inserted_gets_the_vector_of_its_new_text() -> None:
    """Objects that come into a page while it is patched push others off it: they are read again by their ids."""
    world, extra = World(), iter(range(OBJECTS, 3 * OBJECTS))

    def meanwhile(key: uuid.UUID) -> None:
        if (number := next(extra, None)) is not None:
            inserted = record(number)
            world.put(replace(inserted, uuid=uuid.UUID(int=key.int + 1)))  # beside it, so in the same page
        if not world.objects[key].properties["text"].startswith("edited"):
            text = f"edited {key}"
            world.put(replace(world.objects[key], properties={"text": text}, vectors={"e_old": row(text, 1.0)}))

    world.meanwhile = meanwhile
    world.fill()
    world.meanwhile = lambda key: None
    world.fill()
    world.check()


@pytest.mark.parametrize("at", [1, 100, 255, 256, 257, 512, OBJECTS])
def test_a_run_that_goes_on_looks_again_at_what_the_killed_one_had_just_written(at: int) -> None:
    """It has the new vector, and may be of the text before: the killed run did not come to read it again."""
    world = World()

    def meanwhile(key: uuid.UUID) -> None:
        if not world.objects[key].properties["text"].startswith("edited"):
            text = f"edited {key}"
            world.put(replace(world.objects[key], properties={"text": text}, vectors={"e_old": row(text, 1.0)}))
        if len(world.patched) == at - 1:
            world.door.on_call = killed

    def killed(name: str) -> None:
        if name == "after patch_vector":
            raise Killed

    world.meanwhile = meanwhile
    with pytest.raises(Killed):
        world.fill()
    world.meanwhile, world.door.on_call = lambda key: None, lambda name: None
    world.fill()
    world.check()


def test_a_vector_of_another_encoder_that_is_left_behind_is_told() -> None:
    """Weaviate merges our patch into the object as it read it: the client's text is there, its old vector is not."""
    world = World()
    broken = record(7).uuid

    def meanwhile(key: uuid.UUID) -> None:
        if key == broken and world.objects[key].properties["text"] == "text 7":
            world.edit(key, "edited", old=False)

    world.meanwhile = meanwhile
    with pytest.raises(MigrationBlocked, match=f"edited 1 of them .* e_old of these is .* before.*{broken}"):
        world.fill()
    world.check()


def test_an_object_that_never_stands_still_is_an_error() -> None:
    world = World()

    def meanwhile(key: uuid.UUID) -> None:
        if key == record(3).uuid:
            world.edit(key, f"edited {len(world.patched)}")

    world.meanwhile = meanwhile
    with pytest.raises(MigrationBlocked, match="changes faster than it can be encoded"):
        world.fill()
