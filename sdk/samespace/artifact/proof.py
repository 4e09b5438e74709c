"""Is a graph the encoder that its identity names? The weights are looked for in the graph itself.

A space id is a digest of digests, and whoever writes a manifest can copy it. So each weight that the identity names is
looked for among the constants of the fp32 graph, as it is or transposed; each has to be read on the way to the output;
and no other constant may be there that could be a weight.

A bias of zeros may be absent: the exporter leaves out an addition that changes nothing (a transform without a shift).
That nothing else is added in its place is as sure as that nothing is added anywhere: see `FEW` and `MOST_OTHERS`.

What it gives up: how the weights are wired is not seen here. Whoever has torch builds the architecture anew and
compares vectors on texts made then (`model.rebuilt`); anybody can compare two artifacts of one id so (`runtime.fresh`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ArtifactDamaged
from .fingerprint import Identity, WeightDigest
from .graph_check import Graph, GraphConstant

FEW: Final = 16
"""A constant of so many elements is no weight: an epsilon, a scale, the sizes of a shape."""
MOST_OTHERS: Final = 65_536
"""Elements that all constants which no identity names may have together."""
_DTYPES: Final = {1: "float32", 10: "float16", 16: "bfloat16", 11: "float64", 7: "int64", 6: "int32"}
_FLOATS: Final = frozenset({1, 10, 11, 16})


@dataclass(frozen=True, slots=True)
class IdentityProof:
    """The constants of a graph by the names that the identity gives its weights."""

    weights: Mapping[str, npt.NDArray[Any]]


def prove_identity(graph: Graph, identity: Identity, file: str) -> IdentityProof:
    """Find every weight of *identity* in *graph*, each on the way to the output, and no other.

    Time is that of hashing the file's bytes, twice for matrices: about a second for 90 MB.

    Args:
        graph: of the fp32 build, checked.
        file: the name that errors give.

    Raises:
        ArtifactDamaged: a weight is not there, is not used, or something that could be a weight is not named.
    """
    wanted: dict[str, list[tuple[str, str, tuple[int, ...]]]] = {}
    for weight in identity.weights:
        wanted.setdefault(weight.sha256, []).append((weight.name, weight.dtype, weight.shape))
    on_the_way = _reached(graph)
    found: dict[str, npt.NDArray[Any]] = {}
    unused: dict[str, str] = {}
    others = []
    for constant in graph.constants:
        named = False
        for array in _forms(constant):
            for name, dtype, shape in wanted.get(_digest(array), ()):
                if dtype == _DTYPES.get(constant.code) and shape == array.shape:
                    named = True
                    if constant.name in on_the_way:
                        found[name] = array
                    else:
                        unused[name] = constant.name
            if named:
                break
        if not named:
            others.append(constant)
    for weight in identity.weights:
        if weight.name not in found and _is_zero_bias(weight):
            found[weight.name] = np.zeros(weight.shape, dtype=np.float32)
    missing = [weight.name for weight in identity.weights if weight.name not in found]
    if missing:
        first = missing[0]
        why = f"is there as {unused[first]!r}, and nothing of it reaches the vectors" if first in unused else "is not"
        raise ArtifactDamaged(
            file=file,
            reason=f"is not the encoder of its space id: of {len(identity.weights)} weights that the id names "
            f"{len(missing)} are not in it; {first!r} {why}. Export it anew from a source that you trust",
        )
    _require_no_others(others, file)
    return IdentityProof(found)


def _reached(graph: Graph) -> set[str]:
    """The names whose values reach the vectors."""
    left, seen = [graph.output], set[str]()
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left.extend(graph.reads.get(name, ()))
    return seen


def _forms(constant: GraphConstant) -> Iterable[npt.NDArray[Any]]:
    """The constant as it is, and a matrix transposed."""
    if constant.code in _DTYPES and len(constant.values) == math.prod(constant.shape):
        array = constant.values.reshape(constant.shape)
        yield array
        if array.ndim == 2:
            yield array.T  # a view; only its digest needs a copy


def _digest(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"").hexdigest()


def _is_zero_bias(weight: WeightDigest) -> bool:
    """Whether its digest, not only its name, says that it adds nothing."""
    return (
        weight.name.endswith(".bias")
        and weight.dtype == "float32"
        and len(weight.shape) == 1
        and 0 < weight.shape[0] <= MOST_OTHERS
        and weight.sha256 == _digest(np.zeros(weight.shape, dtype=np.float32))
    )


def _require_no_others(others: Iterable[GraphConstant], file: str) -> None:
    total = 0
    for constant in others:
        size = len(constant.values)
        if size > FEW and not _is_derived(constant):
            raise ArtifactDamaged(
                file=file,
                reason=f"has the constant {constant.name[:80]!r} of shape {list(constant.shape)}, which its space id "
                "does not name: it may be a weight of another encoder",
            )
        total += size if size <= FEW or constant.code in _FLOATS else 0
    if total > MOST_OTHERS:
        raise ArtifactDamaged(file=file, reason=f"has {total} numbers that its space id does not name")


def _is_derived(constant: GraphConstant) -> bool:
    """Whether the constant follows from a few numbers: one value, a mask, steps of one size, frequencies."""
    values = constant.values
    if len(np.unique(values[:4096])) <= 2 and len(np.unique(values)) <= 2:
        return True
    if constant.code not in _FLOATS:
        steps = np.diff(values.astype(np.int64))
        return bool((steps == steps[0]).all())
    if constant.code in (10, 16):
        return False
    # Rotary frequencies and ALiBi's slopes: a few positive numbers that fall, or negative ones that rise.
    steps = np.diff(np.abs(values))
    return (
        len(values) <= 4096
        and bool((steps <= 0).all() or (steps >= 0).all())
        and bool((values[0] > 0) == (values > 0).all())
    )
