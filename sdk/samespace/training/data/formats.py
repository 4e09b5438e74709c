"""Rows of training data: which columns mean what, in the files that people publish.

A row has a query and a passage under one of these names, and may have negatives, a label and a weight:

query       query, question, anchor, text_a, sentence1, sentence_A, premise, question1, ...
passage     passage, positive, answer, document, text_b, sentence2, sentence_B, hypothesis, question2, pos, ...;
            may be a list, of texts or of {"title", "text"} (tevatron, DPR)
negatives   negative, negatives, negative_1 ... negative_N, neg, negative_passages, hard_negative_ctxs, ...
label       label, score, similarity, is_duplicate: a number from 0 to 1 (or true, false); makes it a labelled pair
weight      weight: a number above 0, 1 where there is none

A row may also be an array: [query, passage, negative ...] or [text, text, number]; or {"set": [text, ...]}. Columns
that are not used are counted, so that nothing is dropped in silence. A row that does not fit is an error with file,
line and what was found there.

What it leaves to others: files and compression (`evaluation.files`), which split a file belongs to, BEIR folders
(`sources`), what the numbers of a label mean (`grades`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation import files
from ...evaluation.excerpts import clipped, listed, shown
from ...extras import require_extra
from ...text import lone_surrogate
from .grades import UnreadGrades, check_class_names, number, unit_label

SUFFIXES: Final = files.SUFFIXES
QUERY: Final = (
    "query", "question", "anchor", "text_a", "sentence1", "sentence_A", "premise", "question1", "text1", "query_text",
    "sentence_1", "queries",
)  # fmt: skip
PASSAGE: Final = (
    "passage", "positive", "answer", "document", "text_b", "sentence2", "sentence_B", "hypothesis", "question2",
    "text2", "pos", "positives", "positive_passages", "positive_ctxs", "passage_text", "sentence_2", "context",
    "response",
)  # fmt: skip
LABEL: Final = ("label", "score", "similarity", "is_duplicate", "labels", "gold_label", "similarity_score")
WEIGHT: Final = ("weight",)
_NEGATIVE: Final = re.compile(
    r"(hard_?)?(negatives?|neg)(_?\d+)?|negative_passages|(hard_)?negative_ctxs", re.IGNORECASE
)
_JUDGEMENT: Final = ({"query-id", "corpus-id"}, {"query_id", "corpus_id"})
_SCORES: Final = {"pos_scores": PASSAGE, "neg_scores": ("neg", "negatives", "negative")}
_QUIET: Final = frozenset({"id", "_id", "idx", "query_id", "qid", "docid", "pair_id", "pairID", "index"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row, checked; texts are stripped and may be empty.

    Attributes:
        line: from 1; of a table without lines, the row.
        label: None where the file has no column of labels.
        unused: names of columns that say something and are not used.
        taken: what was taken ("query", "passage", "label") -> the column that it was taken from.
    """

    line: int
    query: str
    passages: tuple[str, ...]
    negatives: tuple[str, ...]
    label: float | None
    weight: float
    unused: tuple[str, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of one file.

    Raises:
        DataInvalid: the file cannot be read, columns are missing or there are two for one thing, or a value is of
            another type or outside its range.
    """
    if files.suffix_of(path) == ".parquet":
        check_class_names(str(path), _parquet_classes(path))
    return check_rows(str(path), files.read_rows(path), cells=files.suffix_of(path) in (".csv", ".tsv"))


def check_rows(path: str, rows: Iterable[tuple[int, Any]], *, cells: bool = False) -> Iterator[Row]:
    """*rows* of (number, plain value) as `Row`s; *path* is for messages; *cells* are strings that may be numbers."""
    unread = UnreadGrades()
    labelled: int | None = None  # the first row with a label; 0 once a row had none
    rows = _without_written_lists(path, rows) if cells else rows
    for place, value in rows:
        where = f"{path}, line {place}"
        for plain in _plain(where, value):
            plain = {name: _cell(name, cell) for name, cell in plain.items()} if cells else plain
            row = _row(place, where, plain)
            if row.label is None:
                unread.look_at(where, place, plain, row.unused)
            if labelled is None:
                labelled = place if row.label is not None else 0
            if (labelled > 0) != (row.label is not None):
                has, lacks = (
                    ("no label", f"line {labelled} has one") if labelled else ("a label", "the first row has none")
                )
                raise DataInvalid(path=where, reason=f"has {has}, {lacks}; keep pairs and labelled pairs in two files")
            yield row
    if labelled is None:
        raise DataInvalid(path=path, reason="has no rows")


def _without_written_lists(path: str, rows: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """*rows* of a table, unless every cell of a column is a list that was written as text: it would be one text.

    pandas writes a column of lists so, and reads it back as text.
    """
    lists: dict[str, str] = {}
    others: set[str] = set()
    for place, value in rows:
        for name, cell in value.items() if isinstance(value, Mapping) else ():
            if (name in PASSAGE or _NEGATIVE.fullmatch(name)) and isinstance(cell, str) and cell.strip():
                if name not in others and _is_written_list(cell):
                    lists.setdefault(name, cell)
                else:
                    others.add(name)
        yield place, value
    if wrong := [name for name in lists if name not in others]:
        raise DataInvalid(
            path=path,
            reason=f"{wrong[0]!r} holds lists that were written as text, such as {shown(lists[wrong[0]])}; "
            "write one row for each text, or write the rows as JSON lines",
        )


def _is_written_list(cell: str) -> bool:
    if not (cell.lstrip().startswith("[") and cell.rstrip().endswith("]")):
        return False
    try:
        value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _plain(where: str, value: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings that one row of a file stands for: usually itself."""
    if isinstance(value, list) and len(value) >= 2 and all(isinstance(each, str) for each in value[:2]):
        query, passage, *rest = value
        if len(rest) == 1 and isinstance(rest[0], int | float):
            yield {"query": query, "passage": passage, "label": rest[0]}
        elif len(rest) == 1 and _is_written_number(rest[0]) and not _is_written_number(passage):
            reason = f"its third value is {shown(rest[0])}: a label is a number without quotes, a negative a text"
            raise DataInvalid(path=where, reason=reason)
        else:
            yield {"query": query, "passage": passage, "negatives": rest}
    elif not isinstance(value, Mapping):
        raise DataInvalid(path=where, reason=f"is {shown(value)}; expected an object")
    elif set(value) == {"set"} and isinstance(value["set"], list) and len(value["set"]) > 1:
        yield {"query": value["set"][0], "passage": value["set"][1:]}
    elif any(names <= value.keys() for names in _JUDGEMENT) and not any(name in value for name in PASSAGE):
        raise DataInvalid(
            path=where,
            reason="is a judgement, without texts; name the folder with corpus, queries and qrels/ instead of the file",
        )
    elif _is_columns(value):
        yield from _columns(where, value)
    else:
        yield value


def _is_written_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value) is not None


