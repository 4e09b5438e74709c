"""Transforms: one linear map after pooling, kept as a safetensors file between `transform` and `export`.

The numbers come from `export.transforms.fit`; `Checkpoint.transformed` puts them into the graph. Only `to_linear` needs
torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import ModelUnsupported, short
from ..folders import whole_file
from ..vectors import Float32, normalise
from .evidence import TransformEvidence

if TYPE_CHECKING:
    from torch import nn

KINDS: Final = ("centre", "pca", "whiten", "truncate")


@dataclass(frozen=True)
class Transform:
    """vector -> weight @ vector + bias, then scaled to unit length.

    Attributes:
        kind: one of `KINDS`; its numbers, not its name, make the space.
        weight: (dims, source dims), float32.
        bias: (dims,), float32.
        fitted_on: the space whose vectors it was fitted on; None where nobody wrote it down.
        evidence: why it was taken; None where nobody wrote it down.
    """

    kind: str
    weight: Float32
    bias: Float32
    fitted_on: str | None = None
    evidence: TransformEvidence | None = None

    def __post_init__(self) -> None:
        numbers = (self.weight, self.bias)
        if (
            self.kind not in KINDS
            or self.weight.ndim != 2
            or self.bias.shape != self.weight.shape[:1]
            or any(each.dtype != np.float32 or not np.isfinite(each).all() for each in numbers)
        ):
            raise ModelUnsupported(
                model="transform",
                reason=f"{self.kind!r} with weight {self.weight.shape} and bias {self.bias.shape}",
                remedy=f"expected one of {', '.join(KINDS)} with (dims, source dims) and (dims,), finite float32",
            )

    @property
    def dims(self) -> int:
        """Length of a vector after it."""
        return int(self.weight.shape[0])

    @property
    def source_dims(self) -> int:
        """Length of a vector before it."""
        return int(self.weight.shape[1])

    @property
    def description(self) -> Mapping[str, Any]:
        """What the identity says of it beside the digests of its numbers."""
        return {"type": self.kind, "dims": self.dims}

    def record(self) -> dict[str, Any]:
        """What provenance keeps: beside the description, where it was fitted and why it was taken."""
        return {**self.description, **self._facts()}

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"fitted_on": self.fitted_on}
        return facts if self.evidence is None else facts | {"evidence": self.evidence.to_json()}

    def apply(self, vectors: Float32) -> Float32:
        """What the exported graph does after its own normalisation.

        Args:
            vectors: (n, source dims), float32, unit rows.

        Returns:
            (n, dims), float32, unit rows; a row that the map sends to zero stays zero.
        """
        return normalise(vectors @ self.weight.T + self.bias)

    def to_linear(self) -> nn.Linear:
        """The layer that is exported."""
        import torch
        from torch import nn

        linear = nn.Linear(self.source_dims, self.dims)
        linear.load_state_dict({"weight": torch.from_numpy(self.weight), "bias": torch.from_numpy(self.bias)})
        return linear

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all; one that is there is replaced."""
        from safetensors.numpy import save

        facts = {"kind": self.kind, **self._facts()}
        data = save({"weight": self.weight, "bias": self.bias}, metadata={"samespace": json.dumps(facts)})
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(data)

    @staticmethod
    def load(path: Path, *, fitted_on: str | None = None) -> Transform:
        """The inverse of `save`.

        Args:
            fitted_on: the space that it is meant for; None takes any.

        Raises:
            ModelUnsupported: it is no transform, or it was fitted on vectors of another space.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                facts = json.loads((file.metadata() or {})["samespace"])
                numbers = file.get_tensor("weight"), file.get_tensor("bias")
                evidence = TransformEvidence.from_json(facts["evidence"]) if "evidence" in facts else None
                transform = Transform(facts["kind"], *numbers, facts.get("fitted_on"), evidence)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ModelUnsupported(
                model=str(path), reason=f"holds no transform: {error}", remedy="write one with samespace transform"
            ) from error
        if fitted_on is not None and transform.fitted_on is not None and transform.fitted_on != fitted_on:
            raise ModelUnsupported(
                model=str(path),
                reason=f"was fitted on space {short(transform.fitted_on)}, the model is space {short(fitted_on)}",
                remedy="give both commands the same model, token limit, overlap and prompts",
            )
        return transform
