"""What a set of pairs is like, in the few numbers that training keys depend on. Pure.

What it leaves to others: what follows from them (`choice`), what is wrong with the data (`doctor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...evaluation.words import canonical
from ..data.examples import Examples, TrainingData
from ..data.near_duplicates import near_duplicate_groups
from ..doctor.lengths import estimated_tokens

_LOOKED_AT: Final = 3000
_OFTEN: Final = 5
_TEMPLATE_WORDS: Final = 2


@dataclass(frozen=True, slots=True)
class Traits:
    """A training part in numbers.

    Attributes:
        pairs, queries, passages: pairs, and their distinct texts.
        corpus: passages that are searched.
        labelled: whether pairs have labels.
        template: share of the queries that are a frame around a name, as "what are the symptoms of X".
        copies: share of the passages that are near-duplicates of another one.
        query_tokens, passage_tokens: of the 95th percentile, estimated.
    """

    pairs: int
    queries: int
    passages: int
    corpus: int
    labelled: bool
    template: float
    copies: float
    query_tokens: int
    passage_tokens: int

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {name: getattr(self, name) for name in self.__slots__}


def traits_of(data: TrainingData, train: Examples) -> Traits:
    """The traits of *train*, a part of *data*; large parts by an even sample of their texts."""
    queries, passages = (list(dict.fromkeys(texts)) for texts in (train.queries, train.passages))
    sample = _spread(passages)
    groups = Counter(near_duplicate_groups(sample))
    return Traits(
        pairs=len(train),
        queries=len(queries),
        passages=len(passages),
        corpus=len(data.corpus),
        labelled=train.labelled,
        template=template_share(queries),
        copies=sum(count for count in groups.values() if count > 1) / len(sample),
        query_tokens=_high(_spread(queries)),
        passage_tokens=_high(sample),
    )


def template_share(queries: Sequence[str]) -> float:
    """Share of *queries* that are alike but for their rare words, at least five of a kind."""
    listed = [canonical(query).split() for query in queries]
    seen = Counter(word for words in listed for word in set(words))
    common = max(_OFTEN, len(listed) // 200)
    frames: list[tuple[str, ...]] = []
    for words in listed:
        frame: list[str] = []
        for word in words:
            part = word if seen[word] >= common else "_"
            if part != "_" or frame[-1:] != ["_"]:
                frame.append(part)
        frames.append(tuple(frame))
    counts = Counter(frames)
    alike = [
        frame
        for frame in frames
        if counts[frame] >= _OFTEN and "_" in frame and len(frame) - frame.count("_") >= _TEMPLATE_WORDS
    ]
    return len(alike) / max(1, len(frames))


def _spread(texts: Sequence[str]) -> Sequence[str]:
    most = min(_LOOKED_AT, len(texts))
    return [texts[row * len(texts) // most] for row in range(most)]


def _high(texts: Sequence[str]) -> int:
    return sorted(map(estimated_tokens, texts))[int(0.95 * (len(texts) - 1))]
