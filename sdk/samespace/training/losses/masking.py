"""Which passages must not be taken as negatives of a query: right answers that the judgements do not pair with it.

Judgements are incomplete in a batch's eyes: the same answer stands in the set twice, a question was asked twice,
and only one of the four pairs is judged. So texts are put into groups, and a judged pair makes every passage of its
passage's group right for every query of its query's group. By text, not by id: ids differ where texts are the same.
A group of passages is of `near_duplicates`; one of queries is of equal texts, but for case and punctuation:
"symptoms of X" and "symptoms of Y" are near-duplicates by their letters, and want other answers.

What it gives up: right answers that nobody judged and that share no words. `guide` and the margin of `mining`
are for these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.near_duplicates import canonical, near_duplicate_groups

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Known:
    """The pairs that are known, or have to be taken, to be right.

    Attributes:
        queries, passages: text -> group; texts of a group count as the same.
        keys: (pairs of groups,) int64, ascending: query group * stride + passage group.
        stride: more than the number of passage groups.
    """

    queries: Mapping[str, int]
    passages: Mapping[str, int]
    keys: Int64
    stride: int

    def groups(self, texts: Sequence[str], of: Mapping[str, int]) -> Int64:
        """(texts,) int64; a text that is in no group gets one of its own, below 0."""
        return np.array([of.get(text, -1 - row) for row, text in enumerate(texts)], dtype=np.int64)

    def mask(self, queries: Int64, passages: Int64) -> Bool:
        """(queries, passages) bool for two arrays of groups; True where the pair is known to be right."""
        if not len(self.keys):
            return np.zeros((len(queries), len(passages)), dtype=bool)
        wanted = queries[:, None] * self.stride + passages[None, :]
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[place] == wanted
        return np.asarray(known & (queries[:, None] >= 0) & (passages[None, :] >= 0))

    def right(self, query: str, passage: str) -> bool:
        """Whether *passage* is known to answer *query*."""
        return bool(self.mask(self.groups([query], self.queries), self.groups([passage], self.passages))[0, 0])


def known_pairs(pairs: Iterable[tuple[str, str]], others: Iterable[str] = (), *, near_duplicates: bool = True) -> Known:
    """The closure of judged pairs over duplicates.

    Args:
        pairs: (query, passage) that are judged right.
        others: passages that may become negatives: of the corpus, or given as negatives.
        near_duplicates: also put near-duplicates of passages together; otherwise texts that are equal but for case,
            punctuation and spaces. Costs about 1 ms a text.
    """
    judged = list(dict.fromkeys(pairs))
    queries = _grouped(dict.fromkeys(query for query, _ in judged), near_duplicates=False)
    passages = _grouped(dict.fromkeys([*(passage for _, passage in judged), *others]), near_duplicates=near_duplicates)
    stride = len(passages) + 1
    keys = {queries[query] * stride + passages[passage] for query, passage in judged}
    return Known(queries, passages, np.array(sorted(keys), dtype=np.int64), stride)


def nothing_known() -> Known:
    """No pair is masked: what training without masking does."""
    return Known({}, {}, np.empty(0, dtype=np.int64), 1)


def _grouped(texts: Iterable[str], *, near_duplicates: bool) -> dict[str, int]:
    listed = list(texts)
    if near_duplicates:
        return dict(zip(listed, near_duplicate_groups(listed), strict=True))
    first: dict[str, int] = {}
    return {text: first.setdefault(canonical(text), row) for row, text in enumerate(listed)}
