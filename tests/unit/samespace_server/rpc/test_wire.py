"""Entries of a protobuf message, counted by hopping: compared with what protobuf itself writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samespace.errors import RequestInvalid
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace_server.rpc.wire import check_entries


@given(st.lists(st.text(max_size=300), max_size=40), st.integers(0, 2**64 - 1))
def test_each_text_is_an_entry(texts: list[str], sequence: int) -> None:
    """And so is each field that is set; one less than there are is too few."""
    request = pb.EmbedRequest(space_id="a" * 64, role=pb.ROLE_QUERY, texts=texts, sequence=sequence)
    entries = 2 + len(texts) + (sequence > 0)
    data = request.SerializeToString()
    check_entries(data, entries)
    with pytest.raises(RequestInvalid):
        check_entries(data, entries - 1)


@pytest.mark.parametrize("entry", [b"\x1a\x00", b"\x78\x00", b"\x7b\x7c", b"\x7b", b"\x7d\x00\x00\x00\x00"])
def test_entries_without_end_are_refused(entry: bytes) -> None:
    """Empty texts, unknown numbers, groups within groups: none of them is a way round."""
    with pytest.raises(RequestInvalid, match="more than 2112 entries"):
        check_entries(entry * 1_000_000, 2112)


@given(st.binary(max_size=2000))
def test_noise_does_no_harm(data: bytes) -> None:
    """It ends, with a refusal or without."""
    try:
        check_entries(data, 10)
    except RequestInvalid:
        assert len(data) > 10
