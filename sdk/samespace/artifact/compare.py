"""Are two artifacts the same space? Decided by their identities, explained part by part.

Equal identities are the same space, whatever the names and builds. Unlike identities are different spaces, even
where the vectors are nearly equal: near is not the same, and an index that holds both cannot be told apart later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, Literal

import numpy as np

from .composite import Composite
from .fingerprint import Identity
from .layout import Artifact
from .manifest import Manifest
from .reranker import RerankerIdentity
from .structure import describe

Verdict = Literal["same", "rebuilt", "contradiction", "different"]
PROBES_APART: Final = 1e-5
"""The largest 1 - cos between the probes of one space: fp32 references, of another machine or version of torch."""
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near the probes of two artifacts are: mean and smallest cosine over the texts that both have.

    Attributes:
        measure: "cosine", or of rerankers what their logits are compared by.
    """

    texts: int
    mean: float
    worst: float
    measure: str = "cosine"


@dataclass(frozen=True, slots=True)
class SpaceComparison:
    """What two artifacts have in common.

    Attributes:
        verdict: "same" space and builds, the same space "rebuilt" (other build files), "different" spaces, or a
            "contradiction": one space id, and probes that are not of one space.
        space: (part, what differs) of what makes the spaces differ; empty unless "different".
        beside: the same for what does not make a space: name, builds, Matryoshka sizes, and a graph that is written
            otherwise, whose vectors only texts can compare.
        probes: None where they cannot be compared (other dims, or no text in common).
    """

    verdict: Verdict
    space: tuple[tuple[str, str], ...]
    beside: tuple[tuple[str, str], ...]
    probes: Agreement | None


def compare(left: Artifact, right: Artifact) -> SpaceComparison:
    """Hold two opened artifacts against each other."""
    space = tuple(_identity_differences(left.manifest, right.manifest))
    beside = (*_other_differences(left.manifest, right.manifest), *_graphs(left, right))
    rebuilt = any(part == "build" for part, _ in beside)
    verdict: Verdict = "different" if left.space_id != right.space_id else "rebuilt" if rebuilt else "same"
    probes = _probes(left, right)
    if verdict != "different" and (probes is None or not 1 - probes.worst <= PROBES_APART):
        verdict = "contradiction"
    return SpaceComparison(verdict, space, beside, probes)


def _identity_differences(left: Manifest, right: Manifest) -> list[tuple[str, str]]:
    one, two = left.identity, right.identity
    if isinstance(one, Composite) or isinstance(two, Composite) or one.kind != two.kind:
        return _composites(one, two)
    found = _weights({w.name: w for w in one.weights}, {w.name: w for w in two.weights})
    found += [("architecture", text) for text in _mapping(one.architecture, two.architecture)]
    if one.tokenizer != two.tokenizer:
        found.append(("tokenizer", f"sha256 {one.tokenizer[:12]} and {two.tokenizer[:12]}"))
    if isinstance(one, RerankerIdentity) and isinstance(two, RerankerIdentity) and one.activation != two.activation:
        found.append(("activation", f"{one.activation} and {two.activation}"))
    for part in ("pooling", "layers", "transform", "normalise", "dims"):
        a, b = getattr(one, part), getattr(two, part)
        if a != b:
            found.append((part, f"{a!r} and {b!r}"))
    found += [("recipe", text) for text in _mapping(one.recipe.to_dict(), two.recipe.to_dict())]
    return found


def _composites(one: Identity | Composite, two: Identity | Composite) -> list[tuple[str, str]]:
    """What differs where at least one is a composite: its kind, or its parts by their space ids and weights."""
    kinds = [one.kind, two.kind]
    if kinds[0] != kinds[1]:
        return [("kind", f"{kinds[0]} and {kinds[1]}")]
    assert isinstance(one, Composite)
    assert isinstance(two, Composite)
    found = []
    for number, (a, b) in enumerate(zip_longest(one.parts, two.parts), start=1):
        if a != b:
            told = [f"{each.space_id[:12]} with weight {each.weight:g}" if each else "none" for each in (a, b)]
            found.append(("parts", f"{number}: {told[0]} and {told[1]}"))
    return found


def _weights(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[tuple[str, str]]:
    if left == right:
        return []
    shared = left.keys() & right.keys()
    reshaped = sorted(name for name in shared if left[name].shape != right[name].shape)
    changed = sorted(name for name in shared if left[name] != right[name] and name not in reshaped)
    groups = (
        ("have other numbers", changed),
        ("have other shapes", reshaped),
        ("are only in the first", sorted(left.keys() - right.keys())),
        ("are only in the second", sorted(right.keys() - left.keys())),
    )
    return [
        ("weights", f"{len(names)} of {len(left)} {what}: {', '.join(names[:_SHOWN])}{', …' * (len(names) > _SHOWN)}")
        for what, names in groups
        if names
    ]


def _mapping(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    keys = sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    return [f"{key}: {left.get(key)!r} and {right.get(key)!r}" for key in keys]


def _other_differences(left: Manifest, right: Manifest) -> list[tuple[str, str]]:
    found = []
    if left.name != right.name:
        found.append(("name", f"{left.name!r} and {right.name!r}"))
    ours = {build.name: left.files[build.file].sha256 for build in left.builds}
    theirs = {build.name: right.files[build.file].sha256 for build in right.builds}
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            where = (
                "other bytes"
                if name in ours and name in theirs
                else f"only in the {'first' if name in ours else 'second'}"
            )
            found.append(("build", f"{name}: {where}"))
    for name in sorted(left.parts.keys() & right.parts.keys()):
        if left.parts[name] != right.parts[name]:
            found.append(("build", f"{name}: other bytes"))
    if left.matryoshka_dims != right.matryoshka_dims:
        found.append(("matryoshka_dims", f"{left.matryoshka_dims} and {right.matryoshka_dims}"))
    return found


def _graphs(left: Artifact, right: Artifact) -> list[tuple[str, str]]:
    """How the fp32 graphs of one id differ, up to the names in them; nothing for two ids, or equal bytes."""
    if left.space_id != right.space_id:
        return []
    found = []
    for number, (one, two) in enumerate(zip(left.parts or [left], right.parts or [right], strict=False), start=1):
        builds = [each.manifest.build("fp32") for each in (one, two)]
        files = [each.graph(build.file) for each, build in zip((one, two), builds, strict=True) if build is not None]
        if len(files) != len(builds) or files[0].data == files[1].data:
            continue
        first, second = (describe(file.data, file=file.name) for file in files)
        if said := second.differences(first):
            found.append(("graph", f"{f'part {number}: ' if left.parts else ''}the second {said}"))
    return found


def _probes(left: Artifact, right: Artifact) -> Agreement | None:
    one, two = left.probes(), right.probes()
    rerankers = [each.manifest.reranker is not None for each in (left, right)]
    if one.vectors.shape[1] != two.vectors.shape[1] or len(set(rerankers)) > 1:
        return None
    rows = {key: row for row, key in enumerate(zip(two.texts, two.roles, strict=True))}
    shared = [(row, rows[key]) for row, key in enumerate(zip(one.texts, one.roles, strict=True)) if key in rows]
    if not shared:
        return None
    here, there = np.array(shared).T
    near = 1.0 - one.distance(one.vectors[here], two.vectors[there])
    measure = "1 - |a - b| / (1 + |b|) of the logits" if all(rerankers) else "cosine"
    return Agreement(len(shared), float(near.mean()), float(near.min()), measure)
