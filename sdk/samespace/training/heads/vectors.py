"""Vectors that somebody else made, to train a head on: a folder in the BEIR layout with arrays in place of texts.

    queries.npy        (queries, dims), float16, float32 or float64; pickled arrays are refused
    passages.npy       (passages, dims)
    qrels/SPLIT.tsv    row of the query, row of the passage, grade; tabs; rows count from 0

What it gives up: near-duplicates between splits, which take texts. A query in two splits is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...errors import DataInvalid
from ...evaluation import Dataset
from ...evaluation.dataset import splits
from ...evaluation.qrels import judgement_files, read_judgements
from .data import HELD_OUT, TRAIN, HeadData, Split
from .frozen import EmbeddedTexts

FILES: Final = ("queries.npy", "passages.npy")


def of_vectors(folder: Path, space: str | None = None) -> HeadData:
    """Read a folder of vectors; see the module's docstring.

    Args:
        space: the space id of the vectors, where it is known.

    Raises:
        DataInvalid: an array is missing or no (n, dims) of finite numbers, or the qrels name rows that are not there.
    """
    queries, passages = (_array(folder / name) for name in FILES)
    if TRAIN not in splits(folder):
        raise DataInvalid(path=str(folder / "qrels"), reason=f"has no {TRAIN}.tsv")
    judged = {name: _judged(folder, name, len(queries), len(passages)) for name in splits(folder)}
    rows = [(q, p) for q, grades in judged[TRAIN].items() for p, grade in grades.items() if grade > 0]
    if len(rows) < 2:
        raise DataInvalid(path=str(folder), reason=f"{len(rows)} pairs in split {TRAIN}; at least 2 are needed")
    for name in set(HELD_OUT) & set(judged):
        if again := sorted(set(judged[name]) & set(judged[TRAIN])):
            raise DataInvalid(
                path=str(folder), reason=f"query {again[0]} and {len(again) - 1} more are in splits {TRAIN} and {name}"
            )
    made_of = hashlib.sha256(queries.tobytes() + passages.tobytes() + str(rows).encode("ascii")).hexdigest()
    embedded = EmbeddedTexts.of_rows(queries), EmbeddedTexts.of_rows(passages)
    if queries.shape[1] != passages.shape[1]:
        raise DataInvalid(
            path=str(folder),
            reason=f"queries have {queries.shape[1]} dims, passages {passages.shape[1]}: vectors of one space are "
            "needed. Two encoders become one space with samespace align, which encodes the texts itself",
        )
    return HeadData(
        name=folder.resolve().name,
        queries=embedded[0],
        passages=embedded[1],
        pairs=np.array(rows, np.int64),
        labels=np.ones(len(rows), np.float32),
        labelled=False,
        sources={"query": space, "passage": space},
        anchors=None,
        splits={
            name: _split(folder, name, judged[name], queries, len(passages)) for name in HELD_OUT if name in judged
        },
        record={"name": folder.resolve().name, "pairs": len(rows), "sha256": made_of},
    )


def _array(path: Path) -> npt.NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read as an array: {error}") from error
    if array.ndim != 2 or not len(array) or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise DataInvalid(
            path=str(path), reason=f"{array.dtype} {array.shape}; expected (n, dims) of finite floats, n at least 1"
        )
    return np.asarray(array)


def _judged(folder: Path, split: str, queries: int, passages: int) -> dict[int, dict[int, float]]:
    """query row -> passage row -> grade; a row that is not there is an error, because nothing else says what it is."""
    known_queries, known_passages = ({str(row) for row in range(count)} for count in (queries, passages))
    files = judgement_files(folder)[split]
    judged = read_judgements(files, known_passages, known_queries)
    strange = [(name, FILES[0]) for name in judged.strangers]
    strange += [(name, FILES[1]) for grades in judged.missing.values() for name in grades]
    if strange:
        raise DataInvalid(path=str(files[0]), reason=f"id {strange[0][0]!r} is not in {strange[0][1]}")
    return {int(q): {int(p): grade for p, grade in grades.items()} for q, grades in judged.grades.items()}


def _split(
    folder: Path, name: str, judged: Mapping[int, Mapping[int, float]], queries: npt.NDArray[Any], passages: int
) -> Split:
    asked = [row for row, grades in judged.items() if any(grade > 0 for grade in grades.values())]
    if not asked:
        raise DataInvalid(path=str(folder), reason=f"no query of split {name} has a relevant passage")
    dataset = Dataset(
        folder=folder,
        split=name,
        passage_ids=tuple(str(row) for row in range(passages)),
        passages=("",) * passages,
        query_ids=tuple(str(row) for row in asked),
        queries=("",) * len(asked),
        qrels={str(row): {str(p): grade for p, grade in judged[row].items()} for row in asked},
    )
    return Split(dataset, EmbeddedTexts.of_rows(queries[asked]))
