"""Which of a generator's questions find their passage again. Pure.

A question that neither the base nor BM25 brings back to its passage may be about nothing, or about everything. What a
generator says to any passage alike is dropped too. A generator of which little remains is not believed at all.

Source: Dai et al. 2022, "Promptagator", arXiv:2209.11755, section 3.2 (consistency filtering).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ...evaluation.words import canonical
from ...vectors import Float32
from ..finetuning.mining import Found

_FIRST: Final = 10
_OFTEN: Final = 3
LEAST_SHARE: Final = 0.3
"""Of the questions that find their passage: below, the generator does not write about what it is shown."""


def comes_back(
    questions: Sequence[str], own: Sequence[int], q: Float32, p: Float32, by_words: Found | None
) -> list[bool]:
    """Whether each question has its passage among the first ten of the base or of BM25, and is not asked of many.

    Args:
        own: of each question, the row of its passage.
        q, p: unit vectors of questions and passages.
        by_words: BM25's ranking; None where it is not installed.
    """
    counts = Counter(map(canonical, questions))
    found = []
    for row, passage in enumerate(own):
        cosines = p @ q[row]
        near = int((cosines > cosines[passage]).sum()) < min(_FIRST, max(1, len(p) // 10))
        said = by_words is not None and passage in by_words.rows[row][: min(_FIRST, max(1, len(p) // 10))].tolist()
        found.append((near or said) and counts[canonical(questions[row])] < _OFTEN)
    return found
