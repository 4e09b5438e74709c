"""Training pairs out of a retrieval set, checked for duplicates and leaks before anything is trained.

A pair is a query and one of its relevant passages; a query with three of them gives three pairs. Pairs that are
the same text twice are dropped and counted. Held-out texts among the training texts are an error.

What it leaves to others: what a near-duplicate is (`hygiene`), batches without duplicates (the batch sampler of
sentence-transformers, by text).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataInvalid
from ..evaluation.dataset import Dataset, load_dataset, splits
from .config import TrainingConfig
from .hygiene import Leak, canonical, leaks


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
        DataInvalid: the set cannot be read, has fewer than two pairs, or leaks more than the configuration allows.
    """
    train = load_dataset(config.data, config.train_split)
    pairs, dropped = _pairs(train)
    if len(pairs) < 2:
        raise DataInvalid(
            path=str(config.data), reason=f"{len(pairs)} pairs in split {config.train_split}; at least 2 are needed"
        )
    found: list[Leak] = []
    for split in config.held_out_splits:
        if split in splits(config.data):
            found += _held_out_leaks(load_dataset(config.data, split), pairs)
    _refuse(config, found)
    queries, passages = zip(*pairs, strict=True)
    return TrainingPairs(queries, passages, dropped, tuple(found), pairs_digest(pairs))


def pairs_digest(pairs: Sequence[tuple[str, str]]) -> str:
    """sha256 over all pairs in order, 64 hex digits."""
    digest = hashlib.sha256()
    for text in (text for pair in pairs for text in pair):
        data = text.encode("utf-8")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _pairs(train: Dataset) -> tuple[list[tuple[str, str]], int]:
    """(query, relevant passage) in the order of the set, and how many repeats were left out."""
    text = dict(zip(train.passage_ids, train.passages, strict=True))
    kept: dict[tuple[str, str], tuple[str, str]] = {}
    count = 0
    for query_id, query in zip(train.query_ids, train.queries, strict=True):
        for passage_id, grade in train.qrels[query_id].items():
            if grade > 0 and query and text[passage_id]:
                count += 1
                kept.setdefault((canonical(query), canonical(text[passage_id])), (query, text[passage_id]))
    return list(kept.values()), count - len(kept)


def _held_out_leaks(held_out: Dataset, pairs: Sequence[tuple[str, str]]) -> list[Leak]:
    """Held-out queries and their relevant passages that are near-duplicates of training texts."""
    text = dict(zip(held_out.passage_ids, held_out.passages, strict=True))
    relevant = dict.fromkeys(
        text[passage] for judged in held_out.qrels.values() for passage, grade in judged.items() if grade > 0
    )
    trained_queries = list(dict.fromkeys(query for query, _ in pairs))
    trained_passages = list(dict.fromkeys(passage for _, passage in pairs))
    return leaks("query", held_out.queries, trained_queries) + leaks("passage", list(relevant), trained_passages)


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
