"""Time that passes only when somebody waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from samespace_weaviate.access.patience import Patience
from samespace_weaviate.cutover.watch import SwitchGuard, Watched, watch


@dataclass
class FakeClock:
    """A clock in seconds; *pauses* are what was waited."""

    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.pauses.append(seconds)
        self.now_s += seconds

    def patience(self, limit_s: float = 90.0) -> Patience:
        """A `Patience` of this time."""
        return Patience(limit_s, clock=self, pause=self.pause)


def watched(*guards: SwitchGuard, seconds: float = 60) -> Watched:
    """A watch of so many seconds, which takes none."""
    clock = FakeClock()
    return watch(guards, seconds, every_s=5, clock=clock, pause=clock.pause)
