"""The engine over a model with a gate: nothing here depends on how fast a machine is."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from fakes.server.gated import engine_of, until_queued, until_running
from samespace.artifact import open_artifact
from samespace.errors import DeadlineExceeded, Overloaded, RequestInvalid, SamespaceError, SpaceNotReady, TextTooLong
from samespace.runtime import LoadedBuild, load_build
from samespace.vectors import Float32, cosine_distance
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.delivery import Delivery
from samespace_server.scheduling.engine import now_us
from samespace_server.scheduling.job import Job
from samespace_server.scheduling.runs import Ran

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32


@pytest.fixture(scope="module")
def loaded(tiny_artifact: Path) -> LoadedBuild:
    return load_build(open_artifact(tiny_artifact), build="fp32", runtime="onnxruntime", threads=1)


def test_requests_that_come_while_the_model_runs_are_merged(loaded: LoadedBuild) -> None:
    """Ten single texts that queue behind a run go together in the next one."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            first = asyncio.create_task(engine.embed(["how do i reset it"], "query"))
            await until_running(model)
            others = [asyncio.create_task(engine.embed(["reset the password"], "query")) for _ in range(10)]
            await until_queued(engine, 10)
            model.gate.set()
            await asyncio.gather(first, *others)
            assert [shape[0] for shape in model.shapes] == [1, 10]

    asyncio.run(scenario())


def test_a_text_alone_is_as_in_any_batch(loaded: LoadedBuild) -> None:
    """The company that a text has in a batch does not move its vector."""
    texts = ["error", "how do i flatten a list", "a text about the encoder and its vector", "reset " * 20, ""]

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            together = (await engine.embed(texts, "passage")).vectors
            alone = np.concatenate([(await engine.embed([text], "passage")).vectors for text in texts])
            assert cosine_distance(together, alone).max() <= FP32_CPU

    asyncio.run(scenario())


def test_a_cancelled_request_costs_nothing(loaded: LoadedBuild) -> None:
    """What is cancelled while it waits never reaches the model, and its place in the queue is free again."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            second = asyncio.create_task(engine.embed(["the list of the user"], "query"))
            await until_queued(engine, 1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            model.gate.set()
            await first
            await engine.embed(["value"], "query")
            assert len(model.shapes) == 2
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_overload_is_refused_early_and_says_when_to_come_back(loaded: LoadedBuild) -> None:
    """With a full queue the next request is refused before it is tokenised; the accepted ones are answered."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=20) as (engine, model):
            accepted = [asyncio.create_task(engine.embed(["reset the password"], "query"))]
            await until_running(model)
            with pytest.raises(Overloaded) as caught:
                await engine.embed(["the file of the user " * 3], "query")
            assert caught.value.limit == 20
            assert caught.value.retry_after_ms >= 100
            model.gate.set()
            await asyncio.gather(*accepted)
            await engine.embed(["reset the password"], "query")  # there is room again

    asyncio.run(scenario())


