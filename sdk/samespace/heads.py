"""Heads: a few dense layers after a frozen encoder, from its unit vectors to unit vectors of a space of their own.

    heads = load_heads("heads/faq")
    better = heads.apply(vectors, role="query")     # Vectors in, Vectors out; plain arrays in, plain arrays out

A head that was trained on an encoder ends up inside the encoder's graph and is not seen again (`export.heads`). This
file is for heads on vectors whose encoder is elsewhere: numpy applies them, no torch. A head may differ between
queries and passages; both then lead into the same space.

What it leaves to others: training (`training.heads.fit`), the graph (`export.heads`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

from .artifact.fingerprint import SCHEME, canonical_json, sort_weights, weight_digest
from .errors import ModelUnsupported, RequestInvalid
from .extras import require_extra
from .folders import whole_folder
from .text import ROLES, Role, check_role
from .vectors import Float32, Vectors, normalise

ACTIVATIONS: Final = ("identity", "relu")
NUMBERS, FACTS = "head.safetensors", "head.json"
_FORMAT: Final = 1


@dataclass(frozen=True)
class DenseLayer:
    """x -> activation(weight @ x + bias).

    Attributes:
        weight: (dims, source dims), float32.
        bias: (dims,), float32.
        activation: "identity" or "relu", which every runtime and numpy compute alike.
    """

    weight: Float32
    bias: Float32
    activation: str = "identity"

    def __post_init__(self) -> None:
        if (
            self.activation not in ACTIVATIONS
            or self.weight.ndim != 2
            or self.bias.shape != self.weight.shape[:1]
            or any(each.dtype != np.float32 or not np.isfinite(each).all() for each in (self.weight, self.bias))
        ):
            raise ModelUnsupported(
                model="head",
                reason=f"{self.activation!r} with weight {self.weight.shape} and bias {self.bias.shape}",
                remedy=f"expected one of {', '.join(ACTIVATIONS)} with (dims, source dims) and (dims,), finite float32",
            )

    @property
    def description(self) -> Mapping[str, Any]:
        """The layer in the identity's words; its numbers are digested beside it."""
        return {"type": "dense", "dims": len(self.bias), "activation": self.activation}


