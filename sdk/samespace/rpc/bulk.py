"""A list of batches over several streams, so that bulk work uses all replicas and not the one of a single stream.

The streams take batches from one list, each when it can send another: a slow replica just takes fewer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final, TypeVar

Batch = TypeVar("Batch")
Answer = TypeVar("Answer")

STREAM_TEXTS: Final = 64
"""Texts of one message of a bulk stream."""
STREAM_CHARS: Final = 32_768
"""Characters of one message, unless one text has more. A large encoder on a slow CPU computes these 16 full inputs in
seconds; who waits hears of it before the time is up."""


def in_streams(
    stream: Callable[[Iterable[Batch]], Iterator[Answer]], batches: Sequence[Batch], count: int
) -> Iterator[tuple[int, Answer]]:
    """(number of the batch, its answer), as they come.

    Args:
        stream: sends batches and gives one answer for each, in order; a generator.
        count: how many streams at a time, each in a thread of its own; one alone runs in the caller's thread, and its
            answers come in order.

    Raises:
        BaseException: what the first stream that failed raised; the others end at their next answer.
    """
    if count < 2:
        yield from enumerate(stream(batches))
        return
    numbers = iter(range(len(batches)))
    turn, over = threading.Lock(), threading.Event()
    answers: queue.SimpleQueue[tuple[int, Answer] | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        taken: list[int] = []

        def mine() -> Iterator[Batch]:
            while not over.is_set():
                with turn:
                    number = next(numbers, None)
                if number is None:
                    return
                taken.append(number)
                yield batches[number]

        try:
            with closing(stream(mine())) as replies:  # type: ignore[type-var]
                for at, answer in enumerate(replies):
                    answers.put((taken[at], answer))
                    if over.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - raised where the answers are read
            answers.put(error)
        finally:
            answers.put(None)

    for _ in range(count):
        threading.Thread(target=work, name="bulk-stream", daemon=True).start()
    try:
        running = count
        while running:
            found = answers.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                running -= 1
            else:
                yield found
    finally:
        over.set()


def in_messages(texts: Iterable[str]) -> Iterator[list[str]]:
    """*texts* in lists that are a message each."""
    chunk: list[str] = []
    room = STREAM_CHARS
    for text in texts:
        # What is no text is let through: the refusal comes where all texts are looked at.
        size = len(text) if isinstance(text, str) else 0
        if chunk and (len(chunk) == STREAM_TEXTS or size > room):
            yield chunk
            chunk, room = [], STREAM_CHARS
        chunk.append(text)
        room -= size
    if chunk:
        yield chunk
