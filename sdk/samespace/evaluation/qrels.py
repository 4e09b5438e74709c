"""Judgements: which passage answers which query, and how well, out of the files that people publish.

qrels/SPLIT.tsv, .csv     query id, passage id, grade; a header names them or is left out (BEIR)
qrels/SPLIT.txt, .qrels   query id, something, passage id, grade, with spaces or tabs (TREC); also as .tsv
qrels/SPLIT.jsonl, .json, .parquet    rows with these three (MTEB), or one object of objects, or of lists of passages
qrels/SPLIT/                          the same, as `save_to_disk` of Hugging Face datasets writes it

A judgement of a passage that the corpus lacks, or of a query that there is not, is no error: published sets have them.
They are counted, and told by whoever holds the set.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import DataInvalid
from .arrow_rows import is_saved_dataset, saved_shards
from .excerpts import clipped, listed, shown
from .files import SUFFIXES, is_data, is_one, read_lines, read_rows, require_all_shards, stems_of, suffix_of
from .runs import require_no_ranks, require_no_run, require_no_run_named

QUERY_NAMES: Final = ("query-id", "query_id", "queryid", "qid", "topic", "topic_id", "query")
PASSAGE_NAMES: Final = (
    "corpus-id", "corpus_id", "passage_id", "passage-id", "pid", "docid", "doc_id", "doc-id", "docno", "document_id",
    "corpus", "doc",
)  # fmt: skip
GRADE_NAMES: Final = ("score", "relevance", "rel", "grade", "label", "relevant", "relevancy")
_TEXT_SUFFIXES: Final = (".tsv", ".txt", ".qrels", ".qrel", ".trec")
_NO_GRADES: Final = ("", "nan", "inf", "-inf", "none", "null", "na", "n/a")
_FOLDERS: Final = ("qrels", "default", "data")
"""Where judgements are: BEIR's, and two names of MTEB's, of which the last may hold other files too."""
_LIKE_QUERY: Final = re.compile(r"\b(?:q|qid)\b|quer|question|topic|search")
_LIKE_PASSAGE: Final = re.compile(
    r"\b(?:d|did|pid|ctx|url)\b|doc|passage|article|answer|context|corpus|page|paragraph|text"
)
"""What names of columns in other words are made of: these alone tell which is which."""
_TEXT_NAMES: Final = ("query", "corpus", "doc", "topic")
"""Names that may be texts, where there is another one for the id."""

Grades = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Judgements:
    """What one split judges.

    Attributes:
        grades: query id -> passage id -> grade, of queries and passages that there are.
        missing: the same for passages that the corpus lacks, of queries that there are.
        strangers: queries that are judged and that there are not -> how many judgements they have.
        count: all judgements.
    """

    grades: Grades
    missing: Grades
    strangers: Mapping[str, int]
    count: int


def judgement_files(folder: Path) -> dict[str, list[Path]]:
    """The files of judgements of a set by split, sorted.

    Raises:
        DataInvalid: two files, or two folders, judge one split.
    """
    found: dict[str, list[Path]] = {}
    for name in _FOLDERS:
        here = _files_in(folder / name, sure=name != "data" or not found)
        for split in found.keys() & here.keys():
            raise DataInvalid(path=str(found[split][0]), reason=_twice(here[split][0], split))
        found.update(here)
    return dict(sorted(found.items()))


def _files_in(place: Path, *, sure: bool) -> dict[str, list[Path]]:
    """The files of one folder by split; where it is not *sure* that it has judgements, those that have."""
    found: dict[str, list[Path]] = {}
    files: list[Path] = []
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.is_dir() and is_saved_dataset(path):
            found.setdefault(path.name, []).extend(saved_shards(path))
        elif sure and path.is_dir() and any(map(_is_judgements, path.iterdir())):
            told = "is a folder with judgements, and those are read from qrels/SPLIT.tsv alone; move them there"
            raise DataInvalid(path=str(path), reason=told)
        elif _is_judgements(path, sure=sure):
            files.append(path)
    for path, stem in stems_of(files).items():
        split = stem.removeprefix("qrels.").removeprefix("qrels_").removeprefix("qrels-")
        found.setdefault(split, []).append(path)
    if is_saved_dataset(place) and not found:
        reason = "is a saved dataset without splits; save it as a folder of its split's name in it: qrels/test"
        raise DataInvalid(path=str(place), reason=reason)
    for split, paths in found.items():
        if not is_one(paths):
            raise DataInvalid(path=str(paths[0]), reason=_twice(paths[1], split))
        require_all_shards(paths)
    return found


def _twice(path: Path, split: str) -> str:
    return f"{path.parent.name}/{path.name} judges split {split!r} too, and one would win; keep one"


def _is_judgements(path: Path, *, sure: bool = False) -> bool:
    return is_data(path) and suffix_of(path) in (*_TEXT_SUFFIXES, *SUFFIXES) and (sure or _has_judgements(path))


def _has_judgements(path: Path) -> bool:
    try:
        return next(_triples(path), None) is not None
    except DataInvalid:
        return False


def read_judgements(paths: Sequence[Path], passages: Container[str], queries: Container[str]) -> Judgements:
    """The judgements of one split.

    Args:
        passages, queries: the ids that there are.

    Raises:
        DataInvalid: a line is not what it has to be, or one pair has two grades.
    """
    grades: Grades = {}
    missing: Grades = {}
    strangers: dict[str, int] = {}
    count = 0
    seen: Grades = {}
    for path in paths:
        for number, (query, passage, grade) in _triples(path):
            before = seen.setdefault(query, {}).setdefault(passage, grade)
            if before != grade:
                raise DataInvalid(
                    path=f"{path}, line {number}",
                    reason=f"query {clipped(query)} and passage {clipped(passage)} have grade "
                    f"{before:g} already, now {grade:g}",
                )
            count += 1
            if query not in queries:
                strangers[query] = strangers.get(query, 0) + 1
            else:
                (grades if passage in passages else missing).setdefault(query, {})[passage] = grade
    require_no_ranks(str(paths[0]) if paths else "", seen)
    return Judgements(grades, missing, strangers, count)


def every_judgement(paths: Sequence[Path]) -> Grades:
    """query id -> passage id -> grade of all judgements of one split, whether their texts are there or not. Raises as
    `read_judgements` does."""
    return read_judgements(paths, _ALL, _ALL).grades


class _All:
    """What holds every id."""

    def __contains__(self, name: object) -> bool:
        return True


_ALL: Final = _All()


def _triples(path: Path) -> Iterator[tuple[int, tuple[str, str, float]]]:
    kind = suffix_of(path)
    if kind in _TEXT_SUFFIXES:
        yield from _lines(path)
    elif kind == ".csv":
        yield from _lines(path, ",")
    else:
        grades: dict[str, str] = {}
        for number, row in read_rows(path):
            yield from _row(f"{path}, line {number}", number, row, grades)


def _lines(path: Path, delimiter: str | None = None) -> Iterator[tuple[int, tuple[str, str, float]]]:
    places: tuple[int, int, int] | None = None
    index, by_place, columns, twins = _Index(), False, 0, []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        cells = _cells(line.rstrip("\r\n"), delimiter)
        where = f"{path}, line {number}"
        if places is None:
            places = _named_places(cells)
            if places is not None:
                require_no_run_named(where, cells, cells[places[2]])
                twins = _twins(cells, places)
                continue
            require_no_run(where, cells)
            places, by_place, columns = ((0, 2, 3) if len(cells) == 4 else (0, 1, 2)), True, len(cells)
            if number == 1 and _is_own_header(where, cells):
                continue
        fits = len(cells) == columns if by_place else max(places) < len(cells)  # an id with a space moves the others
        if not fits or not _is_number(cells[places[2]]):
            raise DataInvalid(
                path=where,
                reason="expected query id, passage id and a number with tabs between, or the four columns of TREC; "
                f"got {clipped(line.rstrip())}",
            )
        query, passage, grade = (cells[place] for place in places)
        for place, other in twins:
            if other < len(cells) and not _same(cells[place], cells[other]):
                raise DataInvalid(
                    path=where,
                    reason=f"columns {place + 1} and {other + 1} mean the same and are {clipped(cells[place])} and "
                    f"{clipped(cells[other])}; keep one",
                )
        if by_place:
            index.look_at(where, cells)
        yield number, (query, passage, _grade(where, grade))


@dataclass(slots=True)
class _Index:
    """Whether four columns are TREC's, or three behind an index that a table's writer put in front of each row."""

    rows: int = 0
    counts: bool = True
    second: str | None = None

    def look_at(self, where: str, cells: Sequence[str]) -> None:
        """Raise `DataInvalid` where rows are numbered in the first of four columns, and TREC's constant is none."""
        if len(cells) != 4:
            self.counts = False
        if not self.counts:
            return
        self.counts = cells[0] == str(self.rows)
        self.rows += 1
        self.second = self.second or cells[1]
        if self.counts and self.rows > 1 and cells[1] != self.second:
            raise DataInvalid(
                path=where,
                reason=f"its first column {clipped(cells[0])} counts the rows, and its second {clipped(cells[1])} is "
                "not TREC's constant; leave the index out, or name the columns: query-id, corpus-id, score",
            )


