"""Texts of a domain, as they are: what a vocabulary is fitted to, and what pretraining reads.

DATA is what `sources` reads, or a `.txt` file with one text a line. Of a set with splits these are the passages of the
whole corpus and the queries of the training split. Held-out queries are never read; held-out passages are, where they
lie in the corpus: a corpus is there before the questions are, and no judgement is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataInvalid
from ...evaluation import Dataset
from ...text import Role, digest_texts
from ..data.examples import TRAIN, TrainingData
from ..data.sources import load_data
from ..scoring.outcome import held_out


@dataclass(frozen=True, slots=True)
class DomainTexts:
    """Distinct texts by role, none empty, in the order of the data; of a plain text file all are passages.

    Attributes:
        path: where they came from.
        data: the set, where it is one.
    """

    path: Path
    texts: Mapping[Role, tuple[str, ...]]
    data: TrainingData | None

    @property
    def all(self) -> tuple[str, ...]:
        """Passages, then queries."""
        return (*self.texts["passage"], *self.texts["query"])

    def digest(self) -> str:
        """sha256 over every text in order, 64 hex digits."""
        digest = hashlib.sha256()
        digest_texts(digest, self.all)
        return digest.hexdigest()


def read_domain(path: Path) -> DomainTexts:
    """Read the texts of *path*.

    Raises:
        DataInvalid: it cannot be read, or has no texts.
    """
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataInvalid(path=str(path), reason=f"cannot be read: {error}") from error
        found = _distinct(lines)
        if not found:
            raise DataInvalid(path=str(path), reason="has no texts; expected one per line")
        return DomainTexts(path, {"query": (), "passage": found}, None)
    data = load_data(path)
    train = data.splits.get(TRAIN)
    queries = () if train is None else _distinct(train.queries)
    return DomainTexts(path, {"query": queries, "passage": _distinct(data.corpus.values())}, data)


def development(domain: DomainTexts, scored_on: Path | None, split: str) -> dict[str, Dataset]:
    """The development set to score on: of *scored_on*, or of the domain's own data; {} where there is none.

    Raises:
        DataInvalid: *scored_on* was named and has no such split.
    """
    if scored_on is None:
        return {} if domain.data is None else held_out(domain.data, domain.path, [split])
    data = load_data(scored_on)
    found = held_out(data, scored_on, [split])
    if not found:
        raise DataInvalid(path=str(scored_on), reason=f"has no split {split!r}; it has {', '.join(data.splits)}")
    return found


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
