"""Every metric of a real server moves when it should, and there is none that nobody looked at."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest

from fakes.server.process import Running, serving
from samespace.errors import RequestInvalid
from samespace.rpc.client import Client

pytestmark = pytest.mark.integration

HEAVY: Final = {"texts": ["the value of the index is in the file " * 20] * 60, "input_type": "search_document"}


@pytest.fixture(scope="module")
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact, options=("--max-queued-tokens", "40000", "--cache-bytes", "100000")) as running:
        yield running


def url(server: Running, route: str) -> str:
    return f"{server.http}/e/{server.space_ids[0]}/{route}"


def embed_over_http(server: Running, role: str = "passage") -> None:
    body = {"text": "a list", "config": {"task_type": role}}
    assert httpx.post(url(server, "vectors"), json=body).status_code == 200


def ask_again(server: Running) -> None:
    for _ in range(2):
        embed_over_http(server, "query")


def embed_over_grpc(server: Running) -> None:
    with Client(server.grpc) as client:
        client.embed(server.space_ids[0], "passage", ["a", "a list of the user and of the index of the file"])


def ask_in_vain(server: Running) -> None:
    with Client(server.grpc) as client, pytest.raises(RequestInvalid):
        client.embed(server.space_ids[0], "query", ["a"], dims=7)


def overload(server: Running) -> None:
    async def scenario() -> set[int]:
        async with httpx.AsyncClient(timeout=60) as http:
            few = HEAVY | {"texts": HEAVY["texts"][:8]}  # more would be bulk, which waits
            work = [http.post(url(server, "v2/embed"), json=few) for _ in range(80)]
            return {response.status_code for response in await asyncio.gather(*work)}

    assert asyncio.run(scenario()) == {200, 503}


def speak_no_http(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.told["http_port"])) as connection:
        connection.sendall(b"\x00\x01\x02\r\n\r\n")
        while connection.recv(1000):
            pass


def speak_no_protobuf(server: Running) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        code = channel.unary_unary("/samespace.v1.Encoder/Embed").future(b"\xff\xff", timeout=20).code()
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@contextmanager
def heavy_work(server: Running) -> Iterator[None]:
    """A request that takes long enough to be seen at work, asked again until the block is left."""
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            assert httpx.post(url(server, "v2/embed"), json=HEAVY, timeout=60).status_code == 200

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        enough.set()
        asking.join()


@contextmanager
def heavy_stream(server: Running) -> Iterator[None]:
    """A stream of large messages, until the block is left."""
    enough = threading.Event()

    def batches() -> Iterator[list[str]]:
        while not enough.is_set():
            yield HEAVY["texts"]

    def send() -> None:
        with Client(server.grpc) as client:
            for _ in client.embed_stream(server.space_ids[0], "passage", batches()):
                pass

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        enough.set()
        sending.join()


@contextmanager
def open_stream(server: Running) -> Iterator[None]:
    """A stream that has been answered once and waits for more."""
    more = threading.Event()

    def batches() -> Iterator[list[str]]:
        yield ["a"]
        more.wait(60)

    with Client(server.grpc) as client:
        replies = client.embed_stream(server.space_ids[0], "query", batches())
        next(replies)
        try:
            yield
        finally:
            more.set()
            assert list(replies) == []


@contextmanager
def open_connection(server: Running) -> Iterator[None]:
    with httpx.Client() as http:
        http.get(f"{server.http}/meta")
        yield


# family -> (a sample of it, what counts there)
COUNTED: Final[dict[str, tuple[str, Callable[[Running], None]]]] = {
    "samespace_requests": ('samespace_requests_total{outcome="ok",route="vectors",', embed_over_http),
    "samespace_request_seconds": ('samespace_request_seconds_count{route="Embed",', embed_over_grpc),
    "samespace_texts": ('samespace_texts_total{role="passage",', embed_over_grpc),
    "samespace_windows": ("samespace_windows_total{", embed_over_http),
    "samespace_tokens": ("samespace_tokens_total{", embed_over_http),
    "samespace_padding_tokens": ("samespace_padding_tokens_total{", embed_over_grpc),
    "samespace_batch_rows": ("samespace_batch_rows_sum{", embed_over_grpc),
    "samespace_stage_seconds": ("samespace_stage_seconds_count{", embed_over_http),
    "samespace_cache": ('samespace_cache_total{outcome="hit",', ask_again),
    "samespace_refused": ('samespace_refused_total{reason="Overloaded",', overload),
    "samespace_http_refused": ('samespace_http_refused_total{reason="malformed"', speak_no_http),
    "samespace_grpc_refused": ('samespace_grpc_refused_total{reason="malformed"', speak_no_protobuf),
    "samespace_loop_lag_seconds": ("samespace_loop_lag_seconds_count", embed_over_http),
    "process_cpu_seconds": ("process_cpu_seconds_total", overload),
}
# Up within the block, and down again after it.
UP_AND_DOWN: Final[dict[str, Callable[[Running], AbstractContextManager[None]]]] = {
    "samespace_queued_tokens": heavy_work,
    "samespace_requests_at_work": heavy_work,
    "samespace_grpc_streams": open_stream,
    "samespace_http_connections": open_connection,
    "samespace_grpc_held_bytes": heavy_stream,
    "process_open_fds": open_connection,
}
# What is so while the server runs: (at least, at most).
STATES: Final[dict[str, tuple[float, float]]] = {
    "samespace_ready": (1, 1),
    "samespace_space_ready": (1, 1),
    "samespace_space_info": (1, 1),
    "samespace_build_info": (1, 1),
    "samespace_probe_worst": (0, 1e-6),
    "samespace_queue_limit_tokens": (40_000, 40_000),
    "process_resident_memory_bytes": (2e7, 4e9),
    "process_virtual_memory_bytes": (2e7, 1e13),
    "process_start_time_seconds": (1.7e9, 1e11),
    "process_max_fds": (16, 1e10),
}


def value(server: Running, sample: str) -> float:
    """The sum over all samples that begin like that."""
    page = httpx.get(f"{server.http}/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(sample))


@pytest.mark.parametrize("family", COUNTED)
def test_what_happens_is_counted(server: Running, family: str) -> None:
    """Each counter and histogram grows by what it says it counts."""
    sample, action = COUNTED[family]
    before = value(server, sample)
    action(server)
    while value(server, sample) <= before:  # a run is counted after its answers have left; the timeout is the limit
        pass


@pytest.mark.parametrize("name", UP_AND_DOWN)
def test_what_is_under_way_goes_up_and_down(server: Running, name: str) -> None:
    """Queue, requests, streams and connections are seen while they are there, and not afterwards."""
    before = value(server, f"{name}")
    with UP_AND_DOWN[name](server):
        while value(server, name) <= before:  # the test's own timeout is the limit
            pass
    while value(server, name) > before:
        pass


@pytest.mark.parametrize("name", STATES)
def test_what_is_so_is_told(server: Running, name: str) -> None:
    """Versions, limits, readiness, probes and the process's memory."""
    at_least, at_most = STATES[name]
    assert at_least <= value(server, name) <= at_most