def _is_own_header(where: str, cells: Sequence[str]) -> bool:
    """Whether the first line names columns in words of its own, which are then taken in the usual order."""
    if _is_number(cells[-1]) or cells[-1].lower() in _NO_GRADES:
        return False
    require_no_run_named(where, cells, cells[-1])
    kinds = [_kind(cell) for cell in cells[:-1]]
    turned = kinds[0] == "passage" or "query" in kinds[1:]
    if turned or not (kinds[0] == "query" or "passage" in kinds[1:]):
        raise DataInvalid(
            path=where,
            reason=f"its columns are {listed(cells)}, and it is not clear which is query, passage and "
            "grade; call them query-id, corpus-id and score",
        )
    return True


def _kind(name: str) -> str:
    """ "query", "passage", or "" where the name of a column does not tell."""
    plain = name.lower().replace("_", " ")
    return "query" if _LIKE_QUERY.search(plain) else "passage" if _LIKE_PASSAGE.search(plain) else ""


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is not None:
        delimiter = delimiter if delimiter in line or ";" not in line else ";"
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    tabbed = [cell.strip() for cell in line.split("\t")]
    return tabbed if len(tabbed) > 2 else line.split()


def _named_places(cells: Sequence[str]) -> tuple[int, int, int] | None:
    """Where a header puts query, passage and grade; None where the line is no header that is known."""
    names = [cell.lower() for cell in cells]
    found = [
        next((place for place, name in enumerate(names) if name in known), None)
        for known in (QUERY_NAMES, PASSAGE_NAMES, GRADE_NAMES)
    ]
    if all(place is None for place in found) or _is_number(cells[-1]):
        return None
    query, passage, grade = found
    if query is None or passage is None or grade is None:
        return None
    return query, passage, grade


