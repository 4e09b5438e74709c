"""A real retrieval set from the documentation of the Python packages that are installed here.

The query is a docstring's summary line, the passage is the prose below it: what somebody asks in a few words, and
the text that answers it. Source files are parsed, never imported. The texts are the packages' own, so the set is
for use on this machine; its README names the packages, their versions and licences.

The same installed packages give the same set, byte for byte: order comes from hashes, not from the file system.

What it leaves to others: what makes a fair pair (`docstrings`), near-duplicates (`near_duplicates`), reading the set
(`evaluation.dataset`).
What it gives up: completeness. A package gives at most its share, so that no package is half of the set and a few
thousand files are read instead of all.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import DataInvalid
from ..extras import require_extra
from ..folders import whole_folder
from ..progress import Advance
from ..training.data.near_duplicates import connected, near_duplicate_groups
from .docstrings import documented

MOST_PAIRS: Final = 3200
PACKAGE_SHARE: Final = 300
"""At most this many pairs from one package."""
DEV_PAIRS, TEST_PAIRS = 300, 500
RELATED: Final = 0.5
"""Jaccard index from which two texts may not be in different splits; above `hygiene.DUPLICATE` one is dropped."""
_LARGEST_HELD_OUT: Final = 5  # pairs: a bigger family of look-alikes is for training
_FEWEST_PAIRS: Final = 200
_MOST_BYTES: Final = 400_000  # files above are tables or generated
_SKIPPED_FOLDERS: Final = frozenset(
    {"test", "tests", "testing", "_vendor", "vendor", "vendored", "_vendored", "extern", "examples", "idlelib"}
    | {"lib2to3", "site-packages", "dist-packages", "turtledemo", "ensurepip", "__pycache__"}
)


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution, or the standard library as "python", and its source files by their relative path."""

    name: str
    version: str
    licence: str
    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, the passage that answers it, and where both are from."""

    key: str
    package: str
    query: str
    passage: str


@dataclass(frozen=True, slots=True)
class PydocSet:
    """What was written.

    Attributes:
        folder: the set, in the BEIR layout.
        pairs: number of pairs of each split ("train", "dev", "test").
        packages: name -> pairs that it gave.
    """

    folder: Path
    pairs: Mapping[str, int]
    packages: Mapping[str, int]


def make_pydoc_set(
    out: Path | str,
    *,
    packages: Sequence[Package] | None = None,
    most_pairs: int = MOST_PAIRS,
    dev_pairs: int = DEV_PAIRS,
    test_pairs: int = TEST_PAIRS,
    replace: bool = False,
    progress: Advance | None = None,
) -> PydocSet:
    """Write a retrieval set made of installed documentation to the folder *out*, whole or not at all.

    Args:
        packages: whose documentation; all that are installed, and the standard library, by default.
        most_pairs: how many pairs are kept, over all splits.
        dev_pairs, test_pairs: how many of them are held out.
        replace: put the new set in place of one that is there.
        progress: called with each number of packages read, `len(packages)` in total.

    Raises:
        DataInvalid: *out* exists, or too few docstrings were found.
    """
    require_extra("train", feature="finding near-duplicates", modules=("datasketch",))
    target = Path(out)
    if target.exists() and not replace:
        raise DataInvalid(path=str(target), reason="exists already; name another folder, or remove it")
    sources = installed_packages() if packages is None else packages
    found: list[Pair] = []
    for package in sources:
        found.extend(package_pairs(package))
        if progress is not None:
            progress(1)
    pairs = without_duplicates(sorted(found, key=lambda pair: _order(pair.key)))[:most_pairs]
    if len(pairs) < max(_FEWEST_PAIRS, 2 * (dev_pairs + test_pairs)):
        raise DataInvalid(
            path=str(target),
            reason=f"only {len(pairs)} usable docstrings in {len(sources)} packages, too few to train and to test; "
            "install more packages or bring a set of your own",
        )
    split = split_pairs(pairs, dev_pairs=dev_pairs, test_pairs=test_pairs)
    given = Counter(pair.package for pair in pairs)
    _write(
        target, split, _readme(split, [package for package in sources if given[package.name]], given), replace=replace
    )
    return PydocSet(target, {name: len(part) for name, part in split.items()}, dict(sorted(given.items())))


def installed_packages() -> list[Package]:
    """The standard library and every installed distribution with Python sources, sorted by name."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    inside = {str(path.relative_to(standard)): path for path in standard.rglob("*.py")}
    packages = [Package("python", platform.python_version(), "PSF-2.0", _usable(inside))]
    for distribution in importlib.metadata.distributions():
        listed = {str(file): Path(str(file.locate())) for file in distribution.files or () if file.suffix == ".py"}
        if files := _usable(listed):
            packages.append(Package(distribution.name, distribution.version, _licence(distribution), files))
    return sorted(packages, key=lambda package: package.name.lower())


def _licence(distribution: importlib.metadata.Distribution) -> str:
    """What the package's metadata says, one line of it."""
    meta = distribution.metadata
    for field in ("License-Expression", "License"):
        if field in meta and (said := meta[field].strip()):
            return said.splitlines()[0][:80]
    return "see the package"