def _is_columns(value: Mapping[str, Any]) -> bool:
    """MTEB's pair classification has all pairs in one row: lists of texts and a list of labels, equally long."""
    return any(isinstance(value.get(name), list) for name in LABEL)


def _columns(where: str, value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    lists = {name: cells for name, cells in value.items() if isinstance(cells, list)}
    if len({len(cells) for cells in lists.values()}) > 1:
        sizes = ", ".join(f"{len(cells)} of {clipped(name)}" for name, cells in list(lists.items())[:8])
        raise DataInvalid(path=where, reason=f"its lists have unequal lengths: {sizes}")
    for row in zip(*lists.values(), strict=True):
        yield {**value, **dict(zip(lists, row, strict=True))}


def _row(line: int, where: str, plain: Mapping[str, Any]) -> Row:
    query = _column(where, plain, "query", QUERY)
    passage = _column(where, plain, "passage", PASSAGE)
    label = _column(where, plain, "label", LABEL, required=False)
    weight = _column(where, plain, "weight", WEIGHT, required=False)
    assert query is not None and passage is not None
    negative_columns = [column for column in plain if _NEGATIVE.fullmatch(column) and plain[column] not in (None, "")]
    negatives = tuple(text for column in negative_columns for text in _texts(where, column, plain[column]))
    grade = None if label is None else unit_label(where, label, plain[label], (query, passage))
    if grade is not None and negatives:
        raise DataInvalid(
            path=where, reason=f"has both {label!r} and negatives; a negative of a labelled pair is a row with label 0"
        )
    factor = 1.0 if weight is None else number(where, weight, plain[weight])
    if not factor > 0:
        raise DataInvalid(path=where, reason=f"{weight!r} is {factor:g}; expected a number above 0")
    passages = _texts(where, passage, plain[passage])
    if not passages:
        raise DataInvalid(path=where, reason=f"{passage!r} is an empty list; expected a text")
    _check_scores(where, plain)
    used = {query, passage, label, weight, *negative_columns, *_QUIET}
    unused = tuple(name for name, value in plain.items() if name not in used and value not in (None, "", [], {}))
    taken = {"query": query, "passage": passage} | ({} if label is None else {"label": label})
    return Row(line, _text(where, query, plain[query]), passages, negatives, grade, factor, unused, taken)


def _check_scores(where: str, plain: Mapping[str, Any]) -> None:
    """FlagEmbedding's scores of a teacher: one for each text, or the columns are out of step."""
    for name, texts in _SCORES.items():
        scores = plain.get(name)
        column = next((each for each in texts if plain.get(each) is not None), None)
        if not isinstance(scores, list) or column is None:
            continue
        many = len(plain[column]) if isinstance(plain[column], list) else 1
        if scores and len(scores) != many:
            raise DataInvalid(path=where, reason=f"{name!r} has {len(scores)} numbers for {many} texts of {column!r}")


def _column(
    where: str, plain: Mapping[str, Any], what: str, names: Sequence[str], *, required: bool = True
) -> str | None:
    found = [name for name in names if plain.get(name) is not None]
    if len(found) > 1:
        raise DataInvalid(path=where, reason=f"has two columns for the {what}: {found[0]!r} and {found[1]!r}; keep one")
    if found:
        return found[0]
    if not required:
        return None
    nothing = [name for name in names if name in plain]
    if nothing:
        raise DataInvalid(path=where, reason=f"{nothing[0]!r} has no value; expected a text")
    raise DataInvalid(
        path=where,
        reason=f"has no {what}: expected one of the columns {', '.join(names)}; found {listed(list(plain))}"
        + ("; is its first line a header?" if len(plain) > 0 and max(map(len, plain)) > 60 else ""),
    )


def _text(where: str, column: str, value: Any) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):  # a passage of tevatron or DPR
        title = value.get("title")
        return _text(where, column, f"{title} {value['text']}" if isinstance(title, str) else value["text"])
    if not isinstance(value, str):
        raise DataInvalid(path=where, reason=f"{column!r} is {shown(value)}; expected a text")
    if (place := lone_surrogate(value)) is not None:
        raise DataInvalid(path=where, reason=f"{column!r}: character {place} is a lone surrogate, not text")
    return value.strip()


