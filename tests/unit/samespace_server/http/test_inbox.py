"""Bytes come out as they went in, in pieces of bounded size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samespace_server.http.inbox import PIECE_BYTES, Inbox


@given(st.lists(st.binary(min_size=1, max_size=5000), max_size=8), st.lists(st.integers(-5, 9000), max_size=50))
def test_nothing_is_lost_or_changed(parts: list[bytes], sizes: list[int]) -> None:
    """Whatever is asked for, each piece is at most so long, and all together are what was put in."""
    inbox, taken = Inbox(), []
    for part in parts:
        inbox.put(part)
    assert inbox.size == sum(map(len, parts))
    for size in [*sizes, *[10_000] * 10]:
        piece = inbox.take(size)
        assert len(piece) <= max(size, PIECE_BYTES)
        taken.append(piece)
    assert b"".join(taken) == b"".join(parts)
    assert inbox.size == 0 and inbox.take(1) == b""
