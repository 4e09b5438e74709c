"""What a hosted encoder gave is noted as done only once the encoder was seen to be still what it was.

A provider's model can change under its name between two times that its probes are asked for (`drift`). A journal that
says "done" in between would be believed by the next run, after a kill, although nobody asked again. So such facts wait
here; a kill forgets them, and what they tell of is done again.

What it gives up: up to ten minutes of encoding, where a run of a hosted encoder is killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ..encoder import Encoder

Fact = TypeVar("Fact")


class Withheld(Generic[Fact]):
    """Facts that rest on what an encoder gave, noted in their order; at once where it cannot become another one.

    Args:
        encoder: whose vectors they tell of; None where nothing is encoded.
        note: puts a fact into the journal.
    """

    def __init__(self, encoder: Encoder | None, note: Callable[[Fact], None]) -> None:
        self._encoder, self._note = encoder, note
        self._waiting: deque[tuple[int, Fact]] = deque()

    def add(self, fact: Fact) -> None:
        """A fact about what was encoded before now."""
        seen = None if self._encoder is None else self._encoder.confirmations
        if seen is None:
            self._note(fact)
            return
        self._waiting.append((seen, fact))
        while self._waiting and self._waiting[0][0] < seen:
            self._note(self._waiting.popleft()[1])

    def confirm(self) -> None:
        """Ask the encoder, and note what waits; raises as `Encoder.confirm`, and notes nothing then."""
        if self._encoder is not None:
            self._encoder.confirm()
        while self._waiting:
            self._note(self._waiting.popleft()[1])
