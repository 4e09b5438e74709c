"""The texts of a retrieval set: id and text of each passage or query, whatever the columns are called.

A column that holds texts and is not used is told, because an encoder that lacks the titles scores less. Two columns
for one thing that contradict each other are refused: one would win.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import DataInvalid
from ..text import Role, lone_surrogate
from .excerpts import clipped, listed, shown
from .files import SUFFIXES, parts_of, read_rows, stems_of, suffix_of
from .qrels import identifier
from .words import SPACELESS

PARTS: Final[Mapping[Role, str]] = {"passage": "corpus", "query": "queries"}
_ANY_ID: Final = ("_id", "id")
_OWN_IDS: Final[Mapping[Role, tuple[str, ...]]] = {
    "passage": ("docid", "doc_id", "docno", "pid", "passage_id", "corpus_id", "corpus-id"),
    "query": ("qid", "query_id", "query-id"),
}
_ANY_TEXT: Final = ("text", "contents", "content")
_OWN_TEXTS: Final[Mapping[Role, tuple[str, ...]]] = {"passage": ("body", "passage"), "query": ("query", "question")}
_IDS: Final = (*_ANY_ID, *_OWN_IDS["passage"], *_OWN_IDS["query"])
_TEXTS: Final = (*_ANY_TEXT, *_OWN_TEXTS["passage"], *_OWN_TEXTS["query"])
_JSON: Final = (".json", ".jsonl", ".ndjson")
_WITHOUT_SPACES: Final = re.compile(f"[{SPACELESS}]{{4}}")
_BY_PLACE: Final = {2: ("_id", "text"), 3: ("_id", "title", "text")}


def read_texts(root: Path, role: Role) -> tuple[dict[str, str], list[str]]:
    """id -> text of each passage or query in order, and what is worth knowing about the files.

    Raises:
        DataInvalid: there is no such file, a row is not what it has to be, or an id appears twice.
    """
    part = PARTS[role]
    files = parts_of(root, part)
    if not files:
        also = ", ".join(f"{part}{suffix}" for suffix in SUFFIXES[2:])
        raise DataInvalid(
            path=str(root / f"{part}.jsonl"),
            reason=f"no such file{_elsewhere(root, part)}; also read are {also}, or with .gz",
        )
    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    unused: dict[str, int] = {}
    taken: dict[str, int] = {}
    excluding = 0
    for path in files:
        for number, row in _rows(path):
            where = f"{path}, line {number}"
            (name, text, others), body = _entry(where, row, role)
            taken[body] = taken.get(body, 0) + 1
            excluding += role == "query" and _excludes(row)
            if name in seen:
                raise DataInvalid(path=where, reason=f"{role} id {clipped(name)} appears twice, first in {seen[name]}")
            seen[name] = f"line {number}" if path == files[0] else where
            found[name] = text
            for column in others:
                unused[column] = unused.get(column, 0) + 1
    if not found:
        raise DataInvalid(path=str(files[0]), reason=f"has no {role}")
    return found, [
        *_together(part, files),
        *_excluded(excluding, len(found)),
        *_not_used(part, role, unused),
        *_several(part, taken),
    ]


def _excludes(row: Mapping[str, Any]) -> bool:
    """Whether a query names passages that are left out of its ranking, as BRIGHT's do; "N/A" is none."""
    named = row.get("excluded_ids")
    return any(name not in ("", "N/A") for name in (named if isinstance(named, list) else [named]) if name is not None)


def _excluded(queries: int, of: int) -> list[str]:
    if not queries:
        return []
    return [
        f"{queries} of {of} queries have excluded_ids, passages that the published task leaves out of their ranking; "
        "they are ranked here, so that a score compares with no published one"
    ]


def _together(part: str, files: Sequence[Path]) -> list[str]:
    """Files of a folder that are no shards of one."""
    several = len(set(stems_of(files).values())) > 1
    return [f"{part} is {listed([path.name for path in files])} together"] if several else []


def _not_used(part: str, role: Role, unused: Mapping[str, int]) -> list[str]:
    if not unused:
        return []
    most = max(unused.values())
    title = "; a title is read from the column 'title'" if role == "passage" and "title" not in unused else ""
    return [f"{part} has texts in columns that are not used: {listed(list(unused))} ({most} rows){title}"]


def _several(part: str, taken: Mapping[str, int]) -> list[str]:
    if len(taken) < 2:
        return []
    said = " and ".join(f"{clipped(column)} ({count} rows)" for column, count in list(taken.items())[:8])
    return [f"{part} takes its text from another column in some rows: {said}; they may be of different kinds"]


