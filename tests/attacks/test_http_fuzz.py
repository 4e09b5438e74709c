"""Ten thousand malformed requests over HTTP: no crash, no 500, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from typing import Any

import pytest

from fakes.server.http import DIMS, SPACE, Door, Reader, ask, door, request
from samespace_server.settings import HttpLimits

# Short, because a request that is cut in the middle is waited for; long enough for a busy machine to read it.
LIMITS = HttpLimits(header_timeout_ms=3000, transfer_timeout_ms=3000, keep_alive_ms=3000, max_target_bytes=300)
BODIES: dict[str, dict[str, Any]] = {
    "vectors": {
        "text": "a list", "dims": 0, "vector": None, "error": "",
        "config": {"pooling_strategy": "masked_mean", "task_type": "query", "dimensions": 4, "long_texts": "pool"},
    },
    "v2/embed": {
        "texts": ["a", "b"], "model": "x", "input_type": "search_document", "embedding_types": ["float"],
        "truncate": "END", "output_dimension": DIMS, "long_texts": "windows",
    },
    "v1/embeddings": {
        "input": ["a", "b"], "model": "x", "encoding_format": "base64", "dimensions": DIMS, "input_type": "query",
        "user": "me",
    },
}  # fmt: skip
ATOMS: list[Any] = [
    None, True, False, 0, -1, 1, 4, 2**31, 2**63, 2**64, -(2**63), 1.5, 1e308, "", "a", "query", "x" * 5000, "\u0000",
    "\U0001f600", "\ufeff", "é" * 100, [], {}, [[]], [None], [1, 2], ["a"] * 100, {"": ""}, {"a": {"b": [{}]}},
]  # fmt: skip
# What no JSON writer would write.
RAW = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"00", b"1.", b".5", b"0x1", b"'a'", b'"\\ud800"',
    b'"\\udc00a"', b'"\xff\xfe"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\n"', b'"\\x"', b"123456789012345678901234567890",
    b"[" * 3000, b'{"a":' * 3000, b"[" * 3000 + b"]" * 3000, b'"a" "b"', b"/* c */ 1", b"nul", b"\x00", b"",
]  # fmt: skip
REFUSALS = {400, 404, 405, 408, 409, 413, 414, 415, 417, 431, 505}


def mutated(value: Any, chance: random.Random) -> Any:
    """*value* with one thing changed somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        changed = dict(value)
        key = chance.choice(sorted(changed))
        kind = chance.randrange(6)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[chance.choice(["", "text", "texts", "input", "é", "x" * 300])] = chance.choice(ATOMS)
        else:
            changed[key] = mutated(changed[key], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.6:
        changed = list(value)
        changed[chance.randrange(len(changed))] = chance.choice(ATOMS)
        return changed * chance.choice((1, 1, 3))
    return chance.choice(ATOMS)


def malformed_body(route: str, chance: random.Random) -> bytes:
    """A body of *route* that is wrong, or just odd, in one place or a few."""
    body: Any = BODIES[route]
    for _ in range(chance.randrange(1, 4)):
        body = mutated(body, chance)
    text = json.dumps(body).encode()
    kind = chance.randrange(8)
    if kind == 0:  # something that is no JSON, in place of a value
        return text.replace(b'"a"', chance.choice(RAW), 1) if b'"a"' in text else chance.choice(RAW)
    if kind == 1:  # the same key twice
        return text[:-1] + b', "text": 3, "input": 3, "texts": 3, "text": "b"}' if text.endswith(b"}") else text
    if kind == 2:
        return damaged(text, chance)
    return text


def damaged(data: bytes, chance: random.Random) -> bytes:
    """*data* with bytes changed, left out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        if not changed:
            break
        at = chance.randrange(len(changed))
        kind = chance.randrange(5)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 20)]
        elif kind == 2:
            changed[at:at] = changed[at : at + chance.randrange(1, 40)]
        elif kind == 3:
            changed[at:at] = chance.choice([b"\r\n", b"\n", b"\x00", b":", b" ", b"\xff", b"%", b"\r\n\r\n", b"0\r\n"])
        elif chance.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def malformed_request(chance: random.Random) -> bytes:
    """A request that is wrong in its body, its head, its framing or everywhere."""
    route = chance.choice(sorted(BODIES))
    path = chance.choice([
        f"/e/{SPACE}/{route}", f"/{route}", f"/e/{SPACE[:12]}/{route}/", f"/e/{'f' * 64}/{route}",
        f"/e/{'0' * 200}/{route}", f"/e//{route}", f"/e/%00/{route}", f"/e/../{route}", f"//{route}?a=b",
        "/e", "/e/", "/e/" + "é" * 5, "*", "/" + "x" * 500,
    ])  # fmt: skip
    headers = chance.sample(
        [
            "Transfer-Encoding: chunked", "Content-Length: 5", "Content-Length: -5", "Expect: 100-continue",
            "Expect: x", "Connection: close", "Connection: upgrade", "Upgrade: h2c", "Content-Encoding: gzip",
            "X: " + "y" * 20_000, "x-timeout-ms: 5000", "x-timeout-ms: nonsense", "traceparent: \xff",
            "Authorization: Basic !!", "Host: again",
        ],
        chance.randrange(3),
    )  # fmt: skip
    method = chance.choice(["POST"] * 8 + ["GET", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "BREW"])
    lines = [f"{method} {path} HTTP/{chance.choice(['1.1'] * 6 + ['1.0', '2.0', '9'])}", "Host: here", *headers]
    body = malformed_body(route, chance)
    if not any(each.startswith(("Content-Length", "Transfer")) for each in headers):
        lines.append(f"Content-Length: {len(body)}")
    sent = "\r\n".join([*lines, "", ""]).encode("utf-8") + body
    return damaged(sent, chance) if chance.random() < 0.5 else sent


def everything_is_gone(running: Door) -> None:
    """Nothing is open, counted or at work, and the next request is answered."""
    deadline = time.monotonic() + 60
    while running.run(lambda: running.server.open_connections):
        assert time.monotonic() < deadline, "connections stay open"
    assert running.run(lambda: running.server.held.held_bytes) == 0
    tasks = running.run(lambda: [task for task in asyncio.all_tasks() if "_run" in repr(task)])
    assert tasks == []
    (reply,) = ask(running.port, request())
    assert reply is not None and reply.status == 200


@pytest.mark.parametrize("route", sorted(BODIES))
def test_malformed_bodies_are_the_callers_fault(route: str) -> None:
    """2,500 bodies for each route, over one connection: 200 or 400 each, with three readable keys, in step."""
    chance = random.Random(f"bodies of {route}")
    with door() as running, running.connect() as sock:
        reader, statuses = Reader(sock), []
        for _ in range(125):
            bodies = [malformed_body(route, chance) for _ in range(20)]
            sock.sendall(b"".join(request(f"/e/{SPACE}/{route}", body) for body in bodies))
            for body in bodies:
                reply = reader.reply()
                assert reply is not None
                assert reply.status in (200, 400, 409), (body[:300], reply.body[:300])
                told = reply.json()
                assert reply.status == 200 or told.keys() >= {"error", "message", "detail"}
                statuses.append(reply.status)
    assert statuses.count(400) > 500
    assert statuses.count(200) > 125


def test_malformed_requests_leave_nothing_behind() -> None:
    """2,500 connections with anything on them: a named refusal, an answer, or the end; never a 500."""
    chance = random.Random("requests")
    answers: list[bytes] = []

    async def one(port: int, sent: bytes, turn: asyncio.Semaphore) -> None:
        async with turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(sent)
                answers.append(await asyncio.wait_for(reader.read(1 << 16), 60))
            except ConnectionResetError:
                answers.append(b"")
            finally:
                writer.close()

    async def crowd(port: int) -> None:
        turn = asyncio.Semaphore(250)
        await asyncio.gather(*(one(port, malformed_request(chance), turn) for _ in range(2500)))

    with door(LIMITS, max_body_bytes=20_000) as running:
        asyncio.run(crowd(running.port))
        everything_is_gone(running)
    statuses = [
        int(status) for answer in answers for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.MULTILINE)
    ]
    assert set(statuses) <= REFUSALS | {100, 200}
    assert len(set(statuses)) >= 8, set(statuses)
    assert len(answers) == 2500
    assert sum(map(bool, answers)) > 2000
