"""What texts take in a server's memory: as they are kept, and after they were refused."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence

import numpy as np
import orjson
import pytest

from fakes.server.http import door
from samespace.errors import SamespaceError, SpaceNotReady
from samespace_server.http.bodies import grown


def held_in_cycles() -> list[SamespaceError]:
    """Our errors that are alive and lead to the frames in which they were raised."""
    return [each for each in gc.get_objects() if issubclass(type(each), SamespaceError) and each.__traceback__]


def test_what_was_refused_is_let_go_at_once() -> None:
    """Over every path, whatever is wrong: no error keeps the frames, and so the texts, that it came from."""
    bodies = [
        orjson.dumps({"text": ["a"] * 10, "texts": ["a"] * 10, "input": ["a"], "inputs": "a", "model": "0" * 12}),
        orjson.dumps({"text": 7, "texts": 7, "input": 7, "inputs": 7, "query": 7, "documents": 7}),
        orjson.dumps({"text": "refuse", "texts": ["refuse"], "input": "refuse", "inputs": "refuse"}),
        b"[", b"{}", b"",
    ]  # fmt: skip

    async def refuse(texts: Sequence[str], *_: object, **__: object) -> object:
        if refusal := SpaceNotReady(space="here", reason="a fault"):
            raise refusal  # the frame holds what holds the frame
        return texts

    with door() as served:
        served.engine.embed = refuse  # type: ignore[method-assign]
        paths = [path for path in served.server.app.paths if "openapi" not in path]  # type: ignore[attr-defined]
        gc.collect()
        gc.disable()
        try:
            for path in paths:
                for where in (f"/{path}", f"/e/{served.engine.space_id}/{path}", f"/e/{'0' * 12}/{path}"):
                    for body in bodies:
                        served.client.post(where.replace("*", "x"), content=body)
                    served.client.get(where.replace("*", "x"))
            assert held_in_cycles() == []
        finally:
            gc.enable()


@pytest.mark.parametrize(
    "texts",
    [
        ["a" * 1000, "\U0001f600" + "b" * 1000],
        ["caf\u00e9 " * 100],
        ["\u2026" + "c" * 5000],
        ["\u4e2d\u6587" * 400],
        ["\U0001f600" * 300],
        ["plain"],
        ["d" * 3_000_000, "\u2026"],
        ["e" * ((1 << 20) - 14) + "\U0001f600" + "e" * 100_000],
        ["\u4e2d" + "\\u" * 30],
    ],
)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_texts_are_counted_as_large_as_they_become(texts: list[str], ascii_only: bool) -> None:
    """What is counted beside the body is at least what Python's texts take beyond it, however the body is written."""
    body = json.dumps({"input": texts}, ensure_ascii=ascii_only).encode()
    taken = sum(sys.getsizeof(text) - sys.getsizeof("") for text in json.loads(body)["input"])
    assert taken <= len(body) + grown(body) + 100 * len(texts)
    assert grown(body) <= 4 * len(body)


def test_plain_bodies_count_as_they_are() -> None:
    assert grown(b'{"input": "plain"}') == 0
    assert grown('{"input": "caf\u00e9"}'.encode()) == 0  # Latin-1 has a byte for each
    assert grown('{"input": "\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587"}'.encode()) < 12
    assert np.isclose(grown(b'{"input": "' + b"a" * 10_000 + "\U0001f600".encode() + b'"}'), 30_000, rtol=0.01)
