"""Training pairs, checked for duplicates and leaks before anything is trained.

A pair is a query and one of its relevant passages; a query with three of them gives three pairs. Pairs that are
the same text twice are dropped and counted. Held-out texts among the training texts are an error, unless the
configuration leaves such pairs out.

What it leaves to others: reading (`sources`), what leaks (`leakage`), everything else that can be wrong
with data (`doctor`), batches without duplicates (the batch sampler of sentence-transformers, by text).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigInvalid, DataInvalid
from ...text import Role, shortened
from ..data.examples import Examples, TrainingData
from ..data.leakage import leakage_between, without
from ..data.near_duplicates import Leak
from ..data.sources import load_data, without_repeats
from ..losses.loss import loss_named, loss_names
from .config import DEFAULT_SPLITS, TrainingConfig


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What is trained on, and what it came from.

    Attributes:
        data: everything that the source says.
        examples: those that are trained on.
        dropped: examples that repeat another one.
        leaks: held-out texts among the training texts, as they were found.
        dropped_leaks: examples that were left out because of them.
        allowed: split -> role -> how many of its texts are trained on all the same.
    """

    data: TrainingData
    examples: Examples
    dropped: int
    leaks: tuple[Leak, ...]
    dropped_leaks: int
    allowed: Mapping[str, Mapping[Role, int]]

    def to_json(self) -> dict[str, Any]:
        """What the run record says of the data."""
        return {
            "pairs": len(self.examples),
            "dropped_repeats": self.dropped,
            "leaked": {what: sum(leak.what == what for leak in self.leaks) for what in ("query", "passage")},
            "dropped_leaks": self.dropped_leaks,
            "trained_on": {split: dict(counts) for split, counts in self.allowed.items()},
            "sha256": self.examples.digest(),
        }


def load_training_set(config: TrainingConfig) -> TrainingSet:
    """Read the training split of `config.data` and hold it against the held-out splits.

    Raises:
        ConfigInvalid: a split that the configuration names is not there.
        DataInvalid: the data cannot be read, has fewer than two examples, is of another kind than the loss wants, or
            leaks more than the configuration allows.
    """
    data = load_data(config.data)
    if config.train_split not in data.splits:
        raise DataInvalid(
            path=str(config.data),
            reason=f"has no split {config.train_split!r} to train on; it has {', '.join(data.splits)}",
        )
    train, dropped = without_repeats(data.splits[config.train_split])
    _check_kind(config, train)
    _require_splits(config, data)
    held_out = {split: data.splits[split] for split in config.unseen_splits if split in data.splits}
    shared = {split: leakage_between(train, part) for split, part in held_out.items()}
    found = [leak for split, part in held_out.items() for leak in shared[split].texts(train, part)]
    left = {split: Counter(leak.role for leak in each.leaks) for split, each in shared.items()}
    kept = train
    if config.drop_leaks and found:
        kept = without(train, frozenset().union(*(each.trained_rows for each in shared.values())))
        left = {}
    else:
        _refuse(config, found)
    if len(kept) < 2:
        why = f"; {len(train) - len(kept)} leak and were left out" if len(kept) < len(train) else ""
        raise DataInvalid(
            path=str(config.data),
            reason=f"{len(kept)} pairs in split {config.train_split}; at least 2 are needed{why}",
        )
    allowed = {split: dict(counts) for split, counts in left.items() if counts}
    return TrainingSet(data, kept, dropped, tuple(found), len(train) - len(kept), allowed)


def _require_splits(config: TrainingConfig, data: TrainingData) -> None:
    """Raise `ConfigInvalid` for a split that somebody named and that the set lacks: it would be passed over."""
    for key in ("held_out_splits", "dev_split", "score_splits"):
        named = getattr(config, key)
        for split in (named,) if isinstance(named, str) else named:
            if split and split not in DEFAULT_SPLITS and split not in data.splits:
                has = ", ".join(data.splits)
                raise ConfigInvalid(key=key, reason=f"the data has no split {split!r}; it has {has}")


def _check_kind(config: TrainingConfig, train: Examples) -> None:
    wants_labels = loss_named(config.loss).needs == "labels"
    if train.labelled != wants_labels:
        has, wanted = ("labelled pairs", loss_names("labels")) if train.labelled else ("no labels", loss_names("pairs"))
        fitting = " or ".join(wanted if train.labelled else (*wanted, *loss_names("teacher")))
        raise DataInvalid(
            path=str(config.data),
            reason=f"split {config.train_split} has {has}, and loss is {config.loss}; choose {fitting}",
        )


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
        f"{' and '.join(config.unseen_splits)} are also in split {config.train_split}, so scores would be inflated. "
        f"First: {first.what} {shortened(first.held_out, 80)!r}, trained as {shortened(first.trained, 80)!r}. "
        "Set drop_leaks = true to leave such training pairs out, split the set again, or set allow_leakage to "
        f"{'passages' if not queries else 'all'!r}",
    )
