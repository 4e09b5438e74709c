"""JSON bodies: read within bounds, so that nobody's body holds others up.

A body of a few bytes for each value becomes a hundred times its size in objects: sixteen megabytes of `[],` took the
event loop 3.6 seconds. So the values of a large body are counted before any is made, and it is parsed in a thread, one
large body at a time.

A key that comes twice in one object is refused: of its two values one would win here, and another in the proxy that
looked at it before.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import orjson

from samespace.errors import RequestInvalid

SMALL_BYTES: Final = 1 << 16
"""A body of this size is parsed within a few milliseconds, whatever it holds."""
OTHER_VALUES: Final = 16_384
"""Values beside the texts: ours have a dozen, and who sends token ids is told why they are of no use."""
FULL: Final = "too many bytes are being received; try again, or another server"
_SMALL_CHUNK: Final = 64
"""Bytes of a body's chunks on the average, where there are more than `_FEW_CHUNKS`."""
_FEW_CHUNKS: Final = 4096
_PIECE: Final = 1 << 20
_OF_A_TEXT: Final = 73
"""Bytes of a text beside its characters where it is not ASCII; with wider ones a few more, with ASCII fewer."""
_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="json")  # starts with its first work


def chunks_too_small(chunks: int, size: int) -> str:
    """What is wrong with a body of *size* bytes in so many chunks, each of which costs a call; "" for nothing."""
    if chunks <= _FEW_CHUNKS + size // _SMALL_CHUNK:
        return ""
    return f"chunks of less than {_SMALL_CHUNK} bytes, thousands of them"


async def read_object(body: bytes, *, most_texts: int) -> dict[str, Any]:
    """The object that *body* is; raises `RequestInvalid`."""
    if len(body) <= SMALL_BYTES:
        return parse_object(body)
    return await asyncio.get_running_loop().run_in_executor(_thread, _read_large, body, most_texts + OTHER_VALUES)


def _read_large(body: bytes, most: int) -> dict[str, Any]:
    check_values(body, most)
    return parse_object(body)


def grown(body: bytes) -> int:
    """By how many bytes the texts of *body* may be larger than it is: one wide character makes all of its text wide.

    Python keeps a text with 1, 2 or 4 bytes for each character (PEP 393); UTF-8 and JSON's escapes have 1 to 12.
    """
    if body.isascii() and b"\\u" not in body:
        return 0
    characters, width = 0, 1
    for start in range(0, len(body), _PIECE):  # so that other threads get a turn
        # What stands over an edge is whole in one piece: a character, or an escape of six bytes.
        text = body[max(0, start - 5) : start + _PIECE].decode(errors="ignore")
        kept = (sys.getsizeof(text) - _OF_A_TEXT) // max(1, len(text))  # bytes for each: Python looked at all of them
        if escapes := text.count("\\u"):
            surrogates = text.count("\\ud") + text.count("\\uD")
            kept = max(kept, 4 if surrogates else 2 if escapes > text.count("\\u00") else 1)
        characters += len(text) - 5 * escapes
        width = max(width, min(4, kept))
    return max(0, width * characters - len(body))


async def growth(body: bytes) -> int:
    """The same, of a large body in the thread that will read it."""
    if len(body) <= SMALL_BYTES:
        return grown(body)
    return await asyncio.get_running_loop().run_in_executor(_thread, grown, body)


def check_values(body: bytes, most: int) -> None:
    """Raise `RequestInvalid` where *body* has more than *most* values (or as many strings), without making any.

    What is no JSON is left to the parser, which stops where it is wrong.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) < most:  # those inside of texts included
        return
    bare = _without_escapes(body)
    if bare.count(b'"') <= 4 * most:
        outside = bare.split(b'"')[::2]
        if sum(part.count(b",") + part.count(b"[") + part.count(b"{") for part in outside) < most:
            return
    told = f"more than {most} values in one request; send fewer texts, or raise the server's --max-texts"
    raise RequestInvalid(field="body", reason=told)


def _without_escapes(body: bytes) -> bytes:
    """*body* with quotes only where a text begins or ends: every other part between them is outside of texts."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")  # from the left: in \\" the quote ends a text


def _check_keys(body: bytes, value: dict[str, Any]) -> None:
    """Raise `RequestInvalid` where *body* has more keys than *value*, which was parsed from it."""
    keys, rest = 0, [cast(Any, value)]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            keys += len(each)
            each = list(each.values())
        rest += [inner for inner in each if isinstance(inner, dict | list)]
    if body.count(b":") == keys:  # in texts there are none
        return
    if sum(part.count(b":") for part in _without_escapes(body).split(b'"')[::2]) != keys:
        try:
            json.loads(body, object_pairs_hook=_one_value_each)
        except RecursionError:
            raise RequestInvalid(field="body", reason="a key that comes twice in one object") from None


def _one_value_each(pairs: list[tuple[str, Any]]) -> None:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            reason = f"{name[:80]!r} comes {times} times in one object; send it once"
            raise RequestInvalid(field="body", reason=reason)


def parse_object(body: bytes) -> dict[str, Any]:
    """The object that *body* is; raises `RequestInvalid`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestInvalid(field="body", reason=f"not JSON: {error.msg} at byte {error.pos}") from None
    if not isinstance(value, dict):
        raise RequestInvalid(field="body", reason="expected a JSON object")
    _check_keys(body, value)
    return value
