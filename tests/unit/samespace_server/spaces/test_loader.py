"""Engines that come and go while others work; over real tiny artifacts, in this process."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from samespace.artifact import open_artifact
from samespace.errors import ConfigInvalid, RequestInvalid, ServerUnavailable
from samespace_server.observing.telemetry import Telemetry
from samespace_server.settings import Choice, Limits
from samespace_server.spaces.loader import Loader, open_artifacts
from samespace_server.spaces.registry import Spaces

CHOICE = Choice(build="fp32", runtime="onnxruntime", threads=1)
LONG_MS = 60_000


@asynccontextmanager
async def loader_of(*folders: Path) -> AsyncIterator[tuple[Spaces, Loader, Telemetry]]:
    spaces, telemetry = Spaces(address="host:1"), Telemetry()
    telemetry.watch(spaces, lambda: 0)
    loader = Loader(spaces, telemetry, Limits())
    try:
        for artifact in open_artifacts(folders):
            await loader.load(artifact, CHOICE)
        spaces.state = "ready"
        yield spaces, loader, telemetry
    finally:
        await loader.close()


def test_unloading_waits_for_what_was_accepted_and_frees_the_memory(tiny_artifact: Path, other_artifact: Path) -> None:
    """The engine answers its last request before it is closed, and then nothing holds its session any more."""

    async def scenario() -> None:
        async with loader_of(tiny_artifact, other_artifact) as (spaces, loader, telemetry):
            space_id = spaces.ids[0]
            engine = spaces.find(space_id)
            session = weakref.ref(engine.loaded.session)
            with spaces.request(engine):
                assert await loader.unload(space_id, timeout_ms=1) == 1
                assert spaces.ids == (open_artifact(other_artifact).space_id,)
                assert space_id.encode() not in telemetry.render()
                answer = await engine.embed(["reset it"], "query")
                assert answer.vectors.shape == (1, 32)
            assert session() is not None
            del engine, answer
            while session() is not None:  # the test's own timeout is the limit
                await asyncio.sleep(0)

    asyncio.run(scenario())


def test_unloading_an_idle_space_is_over_at_once(tiny_artifact: Path, other_artifact: Path) -> None:
    """Nothing at work: 0 requests are left, and the space may be loaded again."""

    async def scenario() -> None:
        async with loader_of(tiny_artifact, other_artifact) as (spaces, loader, _):
            space_id = spaces.ids[0]
            assert await loader.unload(space_id, timeout_ms=LONG_MS) == 0
            await loader.load(open_artifact(tiny_artifact), CHOICE)
            assert space_id in spaces.ids

    asyncio.run(scenario())


def test_a_reload_takes_the_place_between_two_requests(tiny_artifact: Path) -> None:
    """What the old engine accepted it answers; whoever comes next meets the new one; queues do not mix."""

    async def scenario() -> None:
        async with loader_of(tiny_artifact) as (spaces, loader, telemetry):
            old = spaces.find(spaces.ids[0])
            with spaces.request(old):
                new = await loader.load(open_artifact(tiny_artifact), CHOICE, replace=True)
                assert spaces.find(spaces.ids[0]) is new is not old
                assert len(spaces.ids) == 1
                first, second = await asyncio.gather(old.embed(["index"], "query"), new.embed(["index"], "query"))
            assert (first.vectors == second.vectors).all()
            assert 'samespace_space_info{build="fp32",name="tiny"' in telemetry.render().decode()

    asyncio.run(scenario())


def test_a_space_is_not_loaded_twice_by_mistake(tiny_artifact: Path) -> None:
    """A second engine of a served space has to be asked for as a reload."""

    async def scenario() -> None:
        async with loader_of(tiny_artifact) as (_, loader, _):
            with pytest.raises(RequestInvalid, match="replace"):
                await loader.load(open_artifact(tiny_artifact), CHOICE)

    asyncio.run(scenario())
    with pytest.raises(ConfigInvalid):
        open_artifacts([tiny_artifact, tiny_artifact])


def test_nothing_is_loaded_while_the_server_drains(tiny_artifact: Path, other_artifact: Path) -> None:
    """A space that came now would be closed again before anybody could use it."""

    async def scenario() -> None:
        async with loader_of(tiny_artifact) as (spaces, loader, _):
            spaces.state = "draining"
            with pytest.raises(ServerUnavailable):
                await loader.load(open_artifact(other_artifact), CHOICE)

    asyncio.run(scenario())
