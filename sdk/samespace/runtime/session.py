"""What a loaded build can do, whatever runs it."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from ..text import Int64
from ..vectors import Float32

Device = Literal["cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = ("cpu", "cuda")


class Session(Protocol):
    """A build in memory, ready to run. Safe to call from several threads."""

    @property
    def runtime(self) -> str:
        """The name of the runtime: onnxruntime or openvino."""

    @property
    def precision(self) -> str:
        """What it computes in: "fp32", "bf16", "fp16" or "int8"."""

    @property
    def version(self) -> str:
        """The runtime's version."""

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
