"""A retrieval set in the BEIR layout: passages, the queries of one split, and which passages answer them.

    corpus.jsonl       one passage a line: {"_id", "title" (optional), "text"}
    queries.jsonl      one query a line, of all splits: {"_id", "text"}
    qrels/SPLIT.tsv    query id, passage id, grade; tabs; a header line is allowed

Other formats and compression: `files`, `qrels`. A set is read whole and checked whole: whoever holds a `Dataset` has no
unknown id and no empty split. Judgements of what is not there are kept apart, and counted.

What it leaves to others: searching (`retrieval`), duplicates and leaks between splits (`training.data`).
What it gives up: sets that do not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ..errors import DataInvalid
from .excerpts import clipped
from .files import is_data, parts_of, stem_of
from .part_texts import read_texts
from .qrels import Judgements, judgement_files, read_judgements
from .runs import many_grades
from .words import canonical

IdenticalIds = Literal["auto", "keep", "ignore"]
IDENTICAL_IDS: Final[tuple[IdenticalIds, ...]] = ("auto", "keep", "ignore")
_OWN_WORDS: Final = 5


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
        missing: the same for judged passages that the corpus lacks: nobody can find them, and they count as missed.
        ignored: ids of queries whose own passage, that of the same id, is left out of their ranking.
        notes: what was met on reading and is worth knowing, as sentences.
    """

    folder: Path
    split: str
    passage_ids: tuple[str, ...]
    passages: tuple[str, ...]
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]
    qrels: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def judged(self, query: str) -> tuple[float, ...]:
        """All grades of a query, also of passages that the corpus lacks."""
        return (*self.qrels.get(query, {}).values(), *self.missing.get(query, {}).values())


def is_retrieval_set(folder: Path) -> bool:
    """Whether *folder* has a corpus or judgements in the BEIR layout."""
    return (folder / "qrels").is_dir() or bool(parts_of(folder, "corpus"))


def splits(folder: Path | str) -> tuple[str, ...]:
    """The splits that a set has judgements for, sorted; empty where there are none."""
    return tuple(judgement_files(Path(folder)))


def load_dataset(folder: Path | str, split: str = "test", *, identical_ids: IdenticalIds = "auto") -> Dataset:
    """Read one split of the set in *folder*.

    Args:
        identical_ids: what becomes of a passage with the id of the query that is asked: "ignore" leaves it out of the
            ranking, as BEIR's own evaluation does; "keep" does not; "auto" leaves it out where it is the query's own
            text and not judged relevant (ArguAna, Quora), and keeps it where ids are equal by chance.

    Raises:
        DataInvalid: a file is missing, a line is not what it has to be (with its number), an id appears twice, or the
            split has no query with a relevant passage.
    """
    return _load(Path(folder), (split,), identical_ids)[0]


def load_splits(folder: Path | str) -> tuple[Dataset, ...]:
    """All splits of the set in *folder*, by name; they share their texts. Raises as `load_dataset` does."""
    return _load(Path(folder), splits(folder), "auto")


def _load(root: Path, names: Sequence[str], identical_ids: IdenticalIds) -> tuple[Dataset, ...]:
    if not root.is_dir():
        raise DataInvalid(path=str(root), reason="no such folder; expected corpus.jsonl, queries.jsonl and qrels/")
    (passages, of_passages), (queries, of_queries) = read_texts(root, "passage"), read_texts(root, "query")
    passage_ids, texts = tuple(passages), tuple(passages.values())
    loaded = []
    for split in names:
        judged = _judgements(root, split, passages, queries)
        asked = tuple(
            query
            for query in queries
            if any(grade > 0 for grades in (judged.grades, judged.missing) for grade in grades.get(query, {}).values())
        )
        if not asked:
            raise DataInvalid(path=_where(root, split), reason="no query of this split has a relevant passage")
        ignored, said = _own_passages(asked, queries, passages, judged, identical_ids)
        loaded.append(
            Dataset(
                folder=root,
                split=split,
                passage_ids=passage_ids,
                passages=texts,
                query_ids=asked,
                queries=tuple(queries[query] for query in asked),
                qrels={query: judged.grades.get(query, {}) for query in asked},
                missing={query: judged.missing[query] for query in asked if query in judged.missing},
                ignored=ignored,
                notes=(
                    *of_passages,
                    *of_queries,
                    *_beside(root),
                    *_dangling(root, split, judged, passages, queries),
                    *_irrelevant(asked, judged),
                    *many_grades(split, judged.grades),
                    *_silent(asked, queries, passages),
                    *said,
                ),
            )
        )
    return tuple(loaded)


def _beside(root: Path) -> list[str]:
    """What lies beside texts and judgements and is not read: other judgements, and MTEB's lists of what is ranked."""
    beside = [path.name for path in sorted(root.iterdir()) if is_data(path) and stem_of(path).startswith("qrels")]
    said = [f"{beside[0]} lies beside the folder of judgements and is not read"] if beside else []
    if ranked := [path.name for path in sorted(root.iterdir()) if stem_of(path) == "top_ranked"]:
        said.append(
            f"{ranked[0]} says which passages of each query are ranked, and is not read: all passages are ranked for "
            "every query, so that a score is of another task than a published one"
        )
    return said


