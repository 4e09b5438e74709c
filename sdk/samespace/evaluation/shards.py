"""What a file's name says: its format, its stem, and whether it is one of several that are one.

A number with a count (`-00000-of-00002`) is a shard's. Bare digits are one only where the numbers of a stem run from 0
or 1 on without a gap: `test-2019` and `test-2020` are two sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from ..errors import DataInvalid

COMPRESSIONS: Final = (".gz", ".bz2", ".xz")
_NUMBER: Final = re.compile(r"[-_.](\d{3,})(-of-\d{3,}(?:-[0-9a-f]{8,})?)?$")
_ONE_OF: Final = re.compile(r"(.*[-_.])(\d+)-of-(\d+)(?:-[0-9a-f]{8,})?((?:\.[^.]+)*)")


def suffix_of(path: Path) -> str:
    """The suffix that says what a file holds, in lower case: that of `train.jsonl.gz` is ".jsonl"."""
    name = Path(path.name.lower())
    return name.with_suffix("").suffix if name.suffix in COMPRESSIONS else name.suffix


def stem_of(path: Path) -> str:
    """A file's name without its suffixes and what may be the number (and digest) of a shard: "train" of
    `train-00000-of-00002.jsonl.gz`. Whether it is one is known among other files: `stems_of`."""
    return _NUMBER.sub("", _plain(path))


def stems_of(paths: Iterable[Path]) -> dict[Path, str]:
    """The same of each of several files, where digits that are no shard's stay: "dl-2019" of `dl-2019.tsv`."""
    paths = list(paths)
    bare: dict[tuple[Path, str], set[int]] = {}
    for path in paths:
        if (said := _NUMBER.search(_plain(path))) and not said[2]:
            bare.setdefault((path.parent, stem_of(path)), set()).add(int(said[1]))
    sets = {key for key, numbers in bare.items() if min(numbers) < 2 and max(numbers) - min(numbers) < len(numbers)}
    return {path: stem_of(path) if _is_numbered(path, sets) else _plain(path) for path in paths}


def _is_numbered(path: Path, sets: Iterable[tuple[Path, str]]) -> bool:
    said = _NUMBER.search(_plain(path))
    return said is not None and (said[2] is not None or (path.parent, stem_of(path)) in sets)


def is_one(paths: Sequence[Path]) -> bool:
    """Whether *paths* are one file, or shards of one: all in one folder and format, by one name, each number once."""
    if len(paths) < 2:
        return True
    said = [_NUMBER.search(_plain(path)) for path in paths]
    stems = stems_of(paths)
    if not all(stems[path] != _plain(path) for path in paths):
        return False
    kinds = {(path.parent, stems[path], suffix_of(path), each is not None and each[2] is None)
             for path, each in zip(paths, said, strict=True)}  # fmt: skip
    return len(kinds) == 1 and len({int(each[1]) for each in said if each}) == len(paths)


def require_all_shards(paths: Iterable[Path]) -> None:
    """Raise `DataInvalid` where files say that they are some of a number of shards, and not all of these are there."""
    sets: dict[tuple[Path, str, str], dict[int, set[int]]] = {}
    for path in paths:
        if said := _ONE_OF.fullmatch(path.name):
            name, number, count, suffix = said.groups()
            sets.setdefault((path.parent, name, suffix), {}).setdefault(int(count), set()).add(int(number))
    for (folder, name, suffix), by_count in sets.items():
        where = f"{folder / name}*{suffix}"
        if len(by_count) > 1:
            counts = " and ".join(str(each) for each in sorted(by_count))
            raise DataInvalid(path=where, reason=f"are shards of {counts}, of two exports; keep those of one")
        ((count, numbers),) = by_count.items()
        first = 0 if 0 in numbers or count not in numbers else 1
        missing = sorted({*range(first, first + count)} - numbers)
        if missing:
            more = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
            reason = f"{len(numbers)} of {count} shards are there; number {missing[0]}{more} is missing: get it"
            raise DataInvalid(path=where, reason=f"{reason}, or rename the others if the set is whole without it")


def _plain(path: Path) -> str:
    """The name without its suffixes."""
    plain = path.name[: -len(path.suffix)] if path.suffix.lower() in COMPRESSIONS else path.name
    return Path(plain).stem if Path(plain).suffix else plain
