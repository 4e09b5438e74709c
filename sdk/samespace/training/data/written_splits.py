"""New splits as files: a set in the BEIR layout, or a file of rows for each split where these hold all that there is.

A kept split is what it was: its judgements, and every passage that it was searched among. Whatever cannot be kept is
told.

What it leaves to others: what goes to which split (`doctor.resplit`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation.arrow_rows import METADATA
from ...evaluation.dataset import is_retrieval_set
from ...evaluation.files import parts_of, stem_of
from ...evaluation.part_texts import read_texts
from ...evaluation.qrels import Grades, every_judgement, judgement_files
from ...folders import whole_folder, writes
from .examples import Examples, TrainingData
from .sources import load_data, unique_names

_ASKED: Final = "q:"
"""In front of the id of a query that was read as a row: its passage has the same place, and ids tell of own texts."""


@dataclass(frozen=True, slots=True)
class Resplit:
    """New splits.

    Attributes:
        splits: name -> examples; none is empty.
        left_out: examples that are connected to a kept split.
        kept: the splits that stay as they are.
        components: how many parts the examples fall into.
        largest: examples of the largest part.
    """

    splits: Mapping[str, Examples]
    left_out: int
    components: int
    largest: int
    kept: tuple[str, ...] = ()


@writes("out")
def write_splits(data: TrainingData, made: Resplit, out: Path) -> tuple[str, ...]:
    """Write new splits, and say what is not as it was, in sentences.

    Raises:
        DataInvalid: *out* exists, or two splits that are spread judge one pair differently.
    """
    if out.exists():
        raise DataInvalid(path=str(out), reason="exists already; name another folder, or remove it")
    with whole_folder(out) as work:
        if len(data.sources) == 1 and is_retrieval_set(data.sources[0]):
            _write_beir(data.sources[0], made, work)
            return ()
        labelled = any(part.labelled for part in made.splits.values())
        written = Counter({text for part in made.splits.values() for text in _passages(part)})
        whole = not any(map(is_retrieval_set, data.sources)) and len(written) == len({*data.corpus.values()})
        if labelled or whole:
            for name, part in made.splits.items():
                _write(work / f"{name}.jsonl", (json.dumps(row, ensure_ascii=False) for row in _plain(part)))
            return tuple(_searched(data, made, written))
        told = _write_set(data, made, work)
        return (*told, *_searched(data, made, Counter(read_texts(work, "passage")[0].values())))


def _passages(part: Examples) -> Iterator[str]:
    yield from part.passages
    for negatives in part.negatives:
        yield from negatives


def _searched(data: TrainingData, made: Resplit, now: Counter[str]) -> Iterator[str]:
    """What to say of kept splits that are searched among other passages than they were."""
    alone = [data] if len(data.sources) == 1 or not made.kept else [load_data(source) for source in data.sources]
    told: dict[str, list[str]] = {}
    for split in made.kept:
        having = [part for part in alone if split in part.splits]
        was = " and ".join(f"among {len(part.corpus)} in {part.name}" for part in having)
        if len(having) > 1 or Counter(having[0].corpus.values()) != now:
            told.setdefault(was, []).append(split)
    for was, splits in told.items():
        are = f"{' and '.join(splits)} {'is' if len(splits) == 1 else 'are'}"
        yield f"{are} searched among {now.total()} passages here, and {was}: a score here compares with none there"


def _write_beir(source: Path, made: Resplit, work: Path) -> None:
    """Corpus, queries and kept judgements as they are, the others as they were."""
    files = judgement_files(source)
    for texts in ("corpus", "queries"):
        _copy(source, parts_of(source, texts), work)
    for split in made.kept:
        _copy(source, files[split], work)
    judged = {split: every_judgement(paths) for split, paths in files.items()}
    _write_judgements(str(source), made, judged, work, [name for name in made.splits if name not in made.kept])


def _copy(source: Path, files: Iterable[Path], work: Path) -> None:
    """*files* of *source*; a saved dataset is one by the files beside its data, which go along."""
    for file in files:
        saved = [folder for folder in file.parents if source in folder.parents] if file.suffix == ".arrow" else []
        about = [path for folder in saved for path in folder.glob("*.json") if stem_of(path) in METADATA]
        for each in (file, *about):
            copy = work / each.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(each.read_bytes())


@dataclass(frozen=True, slots=True)
class _Names:
    """The ids of texts of several sources in one set.

    Attributes:
        folders: what stands in front of the ids of a retrieval set -> its folder.
        asked: id -> text of the queries of these sets.
        same: a passage of a row -> the passage of such a set that has the same text.
    """

    folders: Mapping[str, Path]
    asked: Mapping[str, str]
    same: Mapping[str, str]

    def named(self, part: Examples) -> Examples:
        """*part* by the ids that are written."""
        return replace(
            part,
            query_ids=tuple(name if name in self.asked else _ASKED + name for name in part.query_ids),
            passage_ids=tuple(self.same.get(name, name) for name in part.passage_ids),
            negative_ids=tuple(tuple(self.same.get(name, name) for name in names) for names in part.negative_ids),
        )


def _names(data: TrainingData) -> _Names:
    named = zip(unique_names(data.sources), data.sources, strict=True)
    folders = {f"{name}/": source for name, source in named if is_retrieval_set(source)}
    asked: dict[str, str] = {}
    first: dict[str, str] = {}
    theirs: set[str] = set()
    for prefix, folder in folders.items():
        asked |= {prefix + name: text for name, text in read_texts(folder, "query")[0].items()}
        for name in read_texts(folder, "passage")[0]:
            theirs.add(prefix + name)
            first.setdefault(data.corpus[prefix + name], prefix + name)
    same = {name: first[text] for name, text in data.corpus.items() if name not in theirs and text in first}
    return _Names(folders, asked, same)


def _write_set(data: TrainingData, made: Resplit, work: Path) -> list[str]:
    """One set of all sources, with all their passages; returns what to say of it."""
    names = _names(data)
    parts = {name: names.named(part) for name, part in made.splits.items()}
    judged, clashes = _judged({name: names.named(part) for name, part in data.splits.items()}, names)
    asked = dict(names.asked)
    for part in parts.values():
        asked |= zip(part.query_ids, part.queries, strict=True)
    corpus = {name: text for name, text in data.corpus.items() if name not in names.same}
    for file, texts in (("corpus", corpus), ("queries", asked)):
        rows = ({"_id": name, "text": text} for name, text in texts.items())
        _write(work / f"{file}.jsonl", (json.dumps(row, ensure_ascii=False) for row in rows))
    (work / "qrels").mkdir()
    _write_judgements(data.name, replace(made, splits=parts), judged, work, list(parts))
    in_rows = len({text for part in parts.values() for text in _passages(part)})
    told = [f"written in the BEIR layout with all {len(corpus)} passages: rows of pairs would have {in_rows} of them"]
    if weighted := sum(weight != 1 for part in parts.values() for weight in part.weights):
        total = sum(map(len, parts.values()))
        told.append(f"{weighted} of {total} examples have a weight, and the BEIR layout has none: all count the same")
    if clashes:
        told.append(f"{clashes} given negatives are right answers of the same query elsewhere; they are not written")
    return told


def _judged(splits: Mapping[str, Examples], names: _Names) -> tuple[dict[str, Grades], int]:
    """Everything that is judged: split -> query -> passage -> grade; and how many negatives contradict an answer."""
    judged: dict[str, Grades] = {split: {} for split in splits}
    for prefix, folder in names.folders.items():
        for split, files in judgement_files(folder).items():
            for query, grades in every_judgement(files).items():
                judged[split][prefix + query] = {prefix + passage: grade for passage, grade in grades.items()}
    answers = {pair for part in splits.values() for pair in zip(part.query_ids, part.passage_ids, strict=True)}
    clashes = set()
    for split, part in splits.items():
        for query, passage, negatives in zip(part.query_ids, part.passage_ids, part.negative_ids, strict=True):
            if query in names.asked:
                continue
            judged[split].setdefault(query, {})[passage] = 1
            for negative in negatives:
                if (query, negative) in answers:
                    clashes.add((query, negative))
                else:
                    judged[split][query].setdefault(negative, 0)
    return judged, len(clashes)


def _write_judgements(
    where: str, made: Resplit, judged: Mapping[str, Grades], work: Path, names: Iterable[str]
) -> None:
    """The judgements of the splits *names*: of a kept one as they were; those that make no example go with their query.

    Raises:
        DataInvalid: two splits that are spread judge one pair differently.
    """
    moved = {query for name, part in made.splits.items() if name not in made.kept for query in part.query_ids}
    spread: Grades = defaultdict(dict)
    for split, of_split in judged.items():
        for query in moved & of_split.keys() if split not in made.kept else ():
            for passage, grade in of_split[query].items():
                if spread[query].setdefault(passage, grade) != grade:
                    told = f"is judged {grade} in {split}, and {spread[query][passage]} in another split"
                    raise DataInvalid(path=where, reason=f"passage {passage} for query {query} {told}; keep one")
    examples = {pair for part in made.splits.values() for pair in zip(part.query_ids, part.passage_ids, strict=True)}
    (work / "qrels").mkdir(exist_ok=True)
    for name in names:
        part = made.splits[name]
        if name in made.kept:
            pairs = [(query, passage, grade) for query, grades in judged[name].items()
                     for passage, grade in grades.items()]  # fmt: skip
        else:
            of_part = dict.fromkeys(zip(part.query_ids, part.passage_ids, strict=True))
            pairs = [(query, passage, spread[query][passage]) for query, passage in of_part]
            pairs += [(query, passage, grade) for query in dict.fromkeys(part.query_ids)
                      for passage, grade in spread[query].items() if (query, passage) not in examples]  # fmt: skip
        lines = (f"{query}\t{passage}\t{grade}" for query, passage, grade in pairs)
        _write(work / "qrels" / f"{name}.tsv", ("query-id\tcorpus-id\tscore", *lines))


def _plain(part: Examples) -> Iterable[dict[str, Any]]:
    for row in range(len(part)):
        plain: dict[str, Any] = {"query": part.queries[row], "passage": part.passages[row]}
        if part.labelled:
            plain["label"] = part.labels[row]
        elif part.negatives[row]:
            plain["negatives"] = list(part.negatives[row])
        if part.weights[row] != 1:
            plain["weight"] = part.weights[row]
        yield plain


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
