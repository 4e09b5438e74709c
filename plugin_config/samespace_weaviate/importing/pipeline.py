"""Two stages in threads, encode and write, with bounded room between them: the slower one sets the pace of both.

What it leaves to others: what the stages do, and trying again (`importer`).
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from samespace.errors import RequestInvalid

Item = TypeVar("Item")
Between = TypeVar("Between")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Crew:
    """How many threads do what.

    Attributes:
        encoders: batches that are encoded at a time; two keep a server busy while an answer travels.
        writers: batches that are written at a time; two keep Weaviate busy while a batch is put together.
        ahead: encoded batches that may wait for a writer; more costs memory and helps against uneven writes.
    """

    encoders: int = 2
    writers: int = 2
    ahead: int = 2

    def __post_init__(self) -> None:
        for field, value in (("streams", self.encoders), ("writers", self.writers), ("ahead", self.ahead)):
            if value < 1:
                raise RequestInvalid(field=field, reason=f"{value}; expected 1 or more")


def run(
    items: Iterable[Item], encode: Callable[[Item], Between], write: Callable[[Between], Result], crew: Crew
) -> Iterator[Result]:
    """Each item through both stages; results as they come, in any order.

    Raises:
        BaseException: what *items* or a stage raised first; nothing more is begun then, and all threads have ended.
    """
    source, turn = iter(items), threading.Lock()
    ready: Channel[Between] = Channel(crew.ahead)
    results: queue.SimpleQueue[tuple[Result] | BaseException | None] = queue.SimpleQueue()
    encoding = crew.encoders
    counting = threading.Lock()

    def encoders_turn() -> None:
        nonlocal encoding
        while not ready.closed:
            with turn:
                item = next(source, None)
            if item is None or not ready.put(encode(item)):
                break
        with counting:
            encoding -= 1
            if not encoding:
                ready.close()

    def writers_turn() -> None:
        while (between := ready.get()) is not None:
            results.put((write(between[0]),))

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits for it
            results.put(error)
            ready.abandon()
        finally:
            results.put(None)

    roles = [encoders_turn] * crew.encoders + [writers_turn] * crew.writers
    threads = [threading.Thread(target=guarded, args=(role,), name="samespace-import", daemon=True) for role in roles]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            found = results.get()
            if found is None:
                running -= 1
            elif isinstance(found, BaseException):
                raise found
            else:
                yield found[0]
    finally:
        ready.abandon()
        for thread in threads:
            thread.join()


class Channel(Generic[Value]):
    """A queue of bounded length that can be closed: whoever waits at either end is let go."""

    def __init__(self, room: int) -> None:
        self._room, self._values = room, deque[Value]()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def put(self, value: Value) -> bool:
        """Wait for room; False where it was closed instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._values) < self._room)
            if self._closed:
                return False
            self._values.append(value)
            self._changed.notify_all()
            return True

    def get(self) -> tuple[Value] | None:
        """Wait for a value; None when it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._values))
            if not self._values:
                return None
            value = self._values.popleft()
            self._changed.notify_all()
            return (value,)

    def close(self) -> None:
        """Take nothing more; what is there may still be taken out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close it, and throw away what is there."""
        with self._changed:
            self._values.clear()
            self._closed = True
            self._changed.notify_all()
