"""The one retry loop: what may pass is tried again, later every time, until a limit of time is used up.

Time is the caller's: tests pass a clock that only `pause` moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from samespace.errors import Overloaded, WeaviateUnavailable

from .transient import reason_may_pass
from .values import Failure, StoredObject

Answer = TypeVar("Answer")
Write = Callable[[Sequence[StoredObject]], list[Failure]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may pass is waited for.

    Attributes:
        limit_s: seconds from the first failure on in which a try may begin; 0 for a single try. The last try begins
            right at the limit, and takes as long as it takes.
        first_s: seconds before the second try; doubled for each further one.
        longest_s: seconds between tries at most.
        clock, pause: the caller's time, in seconds.
    """

    limit_s: float = 90.0
    first_s: float = 1.0
    longest_s: float = 8.0
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def ask(
        self,
        question: Callable[[], Answer],
        passing: tuple[type[Exception], ...] = (WeaviateUnavailable,),
        *,
        is_back: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """The answer, asked for again after each error of *passing*.

        Args:
            question: may be asked twice with the same effect as once.
            passing: errors that may pass. An `Overloaded` is waited for as long as it says.
            is_back: asked after each pause; while it is not so, the question is not put: a Weaviate that has just
                started answers before it knows its collections, and would be believed.
        """
        deadline, wait_s = float("inf"), self.first_s
        while True:
            try:
                return question()
            except passing as error:
                now = self.clock()
                deadline = min(deadline, now + self.limit_s)
                if now >= deadline:
                    raise
                wanted = error.retry_after_ms / 1000 if isinstance(error, Overloaded) else wait_s
                wait_s = min(2 * wait_s, self.longest_s)
                self._wait(min(wanted, deadline - now), deadline, is_back)

    def write(self, objects: Sequence[StoredObject], send: Write) -> list[Failure]:
        """Write objects, and write again those that were refused for a reason that may pass; those that are left.

        What is refused for good comes back at once and is not sent again; the others are tried until the limit.
        """
        final: list[Failure] = []
        left, deadline, wait_s = list(objects), float("inf"), self.first_s
        while True:
            refused = send(left)
            passing = {failure.uuid: failure for failure in refused if reason_may_pass(failure.reason)}
            final += [failure for failure in refused if failure.uuid not in passing]
            left = [entry for entry in left if entry.uuid in passing]
            now = self.clock()
            deadline = min(deadline, now + self.limit_s)
            if not left or now >= deadline:
                return final + list(passing.values())
            self.pause(min(wait_s, deadline - now))
            wait_s = min(2 * wait_s, self.longest_s)

    def _wait(self, wait_s: float, deadline: float, is_back: Callable[[], bool]) -> None:
        self.pause(wait_s)
        while self.clock() < deadline and not is_back():
            self.pause(min(self.first_s, max(deadline - self.clock(), 0.0)))


NONE: Final = Patience(limit_s=0.0)
"""A single try."""