def test_bulk_leaves_room_for_queries(loaded: LoadedBuild) -> None:
    """Bulk may fill three quarters of the queue: a query is accepted while further bulk waits outside of it."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=100) as (engine, model):
            bulk = asyncio.create_task(engine.embed(["index value"] * 15, "passage"))
            await until_running(model)
            more = asyncio.create_task(engine.embed(["index value"] * 10, "passage"))
            query = asyncio.create_task(engine.embed(["index value"], "query"))
            await until_queued(engine, 1)
            assert engine._workers.waiting == 1  # the query alone: what waits for room is not in the queue
            model.gate.set()
            await asyncio.gather(bulk, query, more)

    asyncio.run(scenario())


def test_a_large_request_is_cut_and_answered_in_order(loaded: LoadedBuild) -> None:
    """Fifty times what the queue may hold: every vector is that of its text, spans count from the first."""
    texts = [f"text {number} " + "of the file " * (number % 4) for number in range(700)]

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=200) as (engine, model):
            model.gate.set()
            whole = await engine.embed(texts, "passage", long_texts="windows")
            assert [span[0] for span in whole.embedded.spans] == sorted(span[0] for span in whole.embedded.spans)
            assert {span[0] for span in whole.embedded.spans} == set(range(700))
            for place in (0, 255, 256, 257, 699):
                alone = (await engine.embed([texts[place]], "passage", long_texts="windows")).vectors
                rows = [row for row, span in enumerate(whole.embedded.spans) if span[0] == place]
                assert cosine_distance(whole.vectors[rows], alone).max() <= FP32_CPU
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_the_small_last_piece_of_a_large_request_waits_too(
    loaded: LoadedBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three texts are left over by the cut; they are bulk as the others, and not refused for a full queue."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            jobs: list[Job] = []
            submit = engine._workers.submit

            def noted(job: Job) -> None:
                jobs.append(job)
                submit(job)

            monkeypatch.setattr(engine._workers, "submit", noted)
            await engine.embed(["index value"] * 259, "passage")
            assert [(len(job.texts), job.lane, job.waits) for job in jobs] == [(256, "bulk", True), (3, "bulk", True)]

    asyncio.run(scenario())


def test_an_error_names_the_text_by_its_place_in_the_whole_request(loaded: LoadedBuild) -> None:
    """In a later piece as in the first; and nothing of the request stays in the queue."""
    texts = ["a"] * 600 + ["the file of the user " * 40]

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            with pytest.raises(TextTooLong, match=r"texts\[600\]") as caught:
                await engine.embed(texts, "passage", long_texts="reject")
            assert caught.value.index == 600
            while engine._admission.queued_tokens:
                await asyncio.sleep(0)

    asyncio.run(scenario())


def test_blanks_are_counted_as_the_tokens_that_they_are(loaded: LoadedBuild) -> None:
    """A quarter of a megabyte of them is two tokens, and no guess refuses it."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=1000) as (engine, model):
            model.gate.set()
            assert (await engine.embed([" " * 250_000], "query")).embedded.tokens == (2,)

    asyncio.run(scenario())


def test_many_large_requests_take_turns_and_none_is_refused(loaded: LoadedBuild) -> None:
    """Twenty clients with three hundred texts each, over a queue that holds a hundredth of it."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=400) as (engine, model):
            model.gate.set()
            asked = [engine.embed(["index value"] * 300, "passage", client=f"client {n}") for n in range(20)]
            assert all(len(answer.vectors) == 300 for answer in await asyncio.gather(*asked))

    asyncio.run(scenario())


def test_a_large_request_that_cannot_be_waited_for_is_refused(loaded: LoadedBuild) -> None:
    """Behind minutes of work that waits already: overloaded at once; its own deadline ends its wait."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queue_ms=10, max_queued_tokens=200) as (engine, model):
            for size in range(12):
                engine._speed.observe(1 << size, (1 << size) * 1000)
            first = asyncio.create_task(engine.embed(["index value"] * 1000, "passage"))
            await until_running(model)
            with pytest.raises(Overloaded):
                await engine.embed(["index value"] * 10, "passage")
            model.gate.set()
            await first
        async with engine_of(loaded, max_queued_tokens=40) as (engine, model):
            first = asyncio.create_task(engine.embed(["index value"] * 9, "passage"))
            await until_running(model)
            with pytest.raises(DeadlineExceeded):
                await engine.embed(["index value"] * 20, "passage", deadline_us=now_us() + 50_000)
            model.gate.set()
            await first

    asyncio.run(scenario())


