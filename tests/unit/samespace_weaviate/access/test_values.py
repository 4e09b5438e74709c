"""What a passage has to be before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from samespace.errors import RequestInvalid
from samespace_weaviate import Passage


@pytest.mark.parametrize("name", [None, "", 3])
def test_a_passage_has_an_id(name: Any) -> None:
    """Those of None became one object, and 3 and "3" another one."""
    with pytest.raises(RequestInvalid, match="expected a string that is not empty"):
        Passage(name, "text")


def test_a_passage_has_a_text() -> None:
    text: Any = None
    with pytest.raises(RequestInvalid, match="of passage 'a' is NoneType, no string"):
        Passage("a", text)
