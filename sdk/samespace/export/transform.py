"""Transforms: one linear map after pooling, kept as a safetensors file between `transform` and `export`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ..errors import ModelUnsupported
from ..vectors import Float32

KINDS: Final = ("centre", "pca", "whiten", "truncate")


@dataclass(frozen=True)
class Transform:
    """vector -> weight @ vector + bias, then scaled to unit length.

    Attributes:
        kind: one of `KINDS`; its numbers, not its name, make the space.
        weight: (dims, source dims), float32.
        bias: (dims,), float32.
    """

    kind: str
    weight: Float32
    bias: Float32

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ModelUnsupported(
                model="transform",
                reason=f"{self.kind!r} with weight {self.weight.shape} and bias {self.bias.shape}",
                remedy=f"expected one of {', '.join(KINDS)} with (dims, source dims) and (dims,)",
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

    def to_linear(self) -> nn.Linear:
        """The layer that is exported."""
        linear = nn.Linear(self.source_dims, self.dims)
        linear.load_state_dict({"weight": torch.from_numpy(self.weight), "bias": torch.from_numpy(self.bias)})
        return linear

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file

        save_file(
            {"weight": self.weight, "bias": self.bias}, path, metadata={"samespace": json.dumps({"kind": self.kind})}
        )

    @staticmethod
    def load(path: Path) -> Transform:
        """The inverse of `save`.

        Raises:
            ModelUnsupported: it is no transform.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                kind = json.loads((file.metadata() or {})["samespace"])["kind"]
                return Transform(kind, file.get_tensor("weight"), file.get_tensor("bias"))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ModelUnsupported(
                model=str(path), reason=f"holds no transform: {error}", remedy="write one with samespace transform"
            ) from error
