"""Training data from wherever it lies, in one form, checked before anything is trained.

A source is one of

BEIR folder     corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv; a grade of 0 makes a known negative
folder of files train*, dev* (or valid*, validation*), test*; .jsonl, .json, .csv, .tsv or .parquet; also in data/
saved dataset   a folder that `save_to_disk` of Hugging Face datasets wrote
one file        the split that its name begins or ends with; "train" where it names none

All of them may be compressed (.gz, .bz2, .xz).

Several sources become one set; a source's weight says how often its examples are drawn. Training examples that
repeat another are left out and counted.

What it leaves to others: the columns of a row (`formats`), `near_duplicates`, batches without
duplicates (the batch sampler of sentence-transformers, by text), splits as retrieval sets (`retrieval_set`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation.arrow_rows import is_saved_dataset
from ...evaluation.dataset import Dataset, is_retrieval_set, load_splits
from ...evaluation.excerpts import clipped, listed
from ...evaluation.files import is_data, is_one, require_all_shards, stem_of, suffix_of
from .examples import COLUMNS, Examples, TrainingData, join
from .formats import SUFFIXES, Row, read_rows, saved_datasets
from .near_duplicates import canonical

SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "test": "test",
}  # fmt: skip
_Part = tuple[str, Iterator[Row]]
"""A file or split by its name for people, and its rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder, and how often its examples are drawn beside those of a source of weight 1."""

    path: Path
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise DataInvalid(path=str(self.path), reason=f"weight {self.weight:g}; expected a number above 0")


def load_data(sources: Path | str | Sequence[Path | str | Source]) -> TrainingData:
    """Read one source, or several as one set.

    Raises:
        DataInvalid: a source cannot be read, says nothing or something wrong (with file and line), or one source
            has labels where another has none.
        ExtraMissing: what reads this format is not installed.
    """
    several = [sources] if isinstance(sources, Path | str) else sources
    listed = [each if isinstance(each, Source) else Source(Path(each)) for each in several]
    if not listed:
        raise DataInvalid(path="data", reason="name at least one source")
    names = unique_names([source.path for source in listed])
    naming, parts = _Naming(), []
    for source, name in zip(listed, names, strict=True):
        part = _read(source.path, name if len(listed) > 1 else "", naming)
        parts.append(part if source.weight == 1 else _weighted(part, source.weight))
    return parts[0] if len(parts) == 1 else _joined(parts, _spelled_twice([source.path for source in listed]))


def without_repeats(examples: Examples) -> tuple[Examples, int]:
    """*examples* without those that repeat an earlier one in text and label, and how many these were."""
    first: dict[tuple[str, str, float], int] = {}
    for row, (query, passage, label) in enumerate(
        zip(examples.queries, examples.passages, examples.labels, strict=True)
    ):
        first.setdefault((canonical(query), canonical(passage), label), row)
    kept = list(first.values())
    return (examples if len(kept) == len(examples) else examples.rows(kept)), len(examples) - len(kept)


class _Naming:
    """Names for texts of rows: the place where a text was met first. Passages and queries are told apart.

    A further text of the same place (a row may have several passages, or all rows of a set) has its number behind it:
    two texts of one name would be one, and the other would be gone.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._met: dict[tuple[str, str], int] = {}

    def name(self, role: str, text: str, place: str) -> str:
        known = self._names.get((role, text))
        if known is not None:
            return known
        count = self._met[role, place] = self._met.get((role, place), 0) + 1
        return self._names.setdefault((role, text), place if count == 1 else f"{place}.{count}")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each of several sources, which stands in front of its ids."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _read(path: Path, name: str, naming: _Naming) -> TrainingData:
    """One source; *name* goes in front of the ids, "" where it is the only one."""
    prefix = f"{name}/" if name else ""
    if not path.exists():
        raise DataInvalid(path=str(path), reason="no such file or folder")
    if path.is_dir() and is_retrieval_set(path):
        return _beir(path, prefix)
    if path.is_dir() and is_saved_dataset(path):
        rows = [(split, (f"{prefix}{split}", part)) for split, part in saved_datasets(path).items()]
        return _collect(path, _by_split(path, rows), naming)
    if path.is_dir():
        return _collect(path, _files(path, prefix), naming)
    if suffix_of(path) not in SUFFIXES:
        raise DataInvalid(
            path=str(path),
            reason=f"is not a known format; expected one of {', '.join(SUFFIXES)}, perhaps with .gz",
        )
    return _collect(path, {_split_of(path) or "train": [(name or path.name, read_rows(path))]}, naming)


def _split_of(path: Path) -> str | None:
    """Our name of the split that a file's name says."""
    return SPLIT_NAMES.get(_said_by(path) or "")


