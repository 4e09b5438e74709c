"""samespace.encoder.RemoteEncoder: many texts over a bulk stream"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from samespace.encoder import RemoteEncoder
from samespace.errors import RequestInvalid
from samespace.rpc.bulk import STREAM_CHARS, STREAM_TEXTS
from samespace.rpc.client import Client
from samespace.rpc.messages import Reply, Timings
from samespace.vectors import Vectors

SPACE = "a" * 64


class FakeClient:
    """A client whose server gives each text two windows, and refuses what is no text."""

    def __init__(self) -> None:
        self.address = SimpleNamespace(replicas=("one",))
        self.sent: list[int] = []

    def find_space(self, space: str | None) -> Any:
        return SimpleNamespace(space_id=SPACE, name="fake", dims=1, token_limit=4)

    def embed_stream(
        self, space_id: str, role: str, batches: Iterable[Sequence[str]], **rest: object
    ) -> Iterator[Reply]:
        for texts in batches:
            if not all(isinstance(text, str) for text in texts):
                raise RequestInvalid(field="texts", reason="not a string")
            self.sent.append(len(texts))
            spans = [(index, start, start + 1) for index in range(len(texts)) for start in range(2)]
            rows = Vectors(np.ones((len(spans), 1), dtype=np.float32), SPACE)
            yield Reply(rows, (2,) * len(texts), (2,) * len(texts), tuple(spans), Timings(0, 0, 0))


def test_a_message_has_so_many_texts_or_so_many_characters() -> None:
    """Servers bound the tokens of a message; a text beyond the bound travels alone. Spans count over all messages."""
    client = FakeClient()
    encoder = RemoteEncoder(cast(Client, client), None)
    texts = ["x"] * (STREAM_TEXTS + 1) + ["y" * (STREAM_CHARS // 2)] * 3 + ["z" * 2 * STREAM_CHARS, "x"]
    found = encoder.encode_detailed(texts, "passage", long_texts="windows")
    assert client.sent == [STREAM_TEXTS, 2, 2, 1, 1]
    assert [text for text, _, _ in found.spans] == [index for index in range(len(texts)) for _ in range(2)]
    assert len(found.vectors) == 2 * len(texts)


def test_an_encoder_shows_what_it_is() -> None:
    """In a notebook: its name, its dims and its space, and no address in memory."""
    shown = repr(RemoteEncoder(cast(Client, FakeClient()), None))
    assert shown == f"RemoteEncoder('fake', 1 dims, space {SPACE[:12]})"


def test_what_is_no_text_is_refused_where_texts_are_looked_at() -> None:
    """Cutting a list into messages does not trip over it."""
    encoder = RemoteEncoder(cast(Client, FakeClient()), None)
    with pytest.raises(RequestInvalid):
        encoder.encode_detailed(cast(Any, ["a", 3]), "passage")
