"""The set as the checks want it: each text once, by its id, with the splits that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...text import Role
from ..data.examples import Examples, TrainingData
from ..data.near_duplicates import near_duplicate_groups
from .diagnosis import TextName


@dataclass(frozen=True, slots=True)
class Material:
    """What all checks look at.

    Attributes:
        data: as it was read.
        train: name of the split that is trained on.
        held_out: names of the splits that training must not have seen.
        queries, passages: id -> text; queries of all splits, passages of the whole corpus.
        query_groups, passage_groups: id -> id of the first near-duplicate of it: its own where it is alone.
        trains: whether anything is trained on *train*; False for a published test set, which is only looked at.
    """

    data: TrainingData
    train: str
    held_out: tuple[str, ...]
    queries: Mapping[str, str]
    passages: Mapping[str, str]
    query_groups: Mapping[str, str]
    passage_groups: Mapping[str, str]
    trains: bool = True

    @property
    def trained(self) -> Examples:
        """The examples that are trained on."""
        return self.data.splits[self.train]

    def texts(self, role: Role) -> Mapping[str, str]:
        """id -> text of one role."""
        return self.queries if role == "query" else self.passages

    def groups(self, role: Role) -> Mapping[str, str]:
        """id -> id of the first near-duplicate, of one role."""
        return self.query_groups if role == "query" else self.passage_groups

    def text(self, name: TextName) -> str:
        """The text that *name* means."""
        return self.texts(name.role)[name.id]


def prepare(data: TrainingData, train: str, held_out: Sequence[str], *, trains: bool = True) -> Material:
    """Collect the texts of *data* and group the near-duplicates. The slow part of all checks without an encoder."""
    queries = {
        name: text for part in data.splits.values() for name, text in zip(part.query_ids, part.queries, strict=True)
    }
    return Material(
        data=data,
        train=train,
        held_out=tuple(held_out),
        queries=queries,
        passages=data.corpus,
        query_groups=_groups(queries),
        passage_groups=_groups(data.corpus),
        trains=trains,
    )


def _groups(texts: Mapping[str, str]) -> dict[str, str]:
    """Texts that are empty have no duplicates."""
    names = [name for name, text in texts.items() if text]
    first = near_duplicate_groups([texts[name] for name in names])
    return dict(zip(names, (names[row] for row in first), strict=True))
