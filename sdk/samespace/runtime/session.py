"""What a loaded build can do, whatever runs it, and where it was asked to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from ..errors import RequestInvalid
from ..text import Int64
from ..vectors import Float32

Device = Literal["cpu", "cuda", "tensorrt"]
DEVICES: Final[tuple[Device, ...]] = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a build runs, and what it should be ready for.

    Attributes:
        device: "cpu", "cuda", or "tensorrt", which is CUDA with TensorRT's kernels.
        threads: cores that all runs together may keep busy; 0 for those that this process may use. On CUDA it says
            nothing.
        streams: runs that the caller will have under way at once; 0 for as many as help, which the session then
            tells. More of them do more in all, and each takes longer.
        longest: tokens of the longest input, so that lengths may be rounded up to it; None for no rounding at all.
        keep: use what was compiled at an earlier start, and keep what is compiled now.
    """

    device: Device = "cpu"
    threads: int = 0
    streams: int = 1
    longest: int | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise RequestInvalid(field="device", reason=f"{self.device!r}; expected one of {', '.join(DEVICES)}")
        for name in ("threads", "streams"):
            if getattr(self, name) < 0:
                raise RequestInvalid(field=name, reason=f"{getattr(self, name)}; expected 0 or more")


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

    @property
    def streams(self) -> int:
        """How many runs may be under way at once with profit; more callers than that wait for each other."""

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        """(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""