def _elsewhere(root: Path, part: str) -> str:
    """Where the set may be instead: in a folder or an archive of *root*."""
    inside = [path for path in sorted(root.iterdir()) if path.is_dir() and parts_of(path, part)]
    if inside:
        return f"; {inside[0]} has one, name that folder"
    archives = [path.name for path in sorted(root.iterdir()) if path.suffix.lower() in (".zip", ".tar", ".tgz")]
    return f"; {archives[0]} is an archive, unpack it first" if archives else ""


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """The rows of a file; of a TSV file without a header (MS MARCO, MIRACL) by the places of its columns.

    A first line is no header where it has none of the known names, and a text of several words at its end. An object of
    objects or texts is taken as rows by their ids.
    """
    rows = read_rows(path)
    names: tuple[str, ...] = ()
    for number, row in rows:
        if suffix_of(path) in _JSON and _is_by_id(row, whole=suffix_of(path) == ".json"):
            yield from enumerate(_by_id(f"{path}, line {number}", row), start=number)
            continue
        if not names and suffix_of(path) == ".tsv" and isinstance(row, Mapping) and not {*_IDS, *_TEXTS} & set(row):
            first = list(row)
            names = _BY_PLACE.get(len(first), ()) if " " in first[-1].strip() else ()
            if names:
                yield 1, dict(zip(names, first, strict=True))
        if not names:
            yield number, row
            yield from rows
            return
        yield number, dict(zip(names, row.values(), strict=True))


def _is_by_id(row: Any, *, whole: bool) -> bool:
    """Whether an object is {id: {"text": ...}}, or as a *whole* file {id: text}, and no row."""
    if not isinstance(row, Mapping) or not row or {*_IDS, *_TEXTS, "title"} & set(row):
        return False
    values = list(row.values())
    return all(isinstance(value, Mapping) and {*_TEXTS} & set(value) for value in values) or (
        whole and all(isinstance(value, str) for value in values) and any(" " in value for value in values)
    )


def _by_id(where: str, row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, value in row.items():
        if not isinstance(value, Mapping):
            yield {"_id": name, "text": value}
            continue
        own = next((column for column in _IDS if value.get(column) is not None), None)
        if own is not None and identifier(where, value[own]) != name:
            raise DataInvalid(
                path=where, reason=f"the object under {clipped(name)} has {own!r} {clipped(value[own])}; keep one id"
            )
        yield {"_id": name, **value}


def _entry(where: str, row: Any, role: Role) -> tuple[tuple[str, str, list[str]], str]:
    """Id and text of one row, and the columns of texts that are not used; and the column of its text."""
    if not isinstance(row, Mapping):
        raise DataInvalid(path=where, reason=f'is {shown(row)}; expected an object with "_id" and "text"')
    identity = _one(where, row, "id", (*_ANY_ID, *_OWN_IDS[role]), _IDS)
    body = _one(where, row, "text", (*_ANY_TEXT, *_OWN_TEXTS[role]), _TEXTS)
    if identity is None or body is None:
        raise DataInvalid(path=where, reason=f'expected an object with "_id" and "text"; found {listed(list(row))}')
    name = identifier(where, row[identity])
    text = row[body] if row[body] is not None else ""
    title = (row.get("title") or "") if role == "passage" else ""
    for column, value in ((body, text), ("title", title)):
        if not isinstance(value, str):
            raise DataInvalid(path=where, reason=f"{column!r} is {shown(value)}; expected a text")
    for each in (name, text, title):
        if (place := lone_surrogate(each)) is not None:
            raise DataInvalid(path=where, reason=f"character {place} is a lone surrogate, not text")
    used = {identity, body, *(("title",) if role == "passage" else ())}
    unused = [column for column, value in row.items() if column not in used and _is_text(value) and value != text]
    return (name, f"{title} {text}".strip(), unused), body


def _one(where: str, row: Mapping[str, Any], what: str, own: Sequence[str], all_names: Sequence[str]) -> str | None:
    """The column of a row for its id or text: one that is meant for it, else any that may be.

    Raises:
        DataInvalid: there are two that say two things.
    """
    for names in (own, all_names):
        filled = [name for name in names if row.get(name) not in (None, "")]
        if other := next((name for name in filled[1:] if str(row[name]) != str(row[filled[0]])), None):
            raise DataInvalid(
                path=where,
                reason=f"has two columns for the {what}: {filled[0]!r} is {clipped(row[filled[0]])} and {other!r} is "
                f"{clipped(row[other])}; keep one",
            )
        if found := filled or [name for name in names if name in row]:
            return found[0]
    return None


def _is_text(value: Any) -> bool:
    """Whether a value of a column is words, and no id, date or address."""
    return isinstance(value, str) and (" " in value.strip() or _WITHOUT_SPACES.search(value) is not None)
