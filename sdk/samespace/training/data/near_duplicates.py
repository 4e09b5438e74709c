"""Duplicates and leaks: what makes a score look better than the encoder is.

Two texts are near-duplicates when the Jaccard index of their character 5-grams (in the canonical form of
`evaluation.words`) reaches a threshold. MinHash finds the candidates, the exact index decides, so there are no false
ones. A syllable of Hangul counts as its letters, and a character of Han or kana as two, so that five mean about as much
in every script.

What it leaves to others: which texts to compare (`data`, `pydoc_set`), whether a near-duplicate gives anything away
(`leakage`).
What it gives up: paraphrases. A question asked in other words is no duplicate here. And recall is that of the
MinHash index: about 19 of 20 pairs at the threshold, practically all that are clearly above it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...evaluation.words import canonical

__all__ = ["DUPLICATE", "Leak", "canonical", "connected", "find_near", "jaccard", "near_among", "near_duplicate_groups"]

DUPLICATE: Final = 0.8
"""Jaccard index from which two texts count as the same."""
_SHINGLE_CHARS: Final = 5
_PERMUTATIONS: Final = 128
_HANGUL: Final = re.compile("[\uac00-\ud7a3]+")
_WIDE: Final = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_SECOND_HALF: Final = 0x200000  # above every code point
_FACTORS: Final = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)  # odd, from the mixers of splitmix64 and wyhash

Shingles = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out text that training would see.

    Attributes:
        what: "query" or "passage".
        held_out, trained: the two texts.
    """

    what: str
    held_out: str
    trained: str


def shingles(text: str) -> Shingles:
    """Hashes of the character 5-grams of `canonical(text)`: (n,) uint32, ascending, without repeats."""
    return windows(canonical(text), _SHINGLE_CHARS)


def windows(text: str, chars: int) -> Shingles:
    """Hashes of the windows of *chars* characters of a canonical form: (n,) uint32, ascending, without repeats."""
    return np.unique(windows_in_order(text, chars))


def windows_in_order(text: str, chars: int) -> Shingles:
    """The same in order, each as often as it is there."""
    units = _units(text)
    if len(units) < chars:
        units = np.pad(units, (0, chars - len(units)), constant_values=ord(" "))
    each = np.lib.stride_tricks.sliding_window_view(units, chars)  # (n, chars)
    packed = each @ _factors(chars)  # modulo 2^64
    packed ^= packed >> np.uint64(29)
    mixed = (packed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)  # multiplicative hash, its better half
    return mixed.astype(np.uint32)


@cache
def _factors(chars: int) -> npt.NDArray[np.uint64]:
    """(chars,) odd factors; beyond the five, turned ones."""
    turned = [_FACTORS << np.uint64(turn) | _FACTORS >> np.uint64(64 - turn) for turn in range(1, 1 + chars // 5)]
    return np.concatenate([_FACTORS, *turned])[:chars] | np.uint64(1)


def _units(text: str) -> npt.NDArray[np.uint64]:
    """Code points, with Hangul by its letters and wide characters as two: (n,) uint64."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.uint64)
    letters = _HANGUL.sub(lambda syllables: unicodedata.normalize("NFD", syllables.group()), text)
    codes = np.frombuffer(letters.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    wide = np.zeros(len(codes), dtype=bool)
    for low, high in _WIDE:
        wide |= (codes >= low) & (codes <= high)
    if not wide.any():
        return codes
    doubled = np.repeat(codes, 1 + wide)
    doubled[np.cumsum(1 + wide)[wide] - 1] += np.uint64(_SECOND_HALF)
    return doubled


def jaccard(left: Shingles, right: Shingles) -> float:
    """Size of the intersection over size of the union, in [0, 1]."""
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common)


def near_duplicate_groups(texts: Sequence[str], threshold: float = DUPLICATE) -> list[int]:
    """The connected components of "is a near-duplicate of".

    Returns:
        For each text the position of the first text of its component: its own where it is alone.
    """
    index = _Index(threshold)
    labels = _Components(len(texts))
    for position, text in enumerate(texts):
        for other in index.near(text, skip=partial(labels.same, position)):
            labels.join(position, other)
        index.add(text, position)
    return labels.first()


def connected(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Components of the graph of *count* nodes and *links*; for each node the smallest node of its component."""
    components = _Components(count)
    for left, right in links:
        components.join(left, right)
    return components.first()


def find_near(texts: Sequence[str], among: Sequence[str], threshold: float = DUPLICATE) -> list[int]:
    """For each of *texts* the position of a near-duplicate in *among*, the first that is found; -1 for none."""
    index = _Index(threshold)
    for position, text in enumerate(among):
        index.add(text, position)
    return [next(iter(index.near(text)), -1) for text in texts]


def near_among(texts: Sequence[str], among: Sequence[str], threshold: float = DUPLICATE) -> list[list[int]]:
    """For each of *texts* the positions of all near-duplicates in *among*."""
    index = _Index(threshold)
    for position, text in enumerate(among):
        index.add(text, position)
    same: dict[str, list[int]] = {}
    for position, text in enumerate(among):
        same.setdefault(canonical(text), []).append(position)
    return [[each for near in index.near(text) for each in same[canonical(among[near])]] for text in texts]


class _Components:
    """Union-find over 0..count-1; the smallest member stands for its component."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def same(self, left: int, right: int) -> bool:
        return self.root(left) == self.root(right)

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self._parent[high] = low

    def first(self) -> list[int]:
        return [self.root(node) for node in range(len(self._parent))]


class _Index:
    """Texts by their MinHash. Texts that are equal in canonical form are kept once, for their first key."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        self._empty = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=_same)
        # A candidate costs one exact comparison, a missed one is a leak: so misses weigh more.
        self._lsh = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, weights=(0.2, 0.8))
        self._exact: dict[str, int] = {}
        self._shingles: dict[int, Shingles] = {}
        self._last: tuple[str, str, Shingles, Any] | None = None

    def _prepared(self, text: str) -> tuple[str, Shingles, Any]:
        if self._last is None or self._last[0] != text:
            found = shingles(text)
            sketch = self._empty.copy()
            sketch.update_batch(found.tolist())
            self._last = text, canonical(text), found, sketch
        return self._last[1:]

    def add(self, text: str, key: int) -> None:
        words, found, sketch = self._prepared(text)
        if words not in self._exact:
            self._exact[words] = key
            self._shingles[key] = found
            self._lsh.insert(key, sketch)

    def near(self, text: str, skip: Callable[[int], bool] | None = None) -> Iterator[int]:
        """Keys of near-duplicates, ascending; an equal text first. *skip(key)* says which need no comparison."""
        words, found, sketch = self._prepared(text)
        equal = self._exact.get(words)
        if equal is not None:
            yield equal
        for key in sorted(self._lsh.query(sketch)):
            if key == equal or (skip is not None and skip(key)):
                continue
            if jaccard(found, self._shingles[key]) >= self._threshold:
                yield key


def _same(value: int) -> int:
    """MinHash wants a hash function; shingles are hashes already."""
    return value
