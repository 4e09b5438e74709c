"""Bodies are counted before they are parsed, and what is counted is what JSON holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.errors import RequestInvalid
from samespace_server.http.bodies import SMALL_BYTES, check_values, read_object

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
