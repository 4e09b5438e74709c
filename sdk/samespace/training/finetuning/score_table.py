"""A table of scores as a teacher: every query with every passage, so that all passages of a batch can be compared.

A list of eight passages takes eight through the model for eight scores. In a batch of 24 queries and 48 passages all
1,152 scores can be learned from, for as many passages as six such lists have.

What it leaves to others: how the scores come about (`adapting.distill`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ...errors import DataInvalid
from ...progress import Advance
from ...vectors import Float32

SUFFIX: Final = ".npz"


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of all pairs.

    Attributes:
        queries, passages: text -> its row or column.
        table: (queries, passages) float32.
    """

    name: str
    queries: Mapping[str, int]
    passages: Mapping[str, int]
    table: Float32
    cosines: bool = True

    def read(self, queries: Sequence[str], passages: Sequence[str], advance: Advance) -> None:
        """Nothing: all is known."""

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """The score of each (query, passage); None for texts that the table lacks."""
        return [
            float(self.table[self.queries[query], self.passages[passage]])
            if query in self.queries and passage in self.passages
            else None
            for query, passage in pairs
        ]

    def write(self, path: Path) -> None:
        """Write it to *path*, which ends in .npz."""
        texts = json.dumps([list(self.queries), list(self.passages)]).encode("utf-8")
        np.savez(path, table=self.table, texts=np.frombuffer(texts, dtype=np.uint8))


def read_table(path: Path) -> ScoreTable:
    """What `ScoreTable.write` wrote.

    Raises:
        DataInvalid: the file cannot be read.
    """
    try:
        with np.load(path) as file:
            queries, passages = json.loads(file["texts"].tobytes())
            table = np.asarray(file["table"], dtype=np.float32)
        places_q, places_p = ({text: row for row, text in enumerate(texts)} for texts in (queries, passages))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(path=str(path), reason=f"is no table of scores: {error}") from error
    if table.shape != (len(places_q), len(places_p)):
        raise DataInvalid(
            path=str(path),
            reason=f"has scores of {table.shape}, for {len(places_q)} queries and {len(places_p)} passages",
        )
    return ScoreTable(path.name, places_q, places_p, table)
