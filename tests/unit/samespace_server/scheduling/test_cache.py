"""What is remembered of queries, and for how long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samespace.embed import Embedded
from samespace_server.scheduling.cache import ENTRY_BYTES, VectorCache, key_of

DIMS = 4
ROW_BYTES = ENTRY_BYTES + 4 * DIMS + 64


def embedded(value: float, rows: int = 1) -> Embedded:
    vectors = np.full((rows, DIMS), value, dtype=np.float32)
    return Embedded(vectors, (3,), (rows,), tuple((0, 0, 1) for _ in range(rows)))


def test_the_least_recently_asked_goes_first() -> None:
    """With room for two, the third drives out the one that was asked longest ago, not the one that came first."""
    cache = VectorCache(2 * ROW_BYTES)
    first, second, third = (key_of(text, "pool") for text in ("a", "b", "c"))
    cache.put(first, embedded(1))
    cache.put(second, embedded(2))
    assert cache.get(first) is not None
    cache.put(third, embedded(3))
    assert [cache.get(key) is not None for key in (first, second, third)] == [True, False, True]


def test_what_changes_the_rows_changes_the_key() -> None:
    """Another text, or another way with long texts, is another entry; the same is the same."""
    keys = [key_of("a", "pool"), key_of("a", "windows"), key_of("b", "pool"), key_of("a\ud800", "pool")]
    assert len(set(keys)) == 4
    assert key_of("a", "pool") == keys[0]


def test_rows_are_copies_that_nobody_can_change() -> None:
    """A run's array is not kept alive by one row of it, and an entry cannot be written to."""
    cache, run = VectorCache(10_000), np.zeros((100, DIMS), dtype=np.float32)
    cache.put(key_of("a", "pool"), Embedded(run[3:4], (3,), (1,), ((0, 0, 1),)))
    run[:] = 7
    found = cache.get(key_of("a", "pool"))
    assert found is not None and found.vectors.base is None and not found.vectors.any()
    with pytest.raises(ValueError, match="read-only"):
        found.vectors[0, 0] = 1


def test_nothing_is_left_after_clear() -> None:
    """A cleared cache has its whole room again."""
    cache = VectorCache(ROW_BYTES)
    cache.put(key_of("a", "pool"), embedded(1))
    cache.clear()
    cache.put(key_of("b", "pool"), embedded(2))
    assert cache.get(key_of("a", "pool")) is None and cache.get(key_of("b", "pool")) is not None


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), max_size=60), st.integers(0, 8 * ROW_BYTES))
def test_the_bound_holds(puts: list[tuple[int, int]], max_bytes: int) -> None:
    """Whatever is put, the entries never take more than the bound, and what was put last is there if it fits."""
    cache = VectorCache(max_bytes)
    for text, rows in puts:
        cache.put(key_of(str(text), "pool"), embedded(text, rows))
        kept = [cache.get(key_of(str(each), "pool")) for each in range(9)]
        sizes = [ENTRY_BYTES + (4 * DIMS + 64) * len(each.vectors) for each in kept if each is not None]
        assert sum(sizes) <= max_bytes and len(sizes) == len(cache)
        assert (kept[text] is not None) == (ENTRY_BYTES + (4 * DIMS + 64) * rows <= max_bytes)
