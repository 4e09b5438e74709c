"""Time that passes only when somebody waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from samespace_weaviate.access.patience import Patience


@dataclass
class FakeClock:
    """A clock in seconds; *pauses* are what was waited."""

    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.pauses.append(seconds)
        self.now_s += seconds

    def patience(self, limit_s: float = 90.0) -> Patience:
        """A `Patience` of this time."""
        return Patience(limit_s, clock=lambda: self.now_s, pause=self.pause)
