"""What a head is trained on: rows of vectors, which of them belong together, and splits to score it on.

Texts come from any source that `sources` reads, and are encoded once (`frozen`). Data without texts is read in
`vectors`.

What it leaves to others: the loss and the steps (`fit`), choosing among trainings (`choice`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...errors import DataInvalid
from ...evaluation import Dataset, load_dataset
from ...evaluation.dataset import is_retrieval_set
from ...heads import Heads
from ...progress import Progress
from ...text import Role
from ...vectors import Float32
from ..data.examples import RELEVANT, Examples
from ..data.leakage import leakage_between, without
from ..data.near_duplicates import Leak
from ..data.retrieval_set import as_dataset
from ..data.sources import load_data, without_repeats
from .frozen import EmbeddedTexts, FrozenEncoder

TRAIN: Final = "train"
HELD_OUT: Final = ("dev", "test")
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """A split to score heads on; its passages are those of the data."""

    dataset: Dataset
    queries: EmbeddedTexts


@dataclass(frozen=True)
class Anchors:
    """The same texts in the vectors of both sides, which say how the two spaces lie to each other."""

    queries: Float32
    passages: Float32


@dataclass(frozen=True)
class HeadData:
    """Vectors and what is known of them.

    Attributes:
        name: of the data, for people.
        queries, passages: what pairs name rows of; the passages are the whole corpus.
        pairs: (n, 2), int64, row of the query and of the passage.
        labels: (n,), float32, in [0, 1]; 1 for each pair of data without labels.
        labelled: whether the data has labels.
        sources: by role, the space that the vectors are of; None where nobody said it.
        anchors: None where both sides are of one space.
        splits: "dev" and "test", as far as there are any.
        record: what provenance keeps of the data.
        examples: the pairs as texts; None for data of vectors.
    """

    name: str
    queries: EmbeddedTexts
    passages: EmbeddedTexts
    pairs: Int64
    labels: Float32
    labelled: bool
    sources: Mapping[Role, str | None]
    anchors: Anchors | None
    splits: Mapping[str, Split]
    record: Mapping[str, Any]
    examples: Examples | None = None

    @property
    def known(self) -> Int64:
        """(m,) int64, ascending: query row * number of passages + passage row of each pair that belongs together."""
        right = self.pairs[self.labels >= RELEVANT]
        return np.unique(right[:, 0] * len(self.passages) + right[:, 1])

    def pooled(self, split: str, heads: Heads | None) -> tuple[Float32, Float32]:
        """Queries and passages of a split, each (n, dims), with *heads* or as they are."""
        query, passage = (None, None) if heads is None else (heads.query, heads.passage)
        return self.splits[split].queries.pooled(query), self.passages.pooled(passage)


def of_texts(
    folder: Path,
    encoders: Mapping[Role, FrozenEncoder],
    progress: Progress,
    *,
    allow_leakage: str = "none",
    drop_leaks: bool = False,
) -> HeadData:
    """Read a source of texts and encode it.

    Args:
        encoders: of each role; one object twice, or two encoders of different spaces.
        allow_leakage: as `TrainingConfig.allow_leakage`: "none", "passages" or "all".
        drop_leaks: leave out the training pairs that leak, instead of stopping.

    Raises:
        DataInvalid: it cannot be read, has too few pairs, or held-out texts are among the training texts.
    """
    data = load_data(folder)
    if TRAIN not in data.splits:
        raise DataInvalid(path=str(folder), reason=f"has no split {TRAIN!r}; it has {', '.join(data.splits)}")
    whole, dropped = without_repeats(data.splits[TRAIN])
    held_out = {name: data.splits[name] for name in HELD_OUT if name in data.splits}
    train, leaked, seen = _without_leaks(folder, whole, held_out, allow_leakage, drop_leaks)
    judged = folder.is_dir() and is_retrieval_set(folder)  # grades are kept where there are some
    datasets = {name: load_dataset(folder, name) if judged else as_dataset(data, name) for name in held_out}
    passages = tuple(data.corpus.values())
    queries = tuple(dict.fromkeys(train.queries))
    query_row, passage_row = _rows(queries), _rows(passages)
    one = encoders["query"].space_id == encoders["passage"].space_id
    shared = tuple(dict.fromkeys((*train.queries, *train.passages)))
    total = len(passages) + len(queries) + sum(len(each.queries) for each in datasets.values())
    with progress("encoding, or reading what was encoded", total + (0 if one else 2 * len(shared))) as advance:

        def embed(texts: Sequence[str], role: Role) -> EmbeddedTexts:
            return encoders[role].embed(texts, role, progress=advance)

        return HeadData(
            name=data.name,
            passages=embed(passages, "passage"),
            queries=embed(queries, "query"),
            splits={name: Split(each, embed(each.queries, "query")) for name, each in datasets.items()},
            anchors=None if one else Anchors(embed(shared, "query").pooled(), embed(shared, "passage").pooled()),
            pairs=np.array(
                [(query_row[q], passage_row[p]) for q, p in zip(train.queries, train.passages, strict=True)], np.int64
            ),
            labels=np.array(train.labels, np.float32),
            labelled=train.labelled,
            sources={role: encoder.space_id for role, encoder in encoders.items()},
            record={
                "name": data.name,
                "pairs": len(train),
                "dropped_repeats": dropped,
                "dropped_leaks": len(whole) - len(train),
                "leaked": {what: sum(leak.what == what for leak in leaked) for what in ("query", "passage")},
                "trained_on": seen,
                "sha256": train.digest(),
            },
            examples=train,
        )


def _without_leaks(
    folder: Path, whole: Examples, held_out: Mapping[str, Examples], allowed: str, drop: bool
) -> tuple[Examples, list[Leak], dict[str, int]]:
    """The pairs to train on, what leaks, and how many questions of which split are trained on all the same.

    Raises:
        DataInvalid: leaks are neither allowed nor dropped, or too few pairs are left.
    """
    leaks = {split: leakage_between(whole, part) for split, part in held_out.items()}
    leaked = [leak for split, part in held_out.items() for leak in leaks[split].texts(whole, part)]
    if not drop:
        _refuse(folder, leaked, allowed)
    train = without(whole, frozenset().union(*(each.trained_rows for each in leaks.values()))) if drop else whole
    if len(train) < 2:
        left = f"; {len(whole) - len(train)} leak and were left out" if len(train) < len(whole) else ""
        raise DataInvalid(path=str(folder), reason=f"{len(train)} pairs in split {TRAIN}; at least 2 are needed{left}")
    asked = {split: sum(leak.role == "query" for leak in each.leaks) for split, each in leaks.items()}
    return train, leaked, {split: count for split, count in asked.items() if count and not drop}


def _rows(texts: Sequence[str]) -> dict[str, int]:
    """text -> the first row that has it."""
    rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, row)
    return rows


def _refuse(folder: Path, leaked: Sequence[Leak], allowed: str) -> None:
    refused = [leak for leak in leaked if allowed != "all" and not (allowed == "passages" and leak.what == "passage")]
    if refused:
        queries = sum(leak.what == "query" for leak in refused)
        raise DataInvalid(
            path=str(folder),
            reason=f"{queries} held-out queries and {len(refused) - queries} held-out passages are also trained on, so "
            f"a score would be too good. First: {refused[0].held_out[:80]!r}. `samespace doctor data` lists them; pass "
            f"--drop-leaks to leave such pairs out, split the set anew, or pass --allow-leakage "
            f"{'all' if queries else 'passages'}",
        )
