"""samespace_weaviate.importing.pipeline and samespace_weaviate.importing.windows"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace_weaviate.importing.pipeline import Crew, run
from samespace_weaviate.importing.windows import typed


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 30), crew=st.builds(Crew, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
def test_every_item_goes_through_both_stages_once(count: int, crew: Crew) -> None:
    """Whatever the number of threads; all of them have ended."""
    found = sorted(run(range(count), lambda item: item * 2, lambda between: between + 1, crew))
    assert found == [item * 2 + 1 for item in range(count)]
    assert "samespace-import" not in [thread.name for thread in threading.enumerate()]


def test_two_batches_are_written_at_a_time_while_another_is_encoded() -> None:
    """Two writers and an encoder meet: none of them waits for the others to be done."""
    meeting = threading.Barrier(3, timeout=60)

    def encode(item: int) -> int:
        if item == 2:
            meeting.wait()
        return item

    def write(item: int) -> int:
        if item < 2:
            meeting.wait()
        return item

    assert sorted(run(range(4), encode, write, Crew(encoders=1, writers=2, ahead=2))) == [0, 1, 2, 3]


def test_nothing_piles_up_before_a_slow_writer() -> None:
    """At most what is written, what may wait, and one in the hands of each encoder is encoded."""
    go, encoded = threading.Event(), list[int]()
    full = threading.Event()

    def encode(item: int) -> int:
        encoded.append(item)
        if len(encoded) == 1 + 2 + 1:
            full.set()
        return item

    def write(item: int) -> int:
        assert full.wait(60)
        if item == 0:
            assert go.wait(60)
        return item

    results = run(range(20), encode, write, Crew(encoders=1, writers=1, ahead=2))

    def look() -> None:
        assert full.wait(60)
        seen.append(len(encoded))
        go.set()

    seen: list[int] = []
    watcher = threading.Thread(target=look)
    watcher.start()
    assert len(list(results)) == 20
    watcher.join()
    assert seen == [4]


@pytest.mark.parametrize("place", ["items", "encode", "write"])
def test_an_error_anywhere_ends_everything_and_reaches_the_caller(place: str) -> None:
    """Nothing is begun after it, and no thread is left."""

    def items() -> Iterator[int]:
        for item in range(1000):
            yield at("items", item)

    def at(here: str, item: int) -> int:
        if here == place and item == 5:
            raise RuntimeError(place)
        return item

    seen = 0
    with pytest.raises(RuntimeError, match=place):
        for _ in run(items(), lambda item: at("encode", item), lambda item: at("write", item), Crew()):
            seen += 1
    assert seen < 20
    assert "samespace-import" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("value", "data_type", "wanted"),
    [
        ("x", "text", "x"),
        (3, "text", "3"),
        ("12", "int", 12),
        (12.0, "int", 12),
        (2**60 + 1, "int", 2**60 + 1),
        ("1.5", "number", 1.5),
        ("TRUE", "boolean", True),
        (False, "boolean", False),
        ("2026-01-02", "date", "2026-01-02T00:00:00+00:00"),
        (datetime(2026, 1, 2, tzinfo=UTC), "date", "2026-01-02T00:00:00+00:00"),
        ("a", "text[]", ["a"]),
        ([1, "2"], "int[]", [1, 2]),
        ({"lat": 1}, "geoCoordinates", {"lat": 1}),
    ],
)
def test_values_become_what_the_property_takes(value: Any, data_type: str, wanted: Any) -> None:
    """CSV has only texts; what means the same is taken."""
    assert typed(value, data_type) == wanted
    assert type(typed(value, data_type)) is type(wanted)


@pytest.mark.parametrize(
    ("value", "data_type"),
    [("x", "int"), (1.5, "int"), (True, "number"), ("maybe", "boolean"), ("soon", "date"), ({}, "text")],
)
def test_values_that_are_something_else_are_refused(value: Any, data_type: str) -> None:
    """Nothing is rounded, guessed or dropped."""
    with pytest.raises(ValueError, match=r"."):
        typed(value, data_type)
