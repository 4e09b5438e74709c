"""The vectors of queries that come again, in bounded memory. Off unless it is given some.

Popular searches repeat; a vector that is remembered costs microseconds. Only queries of one text are kept: bulk comes
once, and would drive them out. Texts are kept as digests, so that memory holds none and its bound is exact.

What it gives up: secrecy of what others asked. Whoever measures latencies can tell whether a text was asked before.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from samespace.embed import Embedded
from samespace.text import LongTexts

ENTRY_BYTES: Final = 1024
"""What an entry takes beside its numbers: digest, counts, spans and the dictionary's own."""
_DIGEST_BYTES: Final = 16  # two texts that share one are as likely as a flipped bit in memory that nobody notices


@dataclass(frozen=True, slots=True)
class Key:
    """What a query's rows depend on, in one space: its text, and whether they are pooled. Not dims: all are kept."""

    digest: bytes
    long_texts: LongTexts


class VectorCache:
    """The rows of the last queries of one space; the least recently asked go first. Used on the event loop alone."""

    def __init__(self, max_bytes: int) -> None:
        """Remember up to *max_bytes*."""
        self._max_bytes, self._bytes = max_bytes, 0
        self._entries: OrderedDict[Key, Embedded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Embedded | None:
        """What the text was embedded to, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: Key, embedded: Embedded) -> None:
        """Remember *embedded*, unless it is larger than all that may be kept."""
        # A copy: the rows may be a view of a whole run's.
        kept = replace(embedded, vectors=embedded.vectors.copy())
        kept.vectors.flags.writeable = False
        self.forget(key)
        if _size(kept) > self._max_bytes:
            return
        self._entries[key] = kept
        self._bytes += _size(kept)
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)

    def forget(self, key: Key) -> None:
        """Remember *key* no more."""
        if key in self._entries:
            self._bytes -= _size(self._entries.pop(key))

    def clear(self) -> None:
        """Remember nothing."""
        self._entries.clear()
        self._bytes = 0


def key_of(text: str, long_texts: LongTexts) -> Key:
    """The key of a query; whatever a str may hold has one."""
    return Key(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest(), long_texts)


def _size(embedded: Embedded) -> int:
    return ENTRY_BYTES + embedded.vectors.nbytes + 64 * len(embedded.spans)
