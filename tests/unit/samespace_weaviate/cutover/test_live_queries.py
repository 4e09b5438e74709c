"""samespace_weaviate.cutover.live: queries from a stream, for a time, none of them asked twice."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from samespace.errors import RequestInvalid
from samespace_weaviate.cutover.compare import compare_collections
from samespace_weaviate.cutover.live import WAITING, LiveQueries
from samespace_weaviate.cutover.verdict import Decision

from .test_cutover_compare import Collections, plain, sides


def test_the_lines_are_asked_as_they_come_and_each_query_once() -> None:
    database = Collections({"Old": plain(range(100)), "New": plain(range(100))})
    lines = [f"query {number % 30}\n" for number in range(90)]
    found = compare_collections(*sides(database, "passageId"), LiveQueries(["\n", *lines]))
    assert [each.query for each in found.asked] == [f"query {number}" for number in range(30)]
    assert found.verdict.decision is Decision.GO


def test_a_stream_that_goes_on_is_left_when_the_time_is_over() -> None:
    """Nobody writes another line, and the answer comes all the same."""
    over = threading.Event()

    def lines() -> Iterator[str]:
        yield "first"
        over.wait(60)

    began = time.monotonic()
    try:
        assert list(LiveQueries(lines(), 0.3)) == ["first"]
    finally:
        over.set()
    assert 0.3 <= time.monotonic() - began < 30


def test_queries_that_come_too_fast_are_counted() -> None:
    """None is lost without a word, and memory has a bound."""
    live = LiveQueries((f"query {number}" for number in range(WAITING + 50)), 60.0)
    stream = iter(live)
    assert next(stream) == "query 0"
    deadline = time.monotonic() + 30
    while live.left_out < 48 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert live.left_out in (48, 49, 50)


def test_a_stream_ends_where_memory_does() -> None:
    assert len(list(LiveQueries(("a" for _ in range(1_000)), most=10))) == 10


def test_no_query_is_no_verdict() -> None:
    database = Collections({"Old": plain(range(100)), "New": plain(range(100))})
    with pytest.raises(RequestInvalid, match="are missing"):
        compare_collections(*sides(database, "passageId"), LiveQueries([]))


def test_lines_that_are_no_text_are_an_error() -> None:
    def lines() -> Iterator[str]:
        yield "first"
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    with pytest.raises(RequestInvalid, match="invalid start byte"):
        list(LiveQueries(lines()))


def test_a_program_ends_although_a_thread_waits_for_standard_input() -> None:
    """A thread inside of Python's buffer for standard input makes the interpreter abort at its end."""
    code = (
        "from samespace.cli.weaviate.compare import _lines_as_they_come\n"
        "from samespace_weaviate.cutover.live import LiveQueries\n"
        "print(list(LiveQueries(_lines_as_they_come(), 3.0)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stdin.write("wie geht’s\n".encode())
        child.stdin.flush()
        assert child.wait(60) == 0, child.stderr.read().decode()
        assert child.stdout.read().decode().strip() == "['wie geht’s']"
