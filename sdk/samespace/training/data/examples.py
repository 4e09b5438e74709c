"""What an encoder is trained on: one form for pairs and for labelled pairs, whatever file they come from.

Two kinds, never mixed in one `Examples`:

pairs       passages[i] answers queries[i]; negatives[i] do not. All labels are 1.
labelled    labels[i] says how far queries[i] and passages[i] belong together, from 0 to 1. No negatives.

What it leaves to others: reading files (`formats`, `data`), what is wrong with the texts (`doctor`).
What it gives up: data that does not fit into memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...text import digest_texts

TRAIN: Final = "train"
"""The split that is trained on, unless a configuration names another."""
RELEVANT: Final = 0.5
"""Label from which a labelled pair counts as belonging together."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples in columns; row i of each column is one example.

    Attributes:
        queries, passages: the two texts, stripped and never empty. Of a labelled pair: `text_a` and `text_b`.
        negatives: passages that do not answer the query, known as such; () where none is known.
        labels: in [0, 1]; 1.0 for each of pairs.
        weights: above 0; how much an example counts in the loss, beside one of weight 1.
        query_ids, passage_ids, negative_ids: names to point at texts with: ids of a BEIR set, else `FILE:LINE` of the
            place where the text is met first. One text may have several names in a BEIR set.
        labelled: whether labels were given, and mean something.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    negatives: tuple[tuple[str, ...], ...]
    labels: tuple[float, ...]
    weights: tuple[float, ...]
    query_ids: tuple[str, ...]
    passage_ids: tuple[str, ...]
    negative_ids: tuple[tuple[str, ...], ...]
    labelled: bool = False

    def __len__(self) -> int:
        return len(self.queries)

    def rows(self, chosen: Sequence[int]) -> Examples:
        """The examples at the positions *chosen*, in that order."""
        return Examples(
            **{name: tuple(getattr(self, name)[row] for row in chosen) for name in COLUMNS}, labelled=self.labelled
        )

    def digest(self) -> str:
        """sha256 over every text, label and weight in order, 64 hex digits; names do not count."""
        digest = hashlib.sha256()
        for query, passage, negatives, label, weight in zip(
            self.queries, self.passages, self.negatives, self.labels, self.weights, strict=True
        ):
            digest_texts(digest, (query, passage, *negatives, f"{label!r} {weight!r}"))
        return digest.hexdigest()


COLUMNS: Final = (
    "queries",
    "passages",
    "negatives",
    "labels",
    "weights",
    "query_ids",
    "passage_ids",
    "negative_ids",
)


def join(parts: Sequence[Examples]) -> Examples:
    """All examples of *parts* one after the other; they have to be of one kind, and one at least."""
    assert len({part.labelled for part in parts}) == 1
    columns = {name: tuple(cell for part in parts for cell in getattr(part, name)) for name in COLUMNS}
    return Examples(**columns, labelled=parts[0].labelled)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that one or several sources say.

    Attributes:
        sources: the files and folders that were read.
        splits: name ("train", "dev", "test", ...) -> its examples; none is empty.
        corpus: passage id -> text of every passage, also of those that no split judges. Texts may be empty.
        empty: places (ids, or FILE:LINE) of examples that were left out because a text of theirs is empty.
        notes: what was met on reading and is worth knowing, as sentences.
    """

    sources: tuple[Path, ...]
    splits: Mapping[str, Examples]
    corpus: Mapping[str, str]
    empty: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The sources' names, for people."""
        return " + ".join(source.resolve().name for source in self.sources)
