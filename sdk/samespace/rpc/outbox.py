"""`Outbox`: the requests of one stream, kept until they are answered, so that another stream can take over.

gRPC reads a stream's requests in a thread of its own, which may still be asking the caller's iterator for the next
batch when its stream has broken. So the iterator is asked by one thread at a time, and what it gives is kept
whoever asked: nothing is lost, doubled or out of order. Kept are only the requests that are under way; HTTP/2's flow
control bounds them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from .v1 import encoder_pb2 as pb

MakeRequest = Callable[[Sequence[str], int], pb.EmbedRequest]


class Outbox:
    """Requests in order: made once, sent by one stream after the other, forgotten when answered."""

    def __init__(self, batches: Iterable[Sequence[str]], make: MakeRequest) -> None:
        """*make* turns a batch and its number into a request; nothing is read yet."""
        self._batches, self._make = iter(batches), make
        self._kept: deque[pb.EmbedRequest] = deque()  # not answered, oldest first
        self._answered = 0
        self._stream = 0
        self._ended = False
        self.failure: BaseException | None = None
        """What the batches raised: the caller's own error, not the server's."""
        self._state = threading.Lock()  # of everything above; never held while the batches are asked
        self._asking = threading.Lock()  # of the batches

    def requests(self) -> Iterator[pb.EmbedRequest]:
        """What a new stream has to send: all that is not answered, then the rest. Earlier streams send no more."""
        with self._state:
            self._stream += 1
            return self._sending(self._stream, self._answered)

    def answered(self) -> pb.EmbedRequest | None:
        """The oldest request under way, which was answered now; None if there is none."""
        with self._state:
            if not self._kept:
                return None
            self._answered += 1
            return self._kept.popleft()

    def __len__(self) -> int:
        """How many requests wait for their answer."""
        with self._state:
            return len(self._kept)

    def _sending(self, stream: int, number: int) -> Iterator[pb.EmbedRequest]:
        while (request := self._at(stream, number)) is not None:
            yield request
            number += 1

    def _at(self, stream: int, number: int) -> pb.EmbedRequest | None:
        """Request *number*, kept or made now; None at the end, or where *stream* is not the current one."""
        request, last = self._known(stream, number)
        if request is not None or last:
            return request
        with self._asking:
            request, last = self._known(stream, number)  # an earlier stream's thread may have made it meanwhile
            if request is not None or last:
                return request
            try:
                made = self._make(next(self._batches), number)
            except StopIteration:
                self._end(None)
                return None
            except BaseException as error:  # noqa: BLE001 - raised to the caller, in the caller's thread
                self._end(error)
                return None
            with self._state:
                self._kept.append(made)
            return made

    def _known(self, stream: int, number: int) -> tuple[pb.EmbedRequest | None, bool]:
        """(request *number* if it is kept, whether the stream is to end here)."""
        with self._state:
            if stream != self._stream:
                return None, True
            place = number - self._answered
            if place < len(self._kept):
                return self._kept[place], False
            return None, self._ended

    def _end(self, failure: BaseException | None) -> None:
        with self._state:
            self._ended, self.failure = True, failure
