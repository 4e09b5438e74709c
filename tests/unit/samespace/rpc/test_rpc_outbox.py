"""The requests of a stream that may break: none lost, doubled or out of order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.rpc.messages import Ask
from samespace.rpc.outbox import Outbox

MAKE = Ask("a" * 64, "query").request


def outbox(count: int) -> Outbox:
    return Outbox(([f"text {number}"] for number in range(count)), MAKE)


@given(
    count=st.integers(0, 12),
    breaks=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_every_batch_is_answered_once_and_in_order(count: int, breaks: list[tuple[int, int]]) -> None:
    """Whatever is sent and answered before each break, the answers are all the batches, in order."""
    box = outbox(count)
    answered: list[int] = []
    for send, answer in [*breaks, (count, count)]:
        requests = box.requests()
        sent = [request.sequence for request, _ in zip(requests, range(send), strict=False)]
        assert sent == list(range(len(answered), len(answered) + len(sent)))
        for _ in range(min(answer, len(sent))):
            request = box.answered()
            assert request is not None
            answered.append(request.sequence)
    assert answered == list(range(count))
    assert box.answered() is None


def test_a_batch_that_a_broken_stream_still_asked_for_is_not_lost() -> None:
    """A thread of the old stream sits in the caller's iterator while the new stream begins: the batch goes there."""
    asked, go_on = threading.Event(), threading.Event()

    def batches() -> Iterator[list[str]]:
        yield ["first"]
        asked.set()
        go_on.wait(10)
        yield ["second"]

    box = Outbox(batches(), MAKE)
    old = box.requests()
    next(old)
    late: list[object] = []
    thread = threading.Thread(target=lambda: late.extend(old))
    thread.start()
    asked.wait(10)
    new = box.requests()  # while the old thread is inside of the iterator
    assert next(new).texts == ["first"]
    go_on.set()
    assert [list(request.texts) for request in new] == [["second"]]
    thread.join(10)
    assert len(late) <= 1  # what the broken stream may still have taken; its number is the same


def test_what_the_batches_raise_ends_the_sending_and_is_kept() -> None:
    """The error is kept for the caller's thread; gRPC's thread sees an end."""

    def batches() -> Iterator[list[str]]:
        yield ["first"]
        raise KeyError("mine")

    box = Outbox(batches(), MAKE)
    assert len(list(box.requests())) == 1
    assert isinstance(box.failure, KeyError)
    assert len(list(box.requests())) == 1  # also on the next stream
