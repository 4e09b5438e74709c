"""What a migration costs, from a sample. Pure.

Weaviate's memory and disk for an index of float32 vectors: the vectors themselves, and for each about two layers of
links of 10 bytes (`maxConnections` of them on the lowest layer); see "Vector cache and memory" in Weaviate's
documentation of resource planning. Both indexes are there until `--finish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LINK_BYTES: Final = 10
_LINKS: Final = 64
_WRITE_SHARE: Final = 1.25
"""A guess at reading, comparing and writing beside encoding; an encoder on a GPU leaves more to them."""


@dataclass(frozen=True, slots=True)
class EncodingTrial:
    """A short test of speed: some texts of the collection, encoded.

    Attributes:
        tokens: of each text.
        windows: of each text; more than one where it is longer than the token limit.
        seconds: for all of them.
    """

    tokens: Sequence[int]
    windows: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate.

    Attributes:
        objects: that could be counted.
        cold_tenants: whose objects could not be counted without activating them.
        tokens: of all texts.
        long_share: share of texts beyond the token limit, 0 to 1.
        seconds: of encoding and writing, at the speed of the trial.
        disk_bytes: of the new vectors and their index, beside the old ones.
    """

    objects: int
    cold_tenants: int
    tokens: int
    long_share: float
    seconds: float
    disk_bytes: int

    def sentences(self) -> list[str]:
        """For people."""
        lines = [
            f"{self.objects:,} objects"
            + (f", and those of {self.cold_tenants} cold tenants" if self.cold_tenants else "")
            + f"; about {self.tokens:,} tokens, {_duration(self.seconds)} at the speed of a short trial, and "
            f"{self.disk_bytes / 1e6:,.0f} MB for the new vectors and their index beside the old ones until --finish."
        ]
        if self.long_share:
            lines.append(
                f"{self.long_share:.0%} of the texts are longer than the new token limit; their vectors are pooled "
                "windows."
            )
        return lines


def estimate(objects: int, cold_tenants: int, dims: int, trial: EncodingTrial, max_objects_per_s: float = 0.0) -> Cost:
    """The cost of *objects* objects, judged by the trial; 0 objects a second means without a limit."""
    n = max(1, len(trial.tokens))
    seconds = objects * trial.seconds / n * _WRITE_SHARE
    if max_objects_per_s:
        seconds = max(seconds, objects / max_objects_per_s)
    return Cost(
        objects=objects,
        cold_tenants=cold_tenants,
        tokens=round(objects * sum(trial.tokens) / n),
        long_share=sum(count > 1 for count in trial.windows) / n,
        seconds=seconds,
        disk_bytes=objects * (4 * dims + _LINKS * _LINK_BYTES),
    )


def pause_s(done: int, elapsed_s: float, max_objects_per_s: float) -> float:
    """How long to wait after *done* objects in *elapsed_s* seconds so as not to be faster than the limit; 0 is none."""
    if max_objects_per_s <= 0:
        return 0.0
    return max(0.0, done / max_objects_per_s - elapsed_s)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
