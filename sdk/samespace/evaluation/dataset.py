"""A retrieval set in the BEIR layout: passages, the queries of one split, and which passages answer them.

    corpus.jsonl       one passage a line: {"_id", "title" (optional), "text"}
    queries.jsonl      one query a line, of all splits: {"_id", "text"}
    qrels/SPLIT.tsv    query id, passage id, grade; tabs; a header line is allowed

A set is read whole and checked whole: whoever holds a `Dataset` has no unknown id and no empty split.

What it leaves to others: searching (`retrieval`), duplicates and leaks between splits (`near_duplicates`).
What it gives up: sets that do not fit into memory.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataInvalid
from ..text import lone_surrogate


@dataclass(frozen=True, slots=True)
class Dataset:
    """One split of a retrieval set.

    Attributes:
        folder: where it was read from.
        split: whose queries and judgements these are; the passages are those of all splits.
        passage_ids: in the order of the corpus file.
        passages: title + " " + text of each, stripped; same order.
        query_ids: the split's queries with at least one grade above 0, in the order of the query file.
        queries: their texts, same order.
        qrels: query id -> passage id -> grade; grades above 0 are relevant.
    """

    folder: Path
    split: str
    passage_ids: tuple[str, ...]
    passages: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    qrels: Mapping[str, Mapping[str, int]]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name


def splits(folder: Path | str) -> tuple[str, ...]:
    """The splits that a set has judgements for, sorted; empty where there are none."""
    return tuple(sorted(path.stem for path in (Path(folder) / "qrels").glob("*.tsv")))


def load_dataset(folder: Path | str, split: str = "test") -> Dataset:
    """Read one split of the set in *folder*.

    Raises:
        DataInvalid: a file is missing, a line is not what it has to be (with its number), an id is unknown or
            there twice, or the split has no query with a relevant passage.
    """
    return _load(Path(folder), (split,))[0]


def load_splits(folder: Path | str) -> tuple[Dataset, ...]:
    """All splits of the set in *folder*, by name; they share their texts. Raises as `load_dataset` does."""
    return _load(Path(folder), splits(folder))


def _load(root: Path, names: Sequence[str]) -> tuple[Dataset, ...]:
    if not root.is_dir():
        raise DataInvalid(path=str(root), reason="no such folder; expected corpus.jsonl, queries.jsonl and qrels/")
    passages = dict(_texts(root / "corpus.jsonl", "passage", titled=True))
    queries = dict(_texts(root / "queries.jsonl", "query", titled=False))
    passage_ids, texts = tuple(passages), tuple(passages.values())
    loaded = []
    for split in names:
        qrels = read_qrels(root, split, passages, queries)
        asked = tuple(query for query in queries if any(grade > 0 for grade in qrels.get(query, {}).values()))
        if not asked:
            raise DataInvalid(
                path=str(_qrels_file(root, split)), reason="no query of this split has a relevant passage"
            )
        loaded.append(
            Dataset(
                folder=root,
                split=split,
                passage_ids=passage_ids,
                passages=texts,
                query_ids=asked,
                queries=tuple(queries[query] for query in asked),
                qrels={query: qrels[query] for query in asked},
            )
        )
    return tuple(loaded)


def _qrels_file(root: Path, split: str) -> Path:
    return root / "qrels" / f"{split}.tsv"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError as error:
        raise DataInvalid(path=str(path), reason="no such file") from error
    except UnicodeDecodeError as error:
        raise DataInvalid(path=str(path), reason=f"is not UTF-8 text: {error}") from error
    except OSError as error:
        raise DataInvalid(path=str(path), reason=f"cannot be read: {error.strerror}") from error


def _texts(path: Path, what: str, *, titled: bool) -> Iterator[tuple[str, str]]:
    """(id, text) of each line of a corpus or query file."""
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            entry: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataInvalid(path=where, reason=f"is not JSON: {error.msg}") from error
        if not isinstance(entry, dict) or not {"_id", "text"} <= entry.keys():
            raise DataInvalid(path=where, reason='expected an object with "_id" and "text"')
        name, text, title = entry["_id"], entry["text"], entry.get("title") or ""
        if not isinstance(name, str) or not isinstance(text, str) or not isinstance(title, str):
            raise DataInvalid(path=where, reason='"_id", "title" and "text" have to be strings')
        for each in (name, text, title):
            if (place := lone_surrogate(each)) is not None:
                raise DataInvalid(path=where, reason=f"character {place} is a lone surrogate, not text")
        if name in seen:
            raise DataInvalid(path=where, reason=f"{what} id {name!r} appears twice, first in line {seen[name]}")
        seen[name] = number
        yield name, f"{title} {text}".strip() if titled else text.strip()
    if not seen:
        raise DataInvalid(path=str(path), reason=f"has no {what}")


def read_qrels(
    root: Path,
    split: str,
    passages: Container[str],
    queries: Container[str],
    *,
    files: tuple[str, str] = ("queries.jsonl", "corpus.jsonl"),
) -> dict[str, dict[str, int]]:
    """The judgements of one split: query id -> passage id -> grade.

    Args:
        passages, queries: the ids that there are.
        files: what the ids of queries and of passages are read from, for errors.

    Raises:
        DataInvalid: there is no such split, a line is not what it has to be, or an id is unknown.
    """
    path = _qrels_file(root, split)
    if not path.is_file():
        have = ", ".join(splits(root)) or "none"
        raise DataInvalid(path=str(path), reason=f"no such file; splits of this set: {have}")
    qrels: dict[str, dict[str, int]] = {}
    first = True
    for number, line in _lines(path):
        cells = line.split("\t")
        header = first and len(cells) == 3 and not _is_integer(cells[2])
        first = False
        if header:
            continue
        where = f"{path}, line {number}"
        if len(cells) != 3 or not _is_integer(cells[2]):
            raise DataInvalid(
                path=where, reason=f"expected query id, passage id and a whole number, with tabs between; got {line!r}"
            )
        query, passage, grade = cells[0], cells[1], int(cells[2])
        for name, known, file in ((query, queries, files[0]), (passage, passages, files[1])):
            if name not in known:
                raise DataInvalid(path=where, reason=f"id {name!r} is not in {file}")
        before = qrels.setdefault(query, {}).setdefault(passage, grade)
        if before != grade:
            raise DataInvalid(
                path=where, reason=f"query {query!r} and passage {passage!r} have grade {before} already, now {grade}"
            )
    return qrels


def _is_integer(cell: str) -> bool:
    try:
        int(cell)
    except ValueError:
        return False
    return True
