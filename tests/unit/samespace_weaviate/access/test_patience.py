"""samespace_weaviate.access.patience and .transient: what is tried again, when, and until when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from fakes.clock import FakeClock
from samespace.errors import Overloaded, WeaviateError, WeaviateUnavailable
from samespace_weaviate import Failure, StoredObject
from samespace_weaviate.access.patience import NONE
from samespace_weaviate.access.transient import CODES, STATUSES, code_may_pass, reason_may_pass, status_may_pass

GONE = WeaviateUnavailable(address="here", reason="gone")
OBJECTS = [StoredObject(UUID(int=number), {}) for number in range(3)]


def failing(*errors: Exception) -> Callable[[], int]:
    """A question that fails so often, and is then answered with the number of times that it was put."""
    left, asked = list(errors), 0

    def ask() -> int:
        nonlocal asked
        asked += 1
        if left:
            raise left.pop(0)
        return asked

    return ask


def test_pauses_grow_up_to_a_bound_and_the_last_try_is_at_the_limit() -> None:
    """Seconds of the first failure on, not numbers of tries; a slow answer uses up its own time."""
    time = FakeClock()
    with pytest.raises(WeaviateUnavailable):
        time.patience(30).ask(failing(*[GONE] * 99))
    assert time.pauses == [1, 2, 4, 8, 8, 7]
    assert time.patience().ask(failing(GONE, GONE)) == 3


def test_the_first_question_may_take_long() -> None:
    """What counts is how long it has been failing."""
    time = FakeClock()

    def slow() -> str:
        if time.now_s == 0:
            time.now_s = 1000
            raise GONE
        return "answer"

    assert time.patience(5).ask(slow) == "answer"


def test_other_errors_and_no_patience_are_told_at_once() -> None:
    """A refusal is no outage."""
    time = FakeClock()
    with pytest.raises(WeaviateError, match="refused"):
        time.patience().ask(failing(WeaviateError("refused")))
    with pytest.raises(WeaviateUnavailable):
        NONE.ask(failing(GONE))
    assert time.pauses == []


def test_a_busy_server_is_waited_for_as_long_as_it_says() -> None:
    """And no longer than the limit."""
    time = FakeClock()
    busy = Overloaded(queued=9, limit=8, unit="tokens", retry_after_ms=250)
    assert time.patience(1).ask(failing(busy, busy), (Overloaded,)) == 3
    assert time.pauses == [0.25, 0.25]


def test_who_is_not_back_is_not_asked() -> None:
    """The question waits until it is, or for the limit."""
    time, asked = FakeClock(), failing(GONE)
    assert time.patience(20).ask(asked, is_back=lambda: time.now_s >= 5) == 2
    assert time.now_s == 5
    with pytest.raises(WeaviateUnavailable):
        time.patience(20).ask(failing(*[GONE] * 99), is_back=lambda: False)
    assert time.now_s == 25


def writes(*refusals: dict[int, str]) -> tuple[Callable[[Sequence[StoredObject]], list[Failure]], list[list[int]]]:
    """A write that refuses so in turn, and what it was given each time."""
    left, sent = list(refusals), []

    def write(objects: Sequence[StoredObject]) -> list[Failure]:
        sent.append([each.uuid.int for each in objects])
        refused = left.pop(0) if left else {}
        return [Failure(UUID(int=number), reason) for number, reason in refused.items() if number in sent[-1]]

    return write, sent


def test_only_what_may_pass_is_written_again() -> None:
    """What is refused for good comes back with its reason, and is sent once."""
    time = FakeClock()
    write, sent = writes({0: "no such vector", 1: "deadline exceeded"}, {1: "503 Service Unavailable"})
    failures = time.patience().write(OBJECTS, write)
    assert [(failure.uuid.int, failure.reason) for failure in failures] == [(0, "no such vector")]
    assert (sent, time.pauses) == ([[0, 1, 2], [1], [1]], [1, 2])


def test_what_does_not_pass_comes_back_at_the_limit() -> None:
    """With its last reason; nothing is lost on the way."""
    time = FakeClock()
    write, sent = writes(*[{1: "timeout"}] * 99)
    assert [failure.uuid.int for failure in time.patience(10).write(OBJECTS, write)] == [1]
    assert len(sent) == 5
    assert time.now_s == 10


@pytest.mark.parametrize(
    "reason",
    [
        "503 Service Unavailable", "failed with status: 503 error", "status 429: slow down", "HTTP 504",
        "status code 502", "Gateway Timeout", "gateway time-out", "Bad Gateway", "too many requests",
        "429 Too Many Requests", "send POST request: context deadline exceeded", "connection refused",
        "read: connection reset by peer", "write: broken pipe", "context canceled", "timed out", "i/o timeout",
        "rpc error: code = Unavailable", "leader not found", "cannot reach enough replicas",
        "cannot achieve consistency level \"QUORUM\"", "Server disconnected without sending a response.",
        "the server is overloaded: 9 tokens queued",
    ],
)  # fmt: skip
def test_reasons_that_may_pass(reason: str) -> None:
    """As Weaviate, its modules, proxies and our own server say them."""
    assert reason_may_pass(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "vector has length 504, expected 384", "property n: 503 is not a text", "no such vector",
        "new node has a vector with length 429. Existing nodes have vectors with length 384",
        "cannot achieve consistency level ALL: read repair error: conflict: object has been deleted on another replica",
        "does not have named vector e_502502502502", "could not find class Article503 in schema",
        "Received message larger than max (209715200 vs. 104858000): timeout", "not allowed", "",
    ],
)  # fmt: skip
def test_reasons_that_stay(reason: str) -> None:
    """A number that looks like a status is none without a word for it."""
    assert not reason_may_pass(reason)


def test_statuses_and_codes() -> None:
    """The one table of the plugin."""
    assert {status for status in range(100, 600) if status_may_pass(status)} == STATUSES == {408, 429, 502, 503, 504}
    assert {code for code in (*CODES, "UNKNOWN", "INTERNAL", "NOT_FOUND") if code_may_pass(code)} == CODES
    assert not code_may_pass("RESOURCE_EXHAUSTED", "Sent message larger than max")