def test_a_stream_waits_for_room_instead(loaded: LoadedBuild) -> None:
    """A message of a stream that finds the queue full is answered later, not refused."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=20) as (engine, model):
            first = asyncio.create_task(engine.embed(["reset the password"], "query", stream=1))
            await until_running(model)
            second = asyncio.create_task(engine.embed(["the file of the user " * 2], "query", stream=1))
            model.gate.set()
            for answer in await asyncio.gather(first, second):
                assert answer.vectors.shape == (1, 32)

    asyncio.run(scenario())


def test_a_request_that_could_never_fit_is_invalid(loaded: LoadedBuild) -> None:
    """More tokens than the queue may ever hold is not overload: trying again would not help."""

    async def scenario() -> None:
        async with engine_of(loaded, max_queued_tokens=20) as (engine, model):
            model.gate.set()
            with pytest.raises(RequestInvalid):
                await engine.embed(["a b c d e f g h"] * 8, "query")

    asyncio.run(scenario())


def test_limits_of_a_request(loaded: LoadedBuild) -> None:
    """Too many texts, too many windows, dims that are not offered, long texts with "reject": each is refused."""

    async def scenario() -> None:
        async with engine_of(loaded, max_texts_per_request=2, max_windows_per_text=3) as (engine, model):
            model.gate.set()
            with pytest.raises(RequestInvalid, match="at most 2"):
                await engine.embed(["a", "b", "c"], "query")
            with pytest.raises(RequestInvalid, match="at most 3"):
                await engine.embed(["index " * 200], "query")
            with pytest.raises(RequestInvalid, match="dims"):
                await engine.embed(["a"], "query", dims=7)
            with pytest.raises(TextTooLong):
                await engine.embed(["index " * 60], "query", long_texts="reject")
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_no_texts_is_no_vectors(loaded: LoadedBuild) -> None:
    """An empty request is answered with zero rows."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, _):
            assert (await engine.embed([], "query")).vectors.shape == (0, 32)

    asyncio.run(scenario())


def test_a_vector_that_is_not_finite_fails_its_own_request_only(loaded: LoadedBuild) -> None:
    """One NaN row is an error for the request it belongs to; the others of the batch are answered, later ones not."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            others = [asyncio.create_task(engine.embed([text], "query")) for text in ("reset it", "update it")]
            await until_queued(engine, 2)

            def spoil(vectors: Float32) -> Float32:
                if len(vectors) == 2:
                    vectors = vectors.copy()
                    vectors[1] = np.nan
                return vectors

            model.spoil = spoil
            model.gate.set()
            await first
            found = await asyncio.gather(*others, return_exceptions=True)
            assert sum(isinstance(each, SamespaceError) for each in found) == 1
            assert engine.broken is not None and "not finite" in engine.broken
            with pytest.raises(SpaceNotReady, match="not finite"):
                await engine.embed(["value"], "query")

    asyncio.run(scenario())


def test_a_model_that_raises_fails_the_batch_and_not_the_engine(loaded: LoadedBuild) -> None:
    """A runtime's exception becomes an error of the requests in that run; the next request is served."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()

            def fail(vectors: Float32) -> Float32:
                raise ValueError("out of memory")

            model.spoil = fail
            with pytest.raises(SamespaceError):
                await engine.embed(["reset it", "index " * 60], "query")
            model.spoil = lambda vectors: vectors
            assert (await engine.embed(["value"], "query")).vectors.shape == (1, 32)
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_one_bad_text_among_merged_requests_is_refused_alone(loaded: LoadedBuild) -> None:
    """Requests that are tokenised together are judged apart: a lone surrogate in one does not spoil the others."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            texts = (["reset it"], ["reset it", "not \ud800 text"], ["update it"])
            others = [asyncio.create_task(engine.embed(each, "query")) for each in texts]
            await until_queued(engine, 4)
            model.gate.set()
            await first
            good, bad, fine = await asyncio.gather(*others, return_exceptions=True)
            assert isinstance(bad, RequestInvalid) and bad.field == "texts[1]"
            assert not isinstance(good, BaseException) and not isinstance(fine, BaseException)
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_what_is_late_is_not_run(loaded: LoadedBuild) -> None:
    """A request whose deadline comes while it waits ends with DeadlineExceeded and never reaches the model."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            late = asyncio.create_task(engine.embed(["list of the user"], "query", deadline_us=now_us() + 1_000))
            with pytest.raises(DeadlineExceeded):
                await late  # the model stands still, so only the deadline can end this
            model.gate.set()
            await first
            await engine.embed(["value"], "query")
            assert len(model.shapes) == 2
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_what_cannot_be_in_time_is_refused_at_once(loaded: LoadedBuild) -> None:
    """Once the speed is known, a deadline shorter than a run is refused though the model is free."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            await engine.embed(["the file of the user"], "query")
            with pytest.raises(DeadlineExceeded, match="takes about"):
                await engine.embed(["the file of the user"], "query", deadline_us=now_us() + 1)
            assert len(model.shapes) == 1

    asyncio.run(scenario())


def test_a_space_comes_back_when_its_probes_pass(loaded: LoadedBuild) -> None:
    """After a NaN the probes are run at once; they pass, so the space answers again without a restart."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            once = iter([np.nan])
            model.spoil = lambda vectors: vectors * np.float32(next(once, 1.0))
            with pytest.raises(SamespaceError):
                await engine.embed(["reset it"], "query")
            while engine.broken is not None:
                await asyncio.sleep(0)
            assert (await engine.embed(["reset it"], "query")).vectors.shape == (1, 32)

    asyncio.run(scenario())


