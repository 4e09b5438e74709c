"""Two real servers and one client: load is spread, one is killed, both are gone, and nothing wrong ever comes back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from fakes.server.process import Running, serving
from samespace import Encoder
from samespace.errors import ServerUnavailable, SpaceMismatch, UnknownSpace
from samespace.rpc.client import Client
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
TEXTS = [f"how do i reset the password of user {number}" for number in range(40)]
TIMES = 128  # so many that a stream which comes late still finds some


@pytest.fixture
def pair(tiny_artifact: Path) -> Iterator[tuple[Running, Running]]:
    with serving(tiny_artifact) as one, serving(tiny_artifact) as other:
        yield one, other


@pytest.fixture(scope="module")
def right(tiny_artifact: Path) -> np.ndarray:
    """The vectors that have to come back."""
    with Encoder.load(tiny_artifact, runtime="onnxruntime", build="fp32") as encoder:
        return np.asarray(encoder.encode(TEXTS, "query"))


def both(pair: tuple[Running, Running]) -> str:
    return ",".join(running.grpc for running in pair)


def texts_of(pair: tuple[Running, Running]) -> list[float]:
    return [running.metric("samespace_texts_total") for running in pair]


def test_load_is_spread(pair: tuple[Running, Running], right: np.ndarray) -> None:
    """Each replica embeds half of what one client asks for, by single requests and by streams."""
    with Encoder.connect(both(pair)) as encoder, Client(both(pair)) as client:
        before = texts_of(pair)  # those that each was asked for to be compared
        for _ in range(4):
            assert cosine_distance(np.asarray(encoder.encode(TEXTS, "query")), right).max() <= FP32_CPU
        for text in TEXTS:
            client.embed(encoder.space_id, "query", [text])
    shares = [now - then for now, then in zip(texts_of(pair), before, strict=True)]
    assert shares == [100, 100]


def test_many_texts_at_once_use_both(pair: tuple[Running, Running], right: np.ndarray) -> None:
    """One call with many texts is worked on by all replicas at the same time; the vectors come out in order."""
    with Encoder.connect(both(pair)) as encoder:
        before, done = texts_of(pair), list[int]()
        found = encoder.encode(TEXTS * TIMES, "query", progress=done.append)
    assert cosine_distance(np.asarray(found), np.tile(right, (TIMES, 1))).max() <= FP32_CPU
    assert sum(done) == len(TEXTS) * TIMES
    shares = [now - then for now, then in zip(texts_of(pair), before, strict=True)]
    assert sum(shares) == len(TEXTS) * TIMES
    assert min(shares) > 0


def test_a_replica_that_is_killed_under_load_costs_nothing(pair: tuple[Running, Running], right: np.ndarray) -> None:
    """Eight threads ask while one of two servers is killed: every request is answered, with the right vector."""
    space = pair[0].space_ids[0]
    answered = threading.Semaphore(0)
    killed = threading.Event()

    def ask(client: Client, worker: int) -> float:
        worst = 0.0
        for turn in range(60):
            row = (worker * 7 + turn) % len(TEXTS)
            reply = client.embed(space, "query", [TEXTS[row]])
            worst = max(worst, float(cosine_distance(np.asarray(reply.vectors)[0], right[row])))
            answered.release()
        assert killed.is_set()
        return worst

    with Client(both(pair), timeout_ms=30_000) as client, ThreadPoolExecutor(8) as pool:
        work = [pool.submit(ask, client, worker) for worker in range(8)]
        for _ in range(100):
            answered.acquire()
        pair[0].process.kill()
        killed.set()
        assert max(each.result() for each in work) <= FP32_CPU
    assert pair[0].process.wait() == -signal.SIGKILL
    assert pair[1].metric("samespace_texts_total") > 240


def test_a_stream_goes_on_where_a_killed_server_left_off(pair: tuple[Running, Running], right: np.ndarray) -> None:
    """The server of a stream is killed in the middle: replies go on in order, each batch once, all vectors right."""
    space = pair[0].space_ids[0]
    batches = [TEXTS[start : start + 2] for start in range(0, len(TEXTS), 2)] * 10
    rows = []
    with Client(both(pair), timeout_ms=30_000) as client:
        replies = client.embed_stream(space, "query", batches)
        for _ in range(10):
            rows.append(np.asarray(next(replies).vectors))
        (busy,) = [running for running in pair if running.metric("samespace_texts_total") > 0]
        busy.process.kill()
        rows += [np.asarray(reply.vectors) for reply in replies]
    assert cosine_distance(np.concatenate(rows), np.tile(right, (10, 1))).max() <= FP32_CPU


def test_a_stream_goes_on_where_a_server_drains(pair: tuple[Running, Running], right: np.ndarray) -> None:
    """SIGTERM in the middle of a stream: the server finishes what it took and ends with 0, the other goes on."""
    space = pair[0].space_ids[0]
    batches = [TEXTS[start : start + 2] for start in range(0, len(TEXTS), 2)] * 10
    rows = []
    with Client(both(pair), timeout_ms=30_000) as client:
        replies = client.embed_stream(space, "query", batches)
        for _ in range(10):
            rows.append(np.asarray(next(replies).vectors))
        (busy,) = [running for running in pair if running.metric("samespace_texts_total") > 0]
        busy.process.terminate()
        rows += [np.asarray(reply.vectors) for reply in replies]
        assert busy.process.wait(30) == 0
    assert cosine_distance(np.concatenate(rows), np.tile(right, (10, 1))).max() <= FP32_CPU


def test_both_gone_is_said_within_the_deadline(pair: tuple[Running, Running]) -> None:
    """With nobody left, a request is tried again until its time is up, and then it is `ServerUnavailable`."""
    with Client(both(pair), timeout_ms=1500) as client:
        client.list_spaces()
        for running in pair:
            running.process.kill()
        for call in (
            lambda: client.embed(pair[0].space_ids[0], "query", ["a"]),
            lambda: list(client.embed_stream(pair[0].space_ids[0], "query", [["a"]])),
        ):
            before = time.monotonic()
            with pytest.raises(ServerUnavailable, match="tries in"):
                call()
            assert time.monotonic() - before < 2.5


def test_a_server_that_comes_back_is_found(tiny_artifact: Path, right: np.ndarray) -> None:
    """The only server is killed and started again on its port: a request that began in between is answered."""
    with ExitStack() as stack:
        first = stack.enter_context(serving(tiny_artifact))
        client = stack.enter_context(Client(first.grpc, timeout_ms=60_000))
        client.embed(first.space_ids[0], "query", ["a"])
        first.process.kill()
        first.process.wait()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.embed, first.space_ids[0], "query", TEXTS)
            port = first.told["grpc_port"]
            stack.enter_context(serving(tiny_artifact, options=("--grpc-port", str(port))))
            assert cosine_distance(np.asarray(waiting.result().vectors), right).max() <= FP32_CPU


def test_commands_name_one_of_several_spaces(tiny_artifact: Path, other_artifact: Path) -> None:
    """HOST:PORT alone is refused where two spaces are served, with the way to say which; HOST:PORT/SPACE works."""
    from samespace.cli.encoders import open_encoder

    with serving(tiny_artifact, other_artifact) as running:
        for space in running.space_ids:
            for text in (f"{running.grpc}/{space}", f"grpc://{running.grpc}/{space[:12]}"):
                with open_encoder(text) as encoder:
                    assert encoder.space_id == space
        with pytest.raises(UnknownSpace, match="HOST:PORT/SPACE"):
            open_encoder(running.grpc)
        with serving(tiny_artifact) as alone, pytest.raises(SpaceMismatch):
            Encoder.connect(f"{running.grpc},{alone.grpc}", space=running.space_ids[1])
