"""Runs that do not come back, over a model with a gate. Looks are taken by hand, so no time passes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakes.server.gated import engine_of, until_queued, until_running
from samespace.artifact import open_artifact
from samespace.errors import SpaceNotReady
from samespace.runtime import LoadedBuild, load_build
from samespace_server.scheduling import engine as engines

PATIENCE = 3


@pytest.fixture(scope="module")
def loaded(tiny_artifact: Path) -> LoadedBuild:
    return load_build(open_artifact(tiny_artifact), build="fp32", runtime="onnxruntime", threads=1)


def test_who_waits_for_a_run_that_does_not_come_back_is_told(loaded: LoadedBuild) -> None:
    """Those in the run, those behind it, large requests and those who come; when it comes back, all is well again."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            inside = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            behind = [asyncio.create_task(engine.embed(texts, "passage")) for texts in (["reset it"], ["value"] * 20)]
            await until_queued(engine, 2)
            for _ in range(PATIENCE - 1):
                engine._workers.look(PATIENCE)
            assert engine.hung is None and engine.broken is None
            engine._workers.look(PATIENCE)
            assert engine.hung == "a run of the model has not come back for 3 s"
            for task in (inside, *behind):
                with pytest.raises(SpaceNotReady, match="has not come back"):
                    await task
            with pytest.raises(SpaceNotReady, match="has not come back"):
                await engine.embed(["update it"], "query")
            assert engine._admission.queued_tokens == 0

            model.gate.set()
            while engine.broken is not None:
                engine._workers.look(PATIENCE)
                await asyncio.sleep(0)
            assert (await engine.embed(["update it"], "query")).vectors.shape == (1, 32)

    asyncio.run(scenario())


def test_one_of_several_runs_is_enough(loaded: LoadedBuild) -> None:
    """A second runner that works does not hide the first, which hangs."""

    async def scenario() -> None:
        async with engine_of(loaded, runners=2) as (engine, model):
            hanging = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            for _ in range(PATIENCE):
                engine._workers.look(PATIENCE)
            assert engine.broken is not None
            with pytest.raises(SpaceNotReady):
                await hanging

    asyncio.run(scenario())


def test_a_tokenizer_that_does_not_come_back_counts_too(loaded: LoadedBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was at ends as what hangs in the model does."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            tokenizing, gate = asyncio.Event(), model.gate
            loop = asyncio.get_running_loop()

            def hang(*_: object, **__: object) -> list[object]:
                loop.call_soon_threadsafe(tokenizing.set)
                assert gate.wait(60)
                return []

            monkeypatch.setattr("samespace_server.scheduling.workers.tokenize", hang)
            hanging = asyncio.create_task(engine.embed(["index"], "query"))
            await tokenizing.wait()
            for _ in range(PATIENCE):
                engine._workers.look(PATIENCE)
            assert engine.hung == "the tokenizer has not come back for 3 s"
            with pytest.raises(SpaceNotReady):
                await hanging

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("place", ["pad", "next_turn"])
def test_a_thread_that_ended_is_known(loaded: LoadedBuild, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Whatever ended it, in a step (no memory for a batch) or between two, nobody waits for it for ever."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(f"samespace_server.scheduling.{'runs' if place == 'pad' else 'workers'}.{place}", fail)

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            asked = asyncio.create_task(engine.embed(["index"], "query"))
            while any(thread.is_alive() for thread in engine._workers._threads[:1]):
                await asyncio.sleep(0.001)
            engine._workers.look(PATIENCE)
            assert engine.hung == "one of its threads ended by an error"
            with pytest.raises(SpaceNotReady, match="ended by an error"):
                await asked

    asyncio.run(scenario())


def test_the_event_loop_looks_by_itself(loaded: LoadedBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to ask: within the limit of the settings, a run that hangs is known."""
    monkeypatch.setattr(engines, "LOOK_S", 0.001)

    async def scenario() -> None:
        async with engine_of(loaded, max_run_ms=2_000) as (engine, model):
            hanging = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            with pytest.raises(SpaceNotReady, match="has not come back for 2 s"):
                await hanging

    asyncio.run(scenario())


def test_a_slow_model_is_given_the_time_that_it_needs(loaded: LoadedBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose runs take ten seconds is not given up after two."""

    async def scenario() -> None:
        async with engine_of(loaded, max_run_ms=2_000) as (engine, model):
            engine._speed.observe(engine._limits.batch_tokens, 10_000_000)
            asked: list[int] = []
            monkeypatch.setattr(engine._workers, "look", asked.append)
            engine._look()
            assert asked[0] in (199, 200)
            model.gate.set()

    asyncio.run(scenario())