def _twins(cells: Sequence[str], places: Sequence[int]) -> list[tuple[int, int]]:
    """(place, another place) of columns whose names mean the same."""
    names = [cell.lower() for cell in cells]
    return [
        (place, other)
        for place, known in zip(places, (QUERY_NAMES, PASSAGE_NAMES, GRADE_NAMES), strict=True)
        for other, name in enumerate(names)
        if other != place and name in known and (name not in _TEXT_NAMES or name == names[place])
    ]


def _same(one: Any, other: Any) -> bool:
    """Whether two cells say the same: 1 and 1.0 do."""
    if str(one) == str(other):
        return True
    return _is_number(str(one)) and _is_number(str(other)) and float(one) == float(other)


def _row(where: str, number: int, row: Any, grades: dict[str, str]) -> Iterator[tuple[int, tuple[str, str, float]]]:
    if isinstance(row, Mapping) and row and all(isinstance(judged, Mapping) for judged in row.values()):
        for query, judged in row.items():  # {query: {passage: grade}}, as pytrec_eval has them
            for passage, grade in judged.items():
                yield number, (str(query), str(passage), _grade(where, grade))
        return
    if _is_by_query(row):
        for query, passages in row.items():  # {query: [passage]}, as LlamaIndex has them
            yield from ((number, (query, identifier(where, passage), 1)) for passage in passages)
        return
    if not isinstance(row, Mapping):
        raise DataInvalid(path=where, reason=f"is {shown(row)}; expected an object with query-id, corpus-id and score")
    cells, used = [], []
    for what, names in (("query", QUERY_NAMES), ("passage", PASSAGE_NAMES), ("grade", GRADE_NAMES)):
        filled = [name for name in names if row.get(name) is not None]
        if not filled:
            reason = f"has no {what}: expected one of {', '.join(names)}; found {listed(list(row))}"
            raise DataInvalid(path=where, reason=reason)
        first = filled[0]
        others = (name for name in filled[1:] if name not in _TEXT_NAMES)
        if other := next((name for name in others if not _same(row[first], row[name])), None):
            raise DataInvalid(
                path=where,
                reason=f"has two columns for the {what}: {first!r} is {clipped(row[first])} and {other!r} is "
                f"{clipped(row[other])}; keep one",
            )
        cells.append(row[first])
        used.append(first)
    require_no_run_named(where, list(row), used[2])
    if grades.setdefault("column", used[2]) != used[2]:
        raise DataInvalid(
            path=where,
            reason=f"has its grade in {used[2]!r}, and the rows before in {grades['column']!r}; call both the same if "
            "they are grades of one scale",
        )
    yield number, (identifier(where, cells[0]), identifier(where, cells[1]), _grade(where, cells[2]))


def _is_by_query(row: Any) -> bool:
    """Whether an object is {query: [passage, ...]}, and none of columns."""
    if not isinstance(row, Mapping) or not row or {*QUERY_NAMES, *PASSAGE_NAMES, *GRADE_NAMES} & set(row):
        return False
    return all(isinstance(passages, list) and passages and isinstance(passages[0], str) for passages in row.values())


def identifier(where: str, value: Any) -> str:
    """An id as text; whole numbers are ids too.

    Raises:
        DataInvalid: it is neither.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    raise DataInvalid(path=where, reason=f"id {shown(value)}; expected a text or a whole number")


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and math.isfinite(float(cell))  # Python reads 1_0 as ten
    except ValueError:
        return False


def _grade(where: str, value: Any) -> float:
    try:
        grade = float(value)
    except (TypeError, ValueError, OverflowError):
        grade = math.nan
    if not math.isfinite(grade):
        raise DataInvalid(path=where, reason=f"grade {clipped(value)}; expected a number")
    return int(grade) if grade.is_integer() else grade