def _said_by(path: Path) -> str | None:
    """The split that a file's name begins or ends with, in its own words: "train" of "train-00000-of-00002.parquet".

    Raises:
        DataInvalid: it begins with one and ends with another.
    """
    words = re.split(r"[-_.]", stem_of(path).lower())
    said = [word for word in (words[0], words[-1]) if word in SPLIT_NAMES]
    if len({SPLIT_NAMES[word] for word in said}) > 1:
        raise DataInvalid(
            path=str(path),
            reason=f"its name says {said[0]!r} and {said[1]!r}, so it could be either; rename it to one of them",
        )
    return said[0] if said else None


def _by_split(path: Path, parts: Iterable[tuple[str, _Part]]) -> dict[str, list[_Part]]:
    """The parts of one source, which are named in its own words, by our names of their splits.

    Raises:
        DataInvalid: two words stand for one split: one would win, or two sets that were told apart would be one.
    """
    found: dict[str, list[_Part]] = {}
    words: dict[str, str] = {}
    for word, part in parts:
        split = SPLIT_NAMES.get(word.lower(), word)
        if words.setdefault(split, word) != word:
            raise DataInvalid(
                path=str(path),
                reason=f"has the splits {words[split]!r} and {word!r}, and both are {split!r} here; keep one, or "
                "rename the other to what it is for (train, dev, test)",
            )
        found.setdefault(split, []).append(part)
    return found


def _spelled_twice(paths: Iterable[Path]) -> list[str]:
    """Files that were named one by one, and whose names say one split in two words: they are joined, and it is told."""
    words: dict[str, dict[str, str]] = {}
    for path in paths:
        if path.is_file() and (word := _said_by(path)) is not None:
            words.setdefault(SPLIT_NAMES[word], {}).setdefault(word, path.name)
    return [
        f"split {split!r} is {' and '.join(names.values())} together"
        for split, names in words.items()
        if len(names) > 1
    ]


def _files(folder: Path, prefix: str) -> dict[str, list[_Part]]:
    found = sorted(
        path
        for part in (folder, folder / "data")
        if part.is_dir()
        for path in part.iterdir()
        if is_data(path) and suffix_of(path) in SUFFIXES
    )
    if not found:
        raise DataInvalid(
            path=str(folder),
            reason="has neither corpus.jsonl (a BEIR folder) nor dataset_info.json (a saved dataset) nor a file "
            f"that ends with {', '.join(SUFFIXES)}",
        )
    require_all_shards(found)
    parts: list[tuple[str, _Part]] = []
    for path in found:
        word = _said_by(path)
        if word is None:
            raise DataInvalid(
                path=str(path),
                reason="its name says no split, so it could be trained on or held out; rename it to train*, dev* or "
                "test*, or name the files one by one instead of the folder",
            )
        parts.append((word, (f"{prefix}{path.relative_to(folder).as_posix()}", read_rows(path))))
    return _by_split(folder, parts)


def _collect(path: Path, parts: Mapping[str, Sequence[_Part]], naming: _Naming) -> TrainingData:
    """Rows of each split, by the names of their files, as examples."""
    splits: dict[str, Examples] = {}
    corpus: dict[str, str] = {}
    empty: list[str] = []
    notes: list[str] = []
    for split, files in parts.items():
        read = []
        for name, rows in files:
            unused: dict[str, int] = {}
            taken: dict[str, dict[str, int]] = {}
            read.append(_examples(name, _counting(rows, unused, taken), naming, corpus, empty))
            notes += [_not_used(name, unused)] * bool(unused)
            notes += [_several(name, what, columns) for what, columns in taken.items() if len(columns) > 1]
        if not is_one([Path(name) for name, _ in files]):
            notes.append(f"split {split!r} is {listed([name for name, _ in files])} together")
        _check_kind(str(path), split, [examples.labelled for examples in read])
        splits[split] = join(read)
        if not splits[split]:
            raise DataInvalid(path=str(path), reason=f"split {split!r} has no row with two texts that are not empty")
    return TrainingData((path,), splits, corpus, tuple(empty), tuple(notes))


def _counting(rows: Iterator[Row], unused: dict[str, int], taken: dict[str, dict[str, int]]) -> Iterator[Row]:
    """*rows*; in *unused* how many of them have something in each column that is not used, and in *taken*, by what was
    taken, from which column how often."""
    for row in rows:
        for what, name in row.taken.items():
            columns = taken.setdefault(what, {})
            columns[name] = columns.get(name, 0) + 1
        for name in row.unused:
            unused[name] = unused.get(name, 0) + 1
        yield row


def _several(name: str, what: str, columns: Mapping[str, int]) -> str:
    said = " and ".join(f"{clipped(column)} ({count} rows)" for column, count in list(columns.items())[:8])
    return f"{name} takes its {what} from another column in some rows: {said}; they may be of different kinds"


