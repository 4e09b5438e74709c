"""The reading of replies as Go does it, against what running Weaviates did (`REPLIES`)."""

from __future__ import annotations

import pytest

from fakes.weaviate.go_json import REPLIES, VECTORS, Refused, Seen, decode


@pytest.mark.parametrize("seen", REPLIES, ids=lambda seen: seen.name)
def test_a_reply_is_read_as_weaviate_read_it(seen: Seen) -> None:
    """What was stored decodes, with its vector; what decodes without one was stored empty or refused later."""
    try:
        read = decode(seen.spec, seen.body)
    except Refused:
        assert seen.outcome == "refused"
        return
    found = read["vector"] if seen.spec is VECTORS else ((read["embeddings"] or {}).get("float") or [None])[0]
    assert (seen.outcome == "stored") == bool(found)


def test_unknown_fields_are_left_out() -> None:
    """The struct decides what there is."""
    assert decode({"text": str, "dims": int}, b'{"TEXT": "a", "windows": [1]}') == {"text": "a", "dims": None}


@pytest.mark.parametrize("body", [b'{"dims": true}', b'{"dims": 1.0}', b'{"dims": "1"}', b"[]", b"3", b""])
def test_another_type_is_refused(body: bytes) -> None:
    """A bool is no int, and neither is 1.0; a list is no object."""
    with pytest.raises(Refused):
        decode({"dims": int}, body)
