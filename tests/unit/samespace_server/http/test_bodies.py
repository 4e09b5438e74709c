"""Bodies are counted before they are parsed, and what is counted is what JSON holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.errors import RequestInvalid
from samespace_server.http.bodies import SMALL_BYTES, check_values, parse_object, read_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('a"\\,[]{}:/é\n'), max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
    max_leaves=30,
)


def count(value: Any) -> int:
    """How many values there are, containers included: each but the first of a list comes after a comma."""
    if isinstance(value, list | dict):
        inside = list(value.values()) if isinstance(value, dict) else value
        return 1 + max(0, len(inside) - 1) + sum(count(each) - (not isinstance(each, list | dict)) for each in inside)
    return 1


@settings(deadline=None, max_examples=300)
@given(VALUES, st.booleans())
def test_what_is_counted_is_what_is_there(value: Any, ascii_only: bool) -> None:
    """Quotes, escapes and brackets inside of texts count for nothing; compared with a walk over the parsed value."""
    body = json.dumps([value], ensure_ascii=ascii_only).encode()
    there = count([value])
    check_values(body, there + 1)
    if there > 1 and body.count(b'"') <= 4 * (there - 1):
        with pytest.raises(RequestInvalid):
            check_values(body, there - 1)


@pytest.mark.parametrize("entry", [b"[],", b"{},", b"1,", b'"",', b'"a",', b'[["\\"",', b'{"a":'])
def test_millions_of_values_are_refused(entry: bytes) -> None:
    """Whatever they are, flat or deep."""
    with pytest.raises(RequestInvalid, match="more than 18432 values"):
        check_values(b'{"input": [' + entry * 1_000_000, 2048 + 16_384)


def test_a_long_text_full_of_commas_is_let_through() -> None:
    """A megabyte of punctuation is one value."""
    body = json.dumps({"text": '[{,"\\"}]' * 200_000}).encode()
    assert len(body) > SMALL_BYTES
    assert asyncio.run(read_object(body, most_texts=2048)) == json.loads(body)


@pytest.mark.parametrize("body", [b"[]", b"1", b"", b"nul", b"[" * 5000, b'{"a": 1' + b" " * SMALL_BYTES])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """By name, however long it is."""
    with pytest.raises(RequestInvalid, match="body"):
        asyncio.run(read_object(body, most_texts=10))


@pytest.mark.parametrize(
    "body",
    [
        b'{"input": "a", "input": "b"}',
        b'{"a\\\\": 1, "a\\\\" : 1}',
        b'{"model": "x", "mod\\u0065l": "y"}',
        b'{"a:\\"": 1, "a:\\"": 2, "b": ":"}',
        b'{"input": ["a"], "config": {"task_type": "query", "task_type": "query"}}',
        b'{"x": [[{"a": 1, "a": {}}]]}',
    ],
)
def test_a_key_with_two_values_is_refused(body: bytes) -> None:
    """Also by another spelling, deep inside, and where both say the same."""
    with pytest.raises(RequestInvalid, match="comes 2 times in one object"):
        parse_object(body)


def test_a_key_twice_at_any_depth_is_the_callers_fault() -> None:
    for depth in (10, 500, 1000):
        with pytest.raises(RequestInvalid):
            parse_object(b'{"x":' + b"[" * depth + b'{"a": 1, "a": 2}' + b"]" * depth + b"}")


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.text(st.sampled_from('a"\\,:{é')), VALUES), st.booleans())
def test_an_object_with_one_value_each_is_taken(value: dict[str, Any], ascii_only: bool) -> None:
    """Whatever its keys and texts hold: colons, quotes and escapes too."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse_object(body) == orjson.loads(body)