def _not_used(name: str, unused: Mapping[str, int]) -> str:
    columns = ", ".join(f"{clipped(column)} ({count} rows)" for column, count in list(unused.items())[:8])
    columns += f" and {len(unused) - 8} more" if len(unused) > 8 else ""
    teacher = (
        "; a teacher's scores are read from a file of their own (key teacher)"
        if {"pos_scores", "neg_scores"} & unused.keys()
        else ""
    )
    prompts = "; prompts are given to the training (query_prompt, passage_prompt)" if "prompt" in unused else ""
    return f"{name} has columns that are not used: {columns}{teacher}{prompts}"


def _examples(name: str, rows: Iterator[Row], naming: _Naming, corpus: dict[str, str], empty: list[str]) -> Examples:
    columns: list[tuple[Any, ...]] = []
    labelled = False
    for row in rows:
        place = f"{name}:{row.line}"
        labelled = row.label is not None
        negatives = tuple(text for text in row.negatives if text)
        names = tuple(naming.name("passage", text, f"{place}.negative") for text in negatives)
        corpus.update(zip(names, negatives, strict=True))
        for passage in row.passages:
            if not row.query or not passage:
                empty.append(place)
                continue
            query_id, passage_id = naming.name("query", row.query, place), naming.name("passage", passage, place)
            corpus[passage_id] = passage
            label = 1.0 if row.label is None else row.label
            columns.append((row.query, passage, negatives, label, row.weight, query_id, passage_id, names))
    return _from_rows(columns, labelled)


def _from_rows(rows: Sequence[tuple[Any, ...]], labelled: bool) -> Examples:
    """Rows in the order of the columns."""
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(COLUMNS, ())
    return Examples(**columns, labelled=labelled)


def _beir(folder: Path, prefix: str) -> TrainingData:
    loaded = load_splits(folder)
    if not loaded:
        raise DataInvalid(path=str(folder / "qrels"), reason="has no SPLIT.tsv, so no query has a known answer")
    corpus = {f"{prefix}{name}": text for name, text in zip(loaded[0].passage_ids, loaded[0].passages, strict=True)}
    empty: dict[str, None] = {}
    splits = {}
    for dataset in loaded:
        splits[dataset.split] = _judged(dataset, corpus, prefix, empty)
        if not splits[dataset.split]:
            raise DataInvalid(path=str(folder), reason=f"all pairs of split {dataset.split!r} have an empty text")
    notes = (*(note for dataset in loaded for note in dataset.notes), *_pairs_beside(folder))
    return TrainingData((folder,), splits, corpus, tuple(empty), tuple(dict.fromkeys(notes)))


def _pairs_beside(folder: Path) -> list[str]:
    """Files of a BEIR folder whose names say a split: they are no part of it."""
    beside = [path.name for path in sorted(folder.iterdir()) if is_data(path) and suffix_of(path) in SUFFIXES
              and _split_of(path)]  # fmt: skip
    if not beside:
        return []
    return [f"{beside[0]} lies beside corpus and qrels, which are read, and is not read"]


def _judged(dataset: Dataset, corpus: Mapping[str, str], prefix: str, empty: dict[str, None]) -> Examples:
    rows: list[tuple[Any, ...]] = []
    for name, query in zip(dataset.query_ids, dataset.queries, strict=True):
        query_id = f"{prefix}{name}"
        judged = {f"{prefix}{passage}": grade for passage, grade in dataset.qrels[name].items()}
        wrong = tuple(passage for passage, grade in judged.items() if grade <= 0 and corpus[passage])
        negatives = tuple(corpus[passage] for passage in wrong)
        for passage in (passage for passage, grade in judged.items() if grade > 0):
            if query and corpus[passage]:
                rows.append((query, corpus[passage], negatives, 1.0, 1.0, query_id, passage, wrong))
            else:
                empty[passage if query else query_id] = None
    return _from_rows(rows, labelled=False)


def _weighted(data: TrainingData, weight: float) -> TrainingData:
    splits = {
        split: replace(examples, weights=tuple(weight * each for each in examples.weights))
        for split, examples in data.splits.items()
    }
    return replace(data, splits=splits)


def _joined(parts: Sequence[TrainingData], told: Sequence[str]) -> TrainingData:
    splits: dict[str, Examples] = {}
    for split in dict.fromkeys(split for part in parts for split in part.splits):
        having = [part for part in parts if split in part.splits]
        name = " + ".join(part.name for part in having)
        _check_kind(name, split, [part.splits[split].labelled for part in having])
        splits[split] = join([part.splits[split] for part in having])
    return TrainingData(
        sources=tuple(source for part in parts for source in part.sources),
        splits=splits,
        corpus={name: text for part in parts for name, text in part.corpus.items()},
        empty=tuple(place for part in parts for place in part.empty),
        notes=(*(note for part in parts for note in part.notes), *told),
    )


def _check_kind(path: str, split: str, labelled: Sequence[bool]) -> None:
    if len(set(labelled)) > 1:
        kinds = " and ".join(dict.fromkeys("labelled pairs" if each else "pairs" for each in labelled))
        raise DataInvalid(path=path, reason=f"split {split!r} mixes {kinds}; train on one kind at a time")