@dataclass(frozen=True)
class Head:
    """Dense layers, one after the other; what comes out is scaled to unit length."""

    layers: tuple[DenseLayer, ...]

    def __post_init__(self) -> None:
        sizes = [layer.weight.shape for layer in self.layers]
        if not sizes or any(after[1] != before[0] for before, after in pairwise(sizes)):
            raise ModelUnsupported(
                model="head", reason=f"layers {sizes}", remedy="each has to take what the last gives"
            )

    @property
    def dims(self) -> int:
        """Length of a vector after it."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def source_dims(self) -> int:
        """Length of a vector before it."""
        return int(self.layers[0].weight.shape[1])

    def apply(self, vectors: npt.NDArray[Any]) -> Float32:
        """(n, source dims) unit rows to (n, dims) float32 unit rows: what the exported graph computes."""
        rows = np.asarray(vectors, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.source_dims:
            raise RequestInvalid(field="vectors", reason=f"shape {rows.shape}; expected (n, {self.source_dims})")
        for layer in self.layers:
            rows = rows @ layer.weight.T + layer.bias
            if layer.activation == "relu":
                rows = np.maximum(rows, 0)
        return normalise(rows)


@dataclass(frozen=True)
class Heads:
    """The heads of both roles, one object where they are the same, and the spaces that they start from.

    Attributes:
        sources: by role, the space id of the vectors that the head was trained on; None where nobody said it.
    """

    query: Head
    passage: Head
    sources: Mapping[Role, str | None]

    def __post_init__(self) -> None:
        if self.query.dims != self.passage.dims:
            raise ModelUnsupported(
                model="head",
                reason=f"{self.query.dims} dims for queries, {self.passage.dims} for passages",
                remedy="both have to lead into one space",
            )

    @property
    def shared(self) -> bool:
        """Whether both roles have the same head."""
        return self.query is self.passage

    @property
    def dims(self) -> int:
        """Length of a vector after either."""
        return self.query.dims

    def of(self, role: Role) -> Head:
        """The head of *role*."""
        check_role(role)
        return self.query if role == "query" else self.passage

    def space_id(self) -> str | None:
        """sha256 over the canonical JSON of `to_dict()`; None where a source is not known, so neither is the space."""
        if any(self.sources[role] is None for role in ROLES):
            return None
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Everything that can change a vector: sources, layers, and the digests of their numbers."""
        digests = sort_weights(weight_digest(name, numbers) for name, numbers in self._numbers())
        return {
            "scheme": SCHEME,
            "kind": "head",
            "sources": [self.sources[role] for role in ROLES],
            "layers": {role: [dict(layer.description) for layer in self.of(role).layers] for role in ROLES},
            "weights": [[each.name, each.dtype, list(each.shape), each.sha256] for each in digests],
        }

    @overload
    def apply(self, vectors: Vectors, role: Role) -> Vectors: ...

    @overload
    def apply(self, vectors: npt.NDArray[Any], role: Role) -> Float32: ...

    def apply(self, vectors: Vectors | npt.NDArray[Any], role: Role) -> Vectors | Float32:
        """(n, source dims) unit rows of the source to (n, dims) unit rows of the head's space, of the kind given.

        Raises:
            SpaceMismatch: the vectors are of another space than the head was trained on.
            RequestInvalid: another length, or `Vectors` where the head does not know what it was trained on.
        """
        head = self.of(role)
        if not isinstance(vectors, Vectors):
            return head.apply(vectors)
        source, space = self.sources[role], self.space_id()
        if source is None or space is None:
            raise RequestInvalid(
                field="vectors",
                reason=f"of space {vectors.space_id}, but this head does not know which space it was trained on. Train "
                "it with --space, or give plain arrays (numpy.asarray) and keep their space in mind yourself",
            )
        vectors.require(source, where="a head")
        return Vectors(head.apply(np.asarray(vectors)), space)

    def save(self, folder: Path | str, *, record: Mapping[str, Any] | None = None, replace: bool = False) -> None:
        """Write `head.safetensors` and `head.json`, the folder whole or not at all; *record* is kept beside."""
        require_extra("heads", feature="a head's file", modules=("safetensors",))
        from safetensors.numpy import save_file

        facts = {
            "format": _FORMAT,
            "space_id": self.space_id(),
            "dims": self.dims,
            "sources": dict(self.sources),
            "shared": self.shared,
            "activations": {role: [layer.activation for layer in self.of(role).layers] for role in ROLES},
            "record": dict(record or {}),
        }
        with whole_folder(Path(folder), replace=replace) as work:
            save_file(dict(self._numbers()), work / NUMBERS)
            (work / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _numbers(self) -> Iterator[tuple[str, Float32]]:
        """(name, array) of every weight; those of a shared head once."""
        named = [("both", self.query)] if self.shared else [(role, self.of(role)) for role in ROLES]
        for role, head in named:
            for place, layer in enumerate(head.layers):
                yield f"{role}.{place}.weight", layer.weight
                yield f"{role}.{place}.bias", layer.bias


def load_heads(folder: Path | str) -> Heads:
    """What `Heads.save` wrote.

    Raises:
        ModelUnsupported: it is no head, or its numbers are not those that its space id names.
        ExtraMissing: safetensors is not installed.
    """
    require_extra("heads", feature="a head's file", modules=("safetensors",))
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    root = Path(folder)
    try:
        facts = json.loads((root / FACTS).read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT:
            raise ValueError(f"format {facts['format']!r}, this samespace reads {_FORMAT}")
        numbers = load_file(root / NUMBERS)

        def head(prefix: str, activations: list[str]) -> Head:
            layers = (
                DenseLayer(numbers[f"{prefix}.{place}.weight"], numbers[f"{prefix}.{place}.bias"], str(activation))
                for place, activation in enumerate(activations)
            )
            return Head(tuple(layers))

        kinds, shared = facts["activations"], bool(facts["shared"])
        query = head("both" if shared else "query", kinds["query"])
        heads = Heads(query, query if shared else head("passage", kinds["passage"]), facts["sources"])
        found = heads.space_id()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelUnsupported(
            model=str(root), reason=f"holds no head: {error}", remedy="write one with samespace train-head"
        ) from error
    if found != facts["space_id"]:
        raise ModelUnsupported(
            model=str(root), reason=f"its numbers make space {found}, its file says {facts['space_id']}",
            remedy="the files are damaged or of two heads: train it again",
        )  # fmt: skip
    return heads
