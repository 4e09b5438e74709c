"""Vectors that were made beforehand, as the guide of a training run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ...errors import DataInvalid
from ...text import Role
from ...vectors import Float32

SUFFIX: Final = ".npz"


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Vectors of known texts.

    Attributes:
        rows: of each role, text -> row.
        vectors: of each role, (texts, dim) float32, unit rows.
    """

    rows: Mapping[Role, Mapping[str, int]]
    vectors: Mapping[Role, Float32]

    @staticmethod
    def of(queries: Sequence[str], q: Float32, passages: Sequence[str], p: Float32) -> VectorTable:
        """Of distinct texts and their vectors."""
        texts: dict[Role, Sequence[str]] = {"query": queries, "passage": passages}
        rows = {role: {text: row for row, text in enumerate(some)} for role, some in texts.items()}
        return VectorTable(rows, {"query": q, "passage": p})

    def __call__(self, texts: Sequence[str], role: Role) -> Float32:
        """The vectors of *texts*, (texts, dim).

        Raises:
            KeyError: a text that the table lacks.
        """
        return self.vectors[role][[self.rows[role][text] for text in texts]]

    def write(self, path: Path) -> None:
        """Write it to *path*, which ends in .npz."""
        texts = json.dumps([list(self.rows["query"]), list(self.rows["passage"])]).encode("utf-8")
        np.savez(path, q=self.vectors["query"], p=self.vectors["passage"], texts=np.frombuffer(texts, dtype=np.uint8))


def read_vectors(path: Path) -> VectorTable:
    """What `VectorTable.write` wrote.

    Raises:
        DataInvalid: the file cannot be read.
    """
    try:
        with np.load(path) as file:
            queries, passages = json.loads(file["texts"].tobytes())
            q, p = (np.asarray(file[name], dtype=np.float32) for name in ("q", "p"))
        table = VectorTable.of(queries, q, passages, p)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(path=str(path), reason=f"is no table of vectors: {error}") from error
    if (len(q), len(p)) != (len(queries), len(passages)):
        raise DataInvalid(
            path=str(path), reason=f"has {len(q)} and {len(p)} vectors of {len(queries)} and {len(passages)} texts"
        )
    return table
