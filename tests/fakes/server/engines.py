"""Engines that compute nothing, for what only has to count and route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from samespace_server.spaces.registry import AnyEngine


@dataclass(eq=False)
class FakeEngine:
    """An engine of a space, which can be broken and notes that it was closed."""

    space_id: str
    broken: str | None = None
    hung: str | None = None
    closed: bool = False
    loaded: Any = None

    def close(self) -> None:
        """Note it."""
        self.closed = True


def fake_engine(space_id: str) -> AnyEngine:
    """One that passes for a real one."""
    return cast(AnyEngine, FakeEngine(space_id))
