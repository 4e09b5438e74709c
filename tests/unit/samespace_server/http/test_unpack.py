"""Bodies in gzip: what is in them counts, however small they come."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fakes.server.http import SPACE, Door, door
from samespace_server.settings import HttpLimits

LIMIT_BYTES = 1 << 20
PATH = f"/e/{SPACE}/vectors"


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    with door(HttpLimits(max_held_bytes=3 << 20), max_body_bytes=LIMIT_BYTES) as opened:
        yield opened


def post(running: Door, body: bytes, encoding: str = "gzip", path: str = PATH) -> httpx.Response:
    return running.client.post(path, content=body, headers={"content-encoding": encoding})


def held(running: Door) -> int:
    return int(running.run(lambda: running.server.held.held_bytes))


def packed(value: Any) -> bytes:
    return gzip.compress(json.dumps(value).encode(), mtime=0)  # the same bytes in every worker's test names


@pytest.mark.parametrize("text", ["a", "word " * 100_000], ids=["small", "large"])
def test_a_body_in_gzip_is_as_one_that_is_not(running: Door, text: str) -> None:
    """The same answer, in any spelling of the word, and nothing is held afterwards."""
    for encoding in ("gzip", "GZIP"):
        reply = post(running, packed({"text": text}), encoding)
        assert reply.status_code == 200
        assert reply.json() == running.client.post(PATH, json={"text": text}).json()
    assert held(running) == 0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"not gzip", 400, "not gzip"),
        (b"", 400, "ends in the middle"),
        (packed({"text": "a"})[:-9], 400, "ends in the middle"),
        (packed({"text": "a"}) + b"x", 400, "after the end"),
        (packed({"text": "a"}) * 2, 400, "after the end"),
        (packed({"text": "a" * LIMIT_BYTES}), 413, "when unpacked"),
        (gzip.compress(b" " * (200 << 20), mtime=0), 413, "when unpacked"),
    ],
    ids=["no gzip", "empty", "cut", "with a tail", "two", "large", "bomb"],
)
def test_what_is_wrong_with_one_is_told(running: Door, body: bytes, status: int, words: str) -> None:
    """And the connection goes on."""
    reply = post(running, body)
    assert reply.status_code == status and words in reply.json()["error"]
    assert post(running, packed({"text": "a"})).status_code == 200
    assert held(running) == 0


def test_openai_shows_what_is_wrong(running: Door) -> None:
    """Its clients show nothing of an error that is no object."""
    reply = post(running, b"no gzip at all", path="/v1/embeddings")
    assert "not gzip" in reply.json()["error"]["message"], reply.text


def test_what_is_unpacked_is_held_until_it_is_answered(running: Door) -> None:
    """A few kilobytes each, and together more than may be held: who comes last is told to try again."""
    replies: list[int] = []
    body = packed({"text": "wait", "more": "a" * (900 << 10)})
    assert len(body) < 2000

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            reply = client.post(running.url + PATH, content=body, headers={"content-encoding": "gzip"})
            replies.append(reply.status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(replies) < 5:
        threading.Event().wait(0.01)
    running.run(running.engine.gate.set)
    for thread in threads:
        thread.join()
    assert sorted(replies) == [200] * 3 + [503] * 5
    assert held(running) == 0