def test_while_the_probes_fail_nobody_waits(loaded: LoadedBuild) -> None:
    """When the probes do not pass either, what waits is refused as not ready, and so is what comes."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.spoil = lambda vectors: vectors[:, :7]
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            waiting = asyncio.create_task(engine.embed(["reset it"], "query"))
            await until_queued(engine, 1)
            model.gate.set()
            with pytest.raises(SamespaceError):
                await first
            with pytest.raises(SpaceNotReady, match="gave shape"):
                await waiting
            with pytest.raises(SpaceNotReady, match="gave shape"):
                await engine.embed(["reset it"], "query")
            assert engine._admission.queued_tokens == 0

    asyncio.run(scenario())


def test_a_model_that_only_raises_is_not_ready(loaded: LoadedBuild) -> None:
    """One failed run is bad luck; the third in a row makes the space not ready."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()

            def fail(vectors: Float32) -> Float32:
                raise ValueError("the device is gone")

            model.spoil = fail
            for _ in range(3):
                with pytest.raises(SamespaceError, match="the model failed on this request"):
                    await engine.embed(["reset it"], "query")
            assert engine.broken is not None and "3 times" in engine.broken

    asyncio.run(scenario())


def test_several_runs_at_a_time(loaded: LoadedBuild) -> None:
    """With two runners, two requests are inside the model at once, and each gets its own vectors."""

    async def scenario() -> None:
        async with engine_of(loaded, runners=2) as (engine, model):
            texts = ["how do i reset it", "error code"]
            tasks = []
            for text in texts:
                tasks.append(asyncio.create_task(engine.embed([text], "query")))
                await until_running(model)
            model.gate.set()
            apart = np.concatenate([answer.vectors for answer in await asyncio.gather(*tasks)])
            together = (await engine.embed(texts, "query")).vectors
            assert cosine_distance(apart, together).max() <= FP32_CPU

    asyncio.run(scenario())


def test_a_run_that_is_told_late_is_timed_right(loaded: LoadedBuild) -> None:
    """Two runs of one request; the first one's thread is held up before it can tell: no stage is negative."""

    async def scenario() -> None:
        job = Job(["a"] * 2, "passage", "pool", "bulk", 0, None, asyncio.get_running_loop().create_future(), 100)
        job.vectors, job.missing = np.empty((2, 3), dtype=np.float32), 2
        delivery = Delivery(Telemetry().of_space(loaded.artifact.space_id))
        row = np.eye(1, 3, dtype=np.float32)
        for number, (started_us, ended_us) in reversed(list(enumerate([(200, 300), (400, 500)]))):
            delivery.ran(Ran([(job, number)], row, [True], 3, 3, started_us, ended_us, False, None))
        await job.done
        assert (job.started_us, job.ended_us) == (200, 500)

    asyncio.run(scenario())


