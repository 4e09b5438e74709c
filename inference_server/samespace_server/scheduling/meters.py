"""What scheduling tells about its work; whoever counts it (`observing.telemetry`) implements this.

So that the part that decides who waits knows no metrics library, and a test can count with a list.
"""

from __future__ import annotations

from typing import Protocol

from samespace.text import Role


class QueueGauge(Protocol):
    """How much waits or runs at the moment."""

    def inc(self, amount: float) -> None:
        """Add *amount* tokens, which may be negative."""


class SpaceMeters(Protocol):
    """The counters of one space."""

    @property
    def queued(self) -> QueueGauge:
        """Tokens that wait or run."""

    def refuse(self, reason: str) -> None:
        """Count one rejected request; *reason* is the class of the error."""

    def looked_up(self, *, hit: bool) -> None:
        """Count one query looked up in the cache of vectors."""

    def answered(self, role: Role, texts: int) -> None:
        """Count *texts* texts whose vectors were given."""

    def took(self, *, tokenize_us: int, queue_us: int, run_us: int) -> None:
        """Note the time that one request spent in each stage, in microseconds."""

    def ran(self, *, rows: int, tokens: int, padded: int) -> None:
        """Count one run of the model; *padded* tokens of which *tokens* were real."""


class Meters(Protocol):
    """The counters of a server."""

    def of_space(self, space_id: str) -> SpaceMeters:
        """Those of one space."""
