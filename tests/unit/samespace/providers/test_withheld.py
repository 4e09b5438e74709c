"""samespace.providers.withheld: what a hosted encoder gave is noted once it was asked again."""

from __future__ import annotations

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeEncoder
from fakes.weaviate.swapping import Swapping
from samespace.errors import VectorsDisagree
from samespace.providers.withheld import Withheld


def test_facts_wait_until_the_encoder_was_asked_after_them() -> None:
    """In their order; what was encoded since it was last asked waits on."""
    noted: list[str] = []
    encoder = Swapping(FakeEncoder(SPACE), FakeEncoder(OTHER_SPACE))
    facts = Withheld[str](encoder, noted.append)
    for fact in "ab":
        encoder.encode([fact], "passage")
        facts.add(fact)
    assert noted == []
    encoder.ask()  # ten minutes are over
    encoder.encode(["c"], "passage")
    facts.add("c")
    assert noted == ["a", "b"]
    facts.confirm()
    assert noted == ["a", "b", "c"]


def test_nothing_is_noted_of_an_encoder_that_became_another_one() -> None:
    noted: list[str] = []
    encoder = Swapping(FakeEncoder(SPACE), FakeEncoder(OTHER_SPACE))
    facts = Withheld[str](encoder, noted.append)
    encoder.encode(["a"], "passage")
    facts.add("a")
    encoder.swapped = True
    with pytest.raises(VectorsDisagree):
        facts.confirm()
    assert noted == []


@pytest.mark.parametrize("encoder", [None, FakeEncoder(SPACE)])
def test_what_cannot_become_another_one_is_believed_at_once(encoder: FakeEncoder | None) -> None:
    noted: list[str] = []
    facts = Withheld[str](encoder, noted.append)
    facts.add("a")
    assert noted == ["a"]
    facts.confirm()
    assert noted == ["a"]
