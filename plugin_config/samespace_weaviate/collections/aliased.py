"""A collection that is reached by an alias, across migrations to other spaces.

A vector's name is its pin, so a program that names it is refused once the alias has moved. This class reads the pin
again then, and asks once more: no query fails, and none is compared with vectors of another space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from samespace.encoder import Encoder
from samespace.errors import PinBroken, SpaceMismatch, WeaviateError, WeaviateUnavailable

from ..access.database import Database
from ..pinning.pin import read_pins
from .collection import PinnedCollection

_Answer = TypeVar("_Answer")


class AliasedCollection:
    """What *alias* points to, whatever that is pinned to.

    Args:
        database: the Weaviate.
        alias: an alias, or a collection's name.
        encoders: for queries that this program encodes, and for imports: those of all spaces that the alias may be
            moved to. None are needed where Weaviate's module encodes queries.
    """

    def __init__(self, database: Database, alias: str, encoders: Sequence[Encoder] = ()) -> None:
        self._database, self._alias = database, alias
        self._encoders = {encoder.space_id: encoder for encoder in encoders}
        self._current: PinnedCollection | None = None

    def ask(self, question: Callable[[PinnedCollection], _Answer]) -> _Answer:
        """The answer of the collection that the alias points to: `ask(lambda articles: articles.search("..."))`.

        Raises:
            PinBroken: it is pinned to no space, or to several.
            WeaviateError: it refuses, and the alias has not moved meanwhile.
        """
        # `or` would ask for the length, which is a request, and 0 is no reason to open it again
        collection = self._open() if self._current is None else self._current
        try:
            return question(collection)
        except WeaviateUnavailable:
            raise
        except (WeaviateError, SpaceMismatch):
            now = self._open()
            if now.space_id == collection.space_id:
                raise
            return question(now)

    def _open(self) -> PinnedCollection:
        schema = self._database.schema(self._alias) or {}
        spaces = [pin.space for pin in read_pins(schema)]
        if len(spaces) != 1:
            raise PinBroken(
                collection=self._alias,
                expected="an alias of a collection that is pinned to one space",
                found=", ".join(spaces) or "no pin",
                remedy="see `samespace weaviate check`",
            )
        self._current = PinnedCollection.open(self._database, self._alias, self._encoders.get(spaces[0], spaces[0]))
        return self._current