def test_a_large_text_does_not_hold_a_query(loaded: LoadedBuild) -> None:
    """A query that comes while a long text is tokenised or waits is run before most of it."""

    async def scenario() -> None:
        async with engine_of(loaded, slice_ms=1) as (engine, model):
            first = asyncio.create_task(engine.embed(["index"], "query"))
            await until_running(model)
            long = asyncio.create_task(engine.embed(["index value " * 1400], "passage"))
            await until_queued(engine, 20)
            query = asyncio.create_task(engine.embed(["the file"], "query"))
            await until_queued(engine, engine._workers.waiting + 1)
            model.gate.set()
            await asyncio.gather(first, query, long)
            assert model.shapes[1] == (1, 4)

    asyncio.run(scenario())


def test_a_query_that_comes_again_is_not_run_again(loaded: LoadedBuild) -> None:
    """With a cache, the same query costs one run, also with other dims; passages and other options are run."""

    async def scenario() -> None:
        async with engine_of(loaded, cache_bytes=100_000) as (engine, model):
            model.gate.set()
            first = await engine.embed(["reset it"], "query")
            again = await engine.embed(["reset it"], "query")
            assert len(model.shapes) == 1
            assert np.array_equal(first.vectors, again.vectors)
            assert (again.embedded.tokens, again.timings.run_us) == (first.embedded.tokens, 0)
            await engine.embed(["reset it"], "passage")
            await engine.embed(["reset it"], "query", long_texts="windows")
            await engine.embed(["reset it", "reset it"], "query")
            assert len(model.shapes) == 4

    asyncio.run(scenario())


def test_without_being_asked_nothing_is_cached(loaded: LoadedBuild) -> None:
    """The cache is off by default."""

    async def scenario() -> None:
        async with engine_of(loaded) as (engine, model):
            model.gate.set()
            for _ in range(2):
                await engine.embed(["reset it"], "query")
            assert len(model.shapes) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("runners", [1, 2])
def test_company_and_order_do_not_move_a_vector(loaded: LoadedBuild, runners: int) -> None:
    """Texts of all lengths in requests of all sizes, all at once and shuffled, give what each gives alone."""
    dice = random.Random(runners)
    words = ["index", "value", "the", "file", "error", "7", "é", "list"]
    texts = [" ".join(dice.choices(words, k=dice.choice((0, 1, 3, 9, 25, 80)))) for _ in range(60)]

    async def scenario() -> None:
        async with engine_of(loaded, runners=runners) as (engine, model):
            model.gate.set()
            alone = {text: (await engine.embed([text], "passage")).vectors[0] for text in texts}
            for _ in range(3):
                dice.shuffle(texts)
                cuts = sorted(dice.sample(range(1, len(texts)), 15))
                parts = [texts[low:high] for low, high in zip([0, *cuts], [*cuts, len(texts)], strict=True)]
                answers = await asyncio.gather(
                    *[engine.embed(part, "passage", stream=dice.choice((0, 1, 2))) for part in parts]
                )
                for part, answer in zip(parts, answers, strict=True):
                    expected = np.stack([alone[text] for text in part])
                    assert cosine_distance(answer.vectors, expected).max() <= FP32_CPU

    asyncio.run(scenario())


def test_warming_up_learns_the_speed(loaded: LoadedBuild) -> None:
    """Before the first request the model was run in all sizes, twice each, and a hopeless deadline is known as such."""

    async def scenario() -> None:
        async with engine_of(loaded, batch_tokens=128) as (engine, model):
            model.gate.set()
            await engine.warm_up()
            assert model.shapes == [(1, 16)] * 2 + [(1, 32)] * 2 + [(2, 32)] * 2 + [(4, 32)] * 2
            with pytest.raises(DeadlineExceeded):
                await engine.embed(["the file of the user"], "query", deadline_us=now_us() + 1)

    asyncio.run(scenario())
