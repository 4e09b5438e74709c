"""Batches over several streams: each once, whatever a stream does."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pytest

from samespace.rpc.bulk import in_streams


def doubled(batches: Iterable[int]) -> Iterator[int]:
    for batch in batches:
        yield 2 * batch


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("number", [0, 1, 3, 50])
def test_every_batch_is_answered_once(count: int, number: int) -> None:
    """The answers belong to their batches, and none is missing, with more streams than batches too."""
    batches = [10 + at for at in range(number)]
    assert sorted(in_streams(doubled, batches, count)) == [(at, 2 * batch) for at, batch in enumerate(batches)]


def test_a_slow_stream_takes_fewer() -> None:
    """While one stream waits, the others go on with the rest."""
    waiting, go_on = threading.Event(), threading.Event()

    def one_is_slow(batches: Iterable[int]) -> Iterator[int]:
        for batch in batches:
            if batch == 0:
                waiting.set()
                go_on.wait(10)
            yield batch

    answers = in_streams(one_is_slow, list(range(20)), 2)
    first = [next(answers)[0] for _ in range(19)]
    assert waiting.is_set()
    assert sorted(first) == list(range(1, 20))
    go_on.set()
    assert [number for number, _ in answers] == [0]


def test_the_first_failure_comes_out() -> None:
    """An error of one stream is raised where the answers are read, and the others take no more batches."""
    taken: list[int] = []

    def fails(batches: Iterable[int]) -> Iterator[int]:
        for batch in batches:
            taken.append(batch)
            if batch == 3:
                raise KeyError("three")
            yield batch

    with pytest.raises(KeyError, match="three"):
        list(in_streams(fails, list(range(100_000)), 3))
    assert len(taken) < 100_000