def _usable(files: Mapping[str, Path]) -> dict[str, Path]:
    def wanted(name: str) -> bool:
        *folders, file = Path(name).parts
        return not (_SKIPPED_FOLDERS & set(folders) or "test" in file or file == "conftest.py" or ".." in folders)

    return {name: path for name, path in files.items() if wanted(name)}


def package_pairs(package: Package, share: int = PACKAGE_SHARE) -> list[Pair]:
    """At most *share* pairs of a package, from its files in the order of their hashes."""
    pairs: dict[str, Pair] = {}  # a property and its setter share a name: the first counts
    for file in sorted(package.files, key=lambda name: _order(f"{package.name}/{name}")):
        if len(pairs) >= share:
            break
        module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for entry in documented(_source(package.files[file])):
            key = f"{package.name}/{module}" + (f".{entry.name}" if entry.name else "")
            pairs.setdefault(key, Pair(key, package.name, entry.query, entry.passage))
    return list(pairs.values())[:share]


def _source(path: Path) -> str:
    """A file's text; "" for what is no readable text of ordinary size."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ""
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if '"""' in text or "'''" in text else ""


def without_duplicates(pairs: Sequence[Pair]) -> list[Pair]:
    """The first of each family of pairs whose queries or passages are near-duplicates."""
    family = _families(
        pairs, [near_duplicate_groups([getattr(p, side) for p in pairs]) for side in ("query", "passage")]
    )
    return [pair for position, pair in enumerate(pairs) if family[position] == position]


def split_pairs(pairs: Sequence[Pair], *, dev_pairs: int, test_pairs: int) -> dict[str, list[Pair]]:
    """Train, dev and test, so that related texts are always in one split; each in the order of its keys.

    Families (connected by related queries or passages) are taken in the order of a hash: test is filled first, then
    dev, the rest is for training. Families of more than a few pairs are always for training, so that a score is
    not one package's boilerplate.
    """
    groups = [near_duplicate_groups([getattr(p, side) for p in pairs], RELATED) for side in ("query", "passage")]
    families: dict[int, list[Pair]] = {}
    for pair, family in zip(pairs, _families(pairs, groups), strict=True):
        families.setdefault(family, []).append(pair)
    split: dict[str, list[Pair]] = {"train": [], "dev": [], "test": []}
    for members in sorted(families.values(), key=lambda members: _order("split " + min(pair.key for pair in members))):
        name = "train"
        if len(members) <= _LARGEST_HELD_OUT:
            for candidate, size in (("test", test_pairs), ("dev", dev_pairs)):
                if len(split[candidate]) + len(members) <= size:
                    name = candidate
                    break
        split[name].extend(members)
    return {name: sorted(part, key=lambda pair: pair.key) for name, part in split.items()}


def _families(pairs: Sequence[Pair], groups: Iterable[Sequence[int]]) -> list[int]:
    """Components over several groupings of the same pairs."""
    return connected(len(pairs), [(position, first) for group in groups for position, first in enumerate(group)])


def _order(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8")).digest()


def _write(target: Path, split: Mapping[str, Sequence[Pair]], readme: str, *, replace: bool) -> None:
    """The BEIR layout, whole or not at all."""
    with whole_folder(target, replace=replace) as work:
        (work / "qrels").mkdir()
        everything = sorted((pair for part in split.values() for pair in part), key=lambda pair: pair.key)
        corpus = ({"_id": pair.key, "title": "", "text": pair.passage} for pair in everything)
        queries = ({"_id": f"q:{pair.key}", "text": pair.query} for pair in everything)
        _write_lines(work / "corpus.jsonl", (json.dumps(entry, ensure_ascii=False) for entry in corpus))
        _write_lines(work / "queries.jsonl", (json.dumps(entry, ensure_ascii=False) for entry in queries))
        for name, part in split.items():
            judged = (f"q:{pair.key}\t{pair.key}\t1" for pair in part)
            _write_lines(work / "qrels" / f"{name}.tsv", ("query-id\tcorpus-id\tscore", *judged))
        (work / "README.md").write_text(readme, encoding="utf-8")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def _readme(split: Mapping[str, Sequence[Pair]], packages: Sequence[Package], given: Mapping[str, int]) -> str:
    return "\n".join(_readme_lines(split, packages, given)) + "\n"


def _readme_lines(
    split: Mapping[str, Sequence[Pair]], packages: Sequence[Package], given: Mapping[str, int]
) -> Iterator[str]:
    yield "# Documentation of the installed Python packages, as a retrieval set"
    yield ""
    yield "Query: the summary line of a docstring. Passage: the prose below it, without the summary. BEIR layout; all"
    yield "passages of all splits are the corpus. Near-duplicates were dropped, and related texts share a split."
    yield "The texts belong to the packages and are under their licences: use the set here, do not publish it."
    yield ""
    yield "Pairs: " + ", ".join(f"{name} {len(part)}" for name, part in split.items()) + "."
    yield ""
    yield "| package | version | licence | pairs |"
    yield "| --- | --- | --- | --- |"
    for package in packages:
        yield f"| {package.name} | {package.version} | {package.licence} | {given[package.name]} |"