def _texts(where: str, column: str, value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list) else [value]
    return tuple(_text(where, column, each) for each in many)


def _cell(name: str, cell: str) -> Any:
    """A cell of CSV: numbers are read out of the text of labels and weights, and an empty one is no value."""
    if name not in LABEL + WEIGHT:
        return cell
    if not cell.strip():
        return None
    try:
        return float(cell)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(cell.strip().lower(), cell)


def _parquet_classes(path: Path) -> Mapping[str, Sequence[str]]:
    """Column -> names of its classes, where Hugging Face's datasets wrote them into the file."""
    require_extra("arrow", feature="reading Parquet", modules=("pyarrow",))
    import json

    import pyarrow
    import pyarrow.parquet

    try:
        said = (pyarrow.parquet.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(said).get("info", {}).get("features", {})
    except (pyarrow.ArrowException, OSError, ValueError):
        return {}  # whether it can be read at all is said by whoever reads it
    return _classes(features)


def _classes(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Column of labels -> names of its classes, of features as Hugging Face's datasets write them; also in lists."""
    found: dict[str, Sequence[str]] = {}
    for name, feature in features.items():
        while isinstance(feature, Mapping) and isinstance(feature.get("feature"), Mapping | list):
            feature = feature["feature"]
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        names = feature.get("names") if isinstance(feature, Mapping) else None
        if name in LABEL and isinstance(names, list) and names:
            found[name] = names
    return found


def saved_datasets(folder: Path) -> Mapping[str, Iterator[Row]]:
    """Split -> rows of a folder that Hugging Face's `save_to_disk` wrote; a lone dataset is the split "train".

    Raises:
        DataInvalid: the folder cannot be read as one.
    """
    require_extra("train", feature="reading folders of datasets", modules=("datasets",))
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataInvalid(path=str(folder), reason=f"cannot be read as a saved dataset: {error}") from error
    parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    for split, part in parts.items():
        check_class_names(f"{folder}, split {split}", _classes(part.features.to_dict()))
    return {
        str(split): check_rows(f"{folder}, split {split}", enumerate(part, start=1)) for split, part in parts.items()
    }
