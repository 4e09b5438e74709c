"""What a search engine found (a run), where judgements are expected: it would be scored by itself.

A run is known by its columns (TREC's six, or a header that says so) and by grades that are ranks. Scores without such a
sign may be grades of somebody's: they are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import DataInvalid
from .excerpts import clipped

_RANKS: Final = ("rank", "ranking", "position")
_OF_RUNS: Final = ("run", "run_id", "run-id", "runid", "run_name", "run_tag", "q0")
_FEWEST_RANKS: Final = 6
"""No scale of grades has as many steps and uses each once for every query, in order."""
_MOST_GRADES, _MOST_FRACTIONS = 20, 5


def require_no_run(where: str, cells: Sequence[str]) -> None:
    """Raise `DataInvalid` for a first line of TREC's six columns, and for any other count of columns but three or four.

    *where* is the place of the line, for errors.
    """
    if len(cells) == 6 and cells[1].upper() == "Q0":
        raise DataInvalid(
            path=where,
            reason="is a TREC run (query id, Q0, passage id, rank, score, name): what a search engine found, and no "
            "judgements; expected query id, 0, passage id, grade",
        )
    if len(cells) not in (3, 4):
        raise DataInvalid(
            path=where,
            reason=f"has {len(cells)} columns; expected query id, passage id and a number with tabs between, or the "
            "four columns of TREC. Ids with spaces need tabs",
        )


def require_no_run_named(where: str, names: Sequence[str], grade: str) -> None:
    """Raise `DataInvalid` where names of columns are a run's.

    A column that is called a grade stands beside ranks where a pool was judged; one that is called a score is the
    search engine's.
    """
    plain = [name.strip().lower() for name in names]
    sign = next((name for name in plain if name in _OF_RUNS + _RANKS), None)
    if sign is not None and grade.strip().lower() in ("score", *_RANKS, *_OF_RUNS):
        beside = "" if sign == grade.strip().lower() else f" beside {clipped(grade)}"
        raise DataInvalid(
            path=where,
            reason=f"has a column {sign!r}{beside}: it is a run, what a search engine found, and no judgements; if "
            "these are grades, call their column 'grade'",
        )


def require_no_ranks(path: str, judged: Mapping[str, Mapping[str, float]]) -> None:
    """Raise `DataInvalid` where the grades of every query count its passages, as ranks do (MS MARCO's runs).

    Args:
        judged: query id -> passage id -> grade, in the order of the file.
    """
    most = max(map(len, judged.values()), default=0)
    for first in (0, 1):
        if most >= _FEWEST_RANKS and all(
            list(grades.values()) == list(range(first, first + len(grades))) for grades in judged.values()
        ):
            raise DataInvalid(
                path=path,
                reason=f"its grades count the passages of each query from {first}, {most} at most: they are ranks, "
                "what a search engine found, and no judgements",
            )


def many_grades(split: str, judged: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What to tell of more different grades than people give, as sentences."""
    found = {grade for grades in judged.values() for grade in grades.values()}
    broken = [grade for grade in found if grade != int(grade)]
    if len(found) <= _MOST_GRADES and len(broken) <= _MOST_FRACTIONS:
        return []
    examples = ", ".join(f"{grade:.4g}" for grade in sorted(broken or found, reverse=True)[:3])
    return [
        f"judgements of {split} have {len(found)} different grades, such as {examples}; if these are the scores of a "
        "search engine, they are a run and no judgements, and what is scored by them is false"
    ]