def test_errors_are_counted_by_their_class(server: Running) -> None:
    """A refusal is not "ok", and its time is in no latency."""
    sample, timed = (
        'samespace_requests_total{outcome="RequestInvalid",route="Embed",',
        "samespace_request_seconds_count",
    )
    before, timed_before = value(server, sample), value(server, timed)
    ask_in_vain(server)
    assert value(server, sample) == before + 1
    assert value(server, timed) == timed_before


def test_no_caller_makes_a_label(server: Running) -> None:
    """A thousand unknown spaces, paths, roles and methods are a handful of label values."""
    embed_over_http(server)
    before = httpx.get(f"{server.http}/metrics").text.count("\n")
    for index in range(50):
        wrong = f"{index:064x}"
        for path in (
            f"e/{wrong}/vectors",
            f"e/{wrong}/v2/embed",
            f"e/{wrong}/v1/embeddings",
            wrong,
            f"e/{wrong}/{wrong}",
        ):
            httpx.request("POST" if index % 2 else f"METHOD{index}", f"{server.http}/{path}", json={"text": wrong})
    page = httpx.get(f"{server.http}/metrics").text
    assert f"{7:064x}" not in page
    assert page.count("\n") - before < 40


def test_no_metric_is_untested(server: Running) -> None:
    """Whoever adds a metric adds what moves it to this file."""
    page: Any = httpx.get(f"{server.http}/metrics").text
    families = set(re.findall(r"^# TYPE (\S+?)(?:_total)? (?:counter|gauge|histogram)$", page, re.MULTILINE))
    families = {each for each in families if not each.endswith("_created")}
    assert families == {*COUNTED, *UP_AND_DOWN, *STATES}