def _irrelevant(asked: Sequence[str], judged: Judgements) -> list[str]:
    """Queries that were judged, and whose passages are all irrelevant: nothing can be found for them."""
    left_out = judged.grades.keys() - set(asked)
    if not left_out:
        return []
    return [
        f"{len(left_out)} judged queries have no relevant passage, such as {clipped(min(left_out))}; they are left "
        "out of the mean, where trec_eval counts each as 0"
    ]


def _where(root: Path, split: str) -> str:
    files = judgement_files(root).get(split)
    return str(files[0] if files else root / "qrels" / f"{split}.tsv")


def _judgements(root: Path, split: str, passages: Mapping[str, str], queries: Mapping[str, str]) -> Judgements:
    files = judgement_files(root).get(split)
    if not files:
        have = ", ".join(splits(root)) or "none"
        raise DataInvalid(path=_where(root, split), reason=f"no such file; splits of this set: {have}")
    judged = read_judgements(files, passages, queries)
    if judged.count and not judged.grades:
        raise DataInvalid(path=str(files[0]), reason=_nothing_known(judged, passages, queries))
    return judged


def _nothing_known(judged: Judgements, passages: Mapping[str, str], queries: Mapping[str, str]) -> str:
    if judged.missing:
        named, there, what = next(iter(next(iter(judged.missing.values())))), next(iter(passages)), "passage of it"
    else:
        named, there, what = next(iter(judged.strangers)), next(iter(queries)), "query of it"
    return (
        f"judges {judged.count} pairs, and no {what} is there: it names {clipped(named)}, and the first there is "
        f"{clipped(there)}; the files are of different sets, or their ids are written differently"
    )


def _dangling(
    root: Path, split: str, judged: Judgements, passages: Mapping[str, str], queries: Mapping[str, str]
) -> Iterator[str]:
    """What is judged and not there, as sentences."""
    if judged.missing:
        lost = sum(map(len, judged.missing.values()))
        query, grades = next(iter(judged.missing.items()))
        yield (
            f"{lost} of {judged.count} judgements of {split} name a passage that the corpus lacks, such as "
            f"{clipped(query)} and {clipped(next(iter(grades)))}; relevant ones count as not found, as "
            "trec_eval counts them"
        )
    if judged.strangers:
        name, lost = next(iter(judged.strangers)), sum(judged.strangers.values())
        yield (
            f"{lost} of {judged.count} judgements of {split} are of {len(judged.strangers)} queries without a text, "
            f"such as {clipped(name)}; these queries are not asked"
        )


def _silent(asked: Sequence[str], queries: Mapping[str, str], passages: Mapping[str, str]) -> Iterator[str]:
    """What has no text, as sentences: such a query finds whatever is nearest to nothing."""
    for names, texts, what, becomes in (
        (asked, queries, "queries", "asked"),
        (passages, passages, "passages", "ranked"),
    ):
        if empty := [name for name in names if not texts[name]]:
            count = f"{len(empty)} of {len(names)} {what}"
            yield f"{count} have no text, such as {clipped(empty[0])}; they are {becomes} all the same"


def _own_passages(
    asked: Sequence[str],
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    judged: Judgements,
    identical_ids: IdenticalIds,
) -> tuple[frozenset[str], list[str]]:
    """Queries whose own passage is left out, and what there is to say.

    BEIR's `EvaluateRetrieval.evaluate` removes a passage with the query's id from its results unless it is told not to
    (`ignore_identical_ids=True`). Where ids are plain numbers that removes strangers too.
    """
    shared = [query for query in asked if query in passages]
    if not shared:
        return frozenset(), []
    own = [
        query
        for query in shared
        if _is_own(queries[query], passages[query]) and judged.grades.get(query, {}).get(query, 0) <= 0
    ]
    if identical_ids == "keep":
        return frozenset(), [f"{len(shared)} queries share their id with a passage; it is ranked like any other"]
    ignored = frozenset(shared if identical_ids == "ignore" else own)
    said = []
    if ignored:
        said.append(
            f"{len(ignored)} of {len(asked)} queries have a passage of their own id, such as "
            f"{clipped(next(iter(ignored)))}; it is left out of their ranking, as BEIR does "
            "(--keep-identical-ids keeps it)"
        )
    if len(ignored) < len(shared):
        said.append(
            f"{len(shared) - len(ignored)} queries share their id with a passage that is not their own text; it is "
            "ranked like any other (--ignore-identical-ids leaves it out, as BEIR does)"
        )
    return ignored, said


def _is_own(query: str, passage: str) -> bool:
    """Whether a passage is the query itself, perhaps behind a title."""
    asked, said = canonical(query), canonical(passage)
    return asked == said or (said.endswith(asked) and asked.count(" ") >= _OWN_WORDS - 1)
