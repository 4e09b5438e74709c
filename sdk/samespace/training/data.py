"""Training pairs, checked for duplicates and leaks before anything is trained.

A pair is a query and one of its relevant passages; a query with three of them gives three pairs. Pairs that are
the same text twice are dropped and counted. Held-out texts among the training texts are an error.

What it leaves to others: reading (`sources`), what a near-duplicate is (`hygiene`), everything else that can be wrong
with data (`doctor`), batches without duplicates (the batch sampler of sentence-transformers, by text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataInvalid
from .config import TrainingConfig
from .hygiene import Leak, leaks
from .sources import load_data, without_repeats


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """What is trained on.

    Attributes:
        queries, passages: pair i is queries[i], passages[i].
        dropped: pairs that repeat another pair.
        leaks: held-out texts among the training texts, where the configuration allows them.
        digest: sha256 over the pairs, 64 hex digits.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    dropped: int
    leaks: tuple[Leak, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.queries)

    def to_json(self) -> dict[str, Any]:
        """What the run record says of the data."""
        counts = {what: sum(leak.what == what for leak in self.leaks) for what in ("query", "passage")}
        return {"pairs": len(self), "dropped_repeats": self.dropped, "leaked": counts, "sha256": self.digest}


def load_pairs(config: TrainingConfig) -> TrainingPairs:
    """Read the training split of `config.data` and hold it against the held-out splits.

    Raises:
        DataInvalid: the data cannot be read, has fewer than two pairs, or leaks more than the configuration allows.
    """
    data = load_data(config.data)
    if config.train_split not in data.splits:
        raise DataInvalid(
            path=str(config.data),
            reason=f"has no split {config.train_split!r} to train on; it has {', '.join(data.splits)}",
        )
    train, dropped = without_repeats(data.splits[config.train_split])
    if len(train) < 2:
        raise DataInvalid(
            path=str(config.data), reason=f"{len(train)} pairs in split {config.train_split}; at least 2 are needed"
        )
    if train.labelled:
        raise DataInvalid(
            path=str(config.data),
            reason=f"split {config.train_split} has labelled pairs; pairs of query and passage are needed",
        )
    found: list[Leak] = []
    for split in config.held_out_splits:
        if split in data.splits:
            held_out = data.splits[split]
            for what, texts, trained in (
                ("query", held_out.queries, train.queries),
                ("passage", held_out.passages, train.passages),
            ):
                found += leaks(what, list(dict.fromkeys(texts)), list(dict.fromkeys(trained)))
    _refuse(config, found)
    pairs = list(zip(train.queries, train.passages, strict=True))
    return TrainingPairs(train.queries, train.passages, dropped, tuple(found), pairs_digest(pairs))


def pairs_digest(pairs: Sequence[tuple[str, str]]) -> str:
    """sha256 over all pairs in order, 64 hex digits."""
    digest = hashlib.sha256()
    for text in (text for pair in pairs for text in pair):
        data = text.encode("utf-8")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _refuse(config: TrainingConfig, found: Sequence[Leak]) -> None:
    allowed = {"none": (), "passages": ("passage",), "all": ("passage", "query")}[config.allow_leakage]
    refused = [leak for leak in found if leak.what not in allowed]
    if not refused:
        return
    queries = sum(leak.what == "query" for leak in refused)
    first = refused[0]
    raise DataInvalid(
        path=str(config.data),
        reason=f"{queries} held-out queries and {len(refused) - queries} relevant passages of "
        f"{' and '.join(config.held_out_splits)} are also in split {config.train_split}, so a score would be too good. "
        f"First: {first.what} {_clip(first.held_out)!r}, trained as {_clip(first.trained)!r}. Split the set anew, "
        f"or set allow_leakage to {'passages' if not queries else 'all'!r}",
    )


def _clip(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
