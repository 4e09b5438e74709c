"""Columns that say how well a pair fits, by a name that is not read as its label.

Passed over, each row would be a right answer: also those that say "not relevant". Where such a column says one thing of
all rows, and nothing against them, the rows are pairs and it is left out like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation.excerpts import clipped
from ...evaluation.qrels import GRADE_NAMES

_NAMES: Final = frozenset({
    *GRADE_NAMES, "labels", "similarity", "similarityscore", "isduplicate", "goldlabel", "escilabel",
    "relevancelabel", "relevancescore", "relevancegrade", "relevancejudgment", "relevancejudgement", "judgment",
    "judgement", "rating", "correct", "iscorrect", "isrelevant", "isselected", "ispositive", "isanswer", "ismatch",
    "isparaphrase",
})  # fmt: skip
"""In lower case, without what joins words."""
_AGAINST: Final = frozenset({
    "i", "n", "f", "no", "false", "irrelevant", "notrelevant", "nonrelevant", "unrelated", "notrelated", "wrong",
    "incorrect", "bad", "negative", "neg", "none",
})  # fmt: skip
"""Words for "not relevant"; "I" is that of Amazon's ESCI."""


class UnreadGrades:
    """What the columns of one file say that are grades by their names, and are not read."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[Any, Any, int]] = {}

    def look_at(self, where: str, line: int, plain: Mapping[str, Any], unused: tuple[str, ...]) -> None:
        """Raise `DataInvalid` where a column tells rows apart, or says that a row does not fit.

        Args:
            unused: names of the row's columns that are not used.
        """
        for column in unused:
            if _bare(column) not in _NAMES:
                continue
            for value in _each(plain[column]):
                said = _said(value)
                first, shown, at = self._first.setdefault(column, (said, value, line))
                if first != said:
                    self._refuse(where, column, f"is {clipped(value)}, and {clipped(shown)} in line {at}")
                if (isinstance(said, float) and said <= 0) or said in _AGAINST:
                    self._refuse(where, column, f"is {clipped(value)}, which says that the pair does not fit")

    def _refuse(self, where: str, column: str, what: str) -> None:
        raise DataInvalid(
            path=where,
            reason=f"{column!r} {what}; a column of this name is not read, and every row would be a right answer. Call "
            "it label, from 0 to 1, or leave it out where all rows are",
        )


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _each(value: Any) -> Iterator[Any]:
    """The values of a cell: itself, or those of a list."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool | int | float | str):
            yield each


def _said(value: bool | int | float | str) -> float | str:
    """What a value says, so that 1, 1.0, "1" and true are one."""
    try:
        return float(value)
    except ValueError:
        bare = _bare(str(value))
        return 1.0 if bare == "true" else bare
    except OverflowError:  # a whole number beyond what a float can hold
        return str(value)
