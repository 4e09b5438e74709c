"""Passages in batches that come out the same every time, without what cannot be imported or was imported before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ..access.values import Failure, Passage, object_uuid
from .journal import ImportJournal

CHARS: Final = 1_000_000
"""A batch of long documents ends here, before it has its number of passages."""


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """Some passages.

    Attributes:
        number: in the input, from 0.
        digest: of its passages in the input, whatever of them is left to do.
        passages: what is left to do.
        refused: what cannot be imported, with the reason.
        finished: what is done already.
    """

    number: int
    digest: str
    passages: tuple[Passage, ...]
    refused: tuple[Failure, ...] = ()
    finished: tuple[Passage, ...] = ()

    @property
    def size(self) -> int:
        """How many passages of the input it stands for."""
        return len(self.finished) + len(self.passages) + len(self.refused)


def batches(
    passages: Iterable[Passage],
    collection: str,
    size: int,
    journal: ImportJournal | None = None,
    *,
    tenant_property: str = "",
    chars: int = CHARS,
    holds: Callable[[Sequence[Passage]], bool] = lambda finished: True,
) -> Iterator[PassageBatch]:
    """*passages* in batches of *size*; of those that the journal has, only what failed.

    An id may come once, or once for each value of *tenant_property*. A batch whose finished passages the collection
    does not hold any more is done again.
    """
    seen = set[tuple[str, str]]()
    for number, chunk in enumerate(_chunks(passages, size, chars)):
        digest = _digest(chunk)
        done = journal.has(number, digest) if journal else None
        if done is not None and not holds([passage for passage in chunk if passage.id not in done.failed]):
            done = None
        good, refused, finished = [], [], []
        for passage in chunk:
            name = (str(passage.properties.get(tenant_property, "")), passage.id)
            reason = "the id appears twice; only the first was imported" if name in seen else None
            seen.add(name)
            if done is not None and passage.id not in done.failed:
                finished.append(passage)
                continue
            if not passage.text.strip():
                reason = "the text is empty"
            if reason is None:
                good.append(passage)
            else:
                refused.append(Failure(object_uuid(collection, passage.id), reason, passage.id))
        yield PassageBatch(number, digest, tuple(good), tuple(refused), tuple(finished))


def _chunks(passages: Iterable[Passage], size: int, chars: int) -> Iterator[list[Passage]]:
    chunk: list[Passage] = []
    room = chars
    for passage in passages:
        if chunk and (len(chunk) == size or len(passage.text) > room):
            yield chunk
            chunk, room = [], chars
        chunk.append(passage)
        room -= len(passage.text)
    if chunk:
        yield chunk


def _digest(passages: Iterable[Passage]) -> str:
    digest = blake2b(digest_size=12)
    for passage in passages:
        properties = sorted((key, repr(value)) for key, value in passage.properties.items())
        digest.update(repr((passage.id, passage.text, properties)).encode())
    return digest.hexdigest()
