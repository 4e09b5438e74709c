"""A migration to a hosted encoder that swaps its model, is killed, and goes on later with the right one again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE
from fakes.weaviate.in_memory import Killed
from fakes.weaviate.migrating import NEW, OBJECTS, Encoder, World, record, row
from fakes.weaviate.swapping import Swapping
from samespace.errors import VectorsDisagree
from samespace_weaviate.migration import MigrationState
from samespace_weaviate.migration.journal import read_progress

COPY, VECTOR = f"Articles_{OTHER_SPACE[:12]}", f"e_{OTHER_SPACE[:12]}"
TENANTS = {"a": "HOT", "b": "COLD", "c": "HOT"}


@pytest.fixture(params=[None, TENANTS], ids=["one", "tenants"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, tenants=request.param)


def hosted(*, swapped: bool = False) -> Swapping:
    return Swapping(NEW, Encoder(SPACE), swapped=swapped)


def killed_after(world: World, encoder: Swapping, begins: str, writes: int) -> Callable[[str], None]:
    """Once the journal has *begins*, clients write and the model is swapped; the process is gone after so many writes
    of what that one gave."""
    wrong = 0

    def on_call(name: str) -> None:
        nonlocal wrong
        if not encoder.swapped and f'"{begins}"' in noted(world):
            encoder.ask()  # it is still right, a moment before
            encoder.swapped = True
            for number in (3, 30, OBJECTS + 7):
                for tenant in (each for each, state in world.tenants.items() if state == "HOT"):
                    world.client_writes(tenant, record(number, f"written meanwhile {number}"))
        if name == "after write" and COPY in world.door.schemas and went_wrong(world):
            wrong += 1
            if wrong == writes:
                raise Killed

    return on_call


def noted(world: World) -> str:
    return world.path.read_text() if world.path.exists() else ""


def went_wrong(world: World) -> bool:
    """Whether the copy has vectors of the other model."""
    there = (one for tenant in world.tenants for one in world.door.objects[COPY][tenant].values())
    texts = [(str(one.properties.get("text") or ""), one) for one in there]
    return any((one.vectors[VECTOR] != row(NEW, text)).any() for text, one in texts if text)


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("when", ["first copy", "round", "settling"])
def test_what_a_swapped_model_gave_before_a_kill_is_encoded_again(world: World, when: str, seen: bool) -> None:
    """Wherever it was killed, and whether or not a run in between sees the drift and writes nothing."""
    encoder = hosted()
    begins, writes = {"first copy": ("created", 2), "round": ("copied_all", 1), "settling": ("switched", 1)}[when]
    if when == "settling":

        def late(tenant: str, one: object) -> None:
            world.door.put("Article_old", tenant, one)  # type: ignore[arg-type]
            world.believed[tenant][one.uuid] = one  # type: ignore[attr-defined, assignment]

        world.client_writes = late  # type: ignore[method-assign, assignment]
    world.door.on_call = killed_after(world, encoder, begins, writes)
    with pytest.raises(Killed):
        world.run(encoder=encoder)  # type: ignore[arg-type]
    world.door.on_call = lambda name: None
    assert went_wrong(world)
    if seen and when != "settling":
        with pytest.raises(VectorsDisagree):
            world.run(encoder=hosted(swapped=True))  # type: ignore[arg-type]
    assert world.run(encoder=hosted()) is MigrationState.SETTLED  # type: ignore[arg-type]
    world.check(COPY, NEW)
    assert read_progress(world.path).doubtful == frozenset()


def test_what_was_confirmed_is_not_encoded_again(tmp_path: Path) -> None:
    """The provider is paid for each text once, but for those that nobody asked after."""
    world, encoder = World(tmp_path), hosted()
    pages = 0

    def on_call(name: str) -> None:
        nonlocal pages
        if name == "before write" and pages == 1:
            encoder.ask()  # ten minutes are over, and the first page is written
        pages += name == "after write" and bool(world.door.objects[COPY][""])
        if pages == 3:
            raise Killed

    world.door.on_call = on_call
    with pytest.raises(Killed):
        world.run(encoder=encoder)  # type: ignore[arg-type]
    world.door.on_call = lambda name: None
    found = read_progress(world.path)
    assert (found.copied, list(found.cursors.values())) == (256, [str(record(255).uuid)])
    assert world.run(encoder=hosted()) is MigrationState.SETTLED  # type: ignore[arg-type]
    world.check(COPY, NEW)
