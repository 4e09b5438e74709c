"""Splits that share nothing: whatever is connected goes to one of them whole.

Two examples are connected when they share a query or a passage, near-duplicates of one, or a question's content words.
A split may be kept as it is, such as a published test split; then what is connected to it is left out instead of moved.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from ...errors import DataInvalid
from ...evaluation.arrow_rows import METADATA
from ...evaluation.dataset import Dataset, is_retrieval_set, load_splits
from ...evaluation.files import parts_of, stem_of
from ...folders import whole_folder, writes
from ..data.content import question_key
from ..data.examples import Examples, TrainingData, join
from ..data.leakage import linked_rows
from ..data.near_duplicates import canonical, connected
from .material import Material

SHARES: Final[Mapping[str, float]] = {"train": 0.8, "dev": 0.1, "test": 0.1}
"""How the examples are spread, unless asked otherwise."""


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


def resplit(material: Material, shares: Mapping[str, float] = SHARES, keep: Sequence[str] = ()) -> Resplit:
    """Spread all examples anew, by whole components, the largest first.

    Args:
        shares: split -> share of the examples that are not kept; they are scaled to 1.
        keep: splits that stay as they are; what is connected to them is left out of all others.

    Raises:
        DataInvalid: a kept split is not there, or a split would be empty.
    """
    data = material.data
    for split in keep:
        if split not in data.splits:
            raise DataInvalid(path=data.name, reason=f"has no split {split!r} to keep; it has {', '.join(data.splits)}")
    everything = join(list(data.splits.values()))
    origin = [split for split, part in data.splits.items() for _ in range(len(part))]
    members: dict[int, list[int]] = defaultdict(list)
    for row, first in enumerate(_components(material, everything)):
        members[first].append(row)
    chosen: dict[str, list[int]] = {name: [] for name in (*shares, *keep)}
    left_out = 0
    free: list[list[int]] = []
    for rows in members.values():
        kept = [row for row in rows if origin[row] in keep]
        for row in kept:
            chosen[origin[row]].append(row)
        if kept:
            left_out += len(rows) - len(kept)
        else:
            free.append(rows)
    _spread(free, {name: share for name, share in shares.items() if name not in keep}, chosen, everything)
    for name, rows in chosen.items():
        if not rows:
            raise DataInvalid(
                path=data.name,
                reason=f"split {name!r} would be empty: {len(everything)} examples fall into {len(members)} connected "
                f"parts, the largest with {max(map(len, members.values()))}; ask for fewer splits",
            )
    return Resplit(
        {name: everything.rows(sorted(rows)) for name, rows in chosen.items()},
        left_out,
        len(members),
        max(len(rows) for rows in members.values()),
        tuple(keep),
    )


def _components(material: Material, examples: Examples) -> list[int]:
    """For each example the first one that it is connected with, over texts that are shared, alike or inside others.

    Given negatives do not connect: what does not answer a query says nothing about it.
    """
    first: dict[tuple[str, str], int] = {}
    links = list(linked_rows(examples))
    for row in range(len(examples)):
        keys = [
            ("query", material.query_groups[examples.query_ids[row]]),
            ("passage", material.passage_groups[examples.passage_ids[row]]),
            ("text", canonical(examples.queries[row])),  # a question may be what another one is paired with
            ("text", canonical(examples.passages[row])),
        ]
        if asked := question_key(examples.queries[row]):
            keys.append(("content", asked))
        for key in keys:
            links.append((row, first.setdefault(key, row)))
    return connected(len(examples), links)


def _spread(
    parts: Sequence[list[int]], shares: Mapping[str, float], chosen: Mapping[str, list[int]], examples: Examples
) -> None:
    """Each part, the largest first, to the split that lacks most; equal sizes in the order of a hash."""
    whole = sum(shares.values())
    total = sum(len(rows) for rows in parts)
    wanted = {name: total * share / whole for name, share in shares.items()}

    def order(rows: list[int]) -> tuple[int, bytes]:
        return -len(rows), hashlib.sha256(examples.queries[rows[0]].encode("utf-8", "surrogatepass")).digest()

    for rows in sorted(parts, key=order):
        name = max(wanted, key=lambda split: wanted[split] - len(chosen[split]))
        chosen[name].extend(rows)


def keep_options(splits: Iterable[str]) -> str:
    """How the command is told to keep *splits*."""
    return " ".join(f"--keep {quote(split)}" for split in splits)


@writes("out")
def write_splits(data: TrainingData, made: Resplit, out: Path) -> None:
    """Write new splits: a BEIR folder where the data is one, else a file of JSON lines for each split.

    Raises:
        DataInvalid: *out* exists.
    """
    if out.exists():
        raise DataInvalid(path=str(out), reason="exists already; name another folder, or remove it")
    with whole_folder(out) as work:
        if len(data.sources) == 1 and is_retrieval_set(data.sources[0]):
            _write_beir(data.sources[0], made, work)
            return
        for name, part in made.splits.items():
            _write(work / f"{name}.jsonl", (json.dumps(row, ensure_ascii=False) for row in _plain(part)))


def _write_beir(source: Path, made: Resplit, work: Path) -> None:
    """Corpus and queries as they are, judgements as they were; those that make no example go with their query.

    Raises:
        DataInvalid: two splits that are spread judge one pair differently.
    """
    (work / "qrels").mkdir()
    for texts in ("corpus", "queries"):
        for file in parts_of(source, texts):
            copy = work / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        for about in sorted((source / texts).rglob("*.json")):  # a saved dataset is one by the files beside its data
            if stem_of(about) in METADATA:
                (work / about.relative_to(source)).write_bytes(about.read_bytes())
    judged = {dataset.split: _judgements(dataset) for dataset in load_splits(source)}
    spread: dict[str, dict[str, float]] = defaultdict(dict)
    for split, of_split in judged.items():
        for query, grades in of_split.items() if split not in made.kept else ():
            for passage, grade in grades.items():
                if spread[query].setdefault(passage, grade) != grade:
                    told = f"is judged {grade:g} in {split}, and {spread[query][passage]:g} in another split"
                    raise DataInvalid(path=str(source), reason=f"passage {passage} for query {query} {told}; keep one")
    examples = {pair for part in made.splits.values() for pair in zip(part.query_ids, part.passage_ids, strict=True)}
    for name, part in made.splits.items():
        if name in made.kept:
            pairs = [(query, passage, grade) for query, grades in judged[name].items()
                     for passage, grade in grades.items()]  # fmt: skip
        else:
            of_part = dict.fromkeys(zip(part.query_ids, part.passage_ids, strict=True))
            pairs = [(query, passage, spread[query][passage]) for query, passage in of_part]
            pairs += [(query, passage, grade) for query in dict.fromkeys(part.query_ids)
                      for passage, grade in spread[query].items() if (query, passage) not in examples]  # fmt: skip
        lines = (f"{query}\t{passage}\t{grade:g}" for query, passage, grade in pairs)
        _write(work / "qrels" / f"{name}.tsv", ("query-id\tcorpus-id\tscore", *lines))


def _judgements(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Query -> passage -> grade, also of passages that the corpus lacks: they count in scores."""
    return {query: {**grades, **dataset.missing.get(query, {})} for query, grades in dataset.qrels.items()}


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
