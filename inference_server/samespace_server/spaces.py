"""The spaces of one server: which are served, which one a caller means, and whether the door is open.

The door is shut while artifacts load and while the server drains; `at_work` counts what is inside, so that
draining can wait for exactly that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from samespace.errors import ConfigInvalid, RequestInvalid, ServerUnavailable, UnknownSpace

from .composite import CompositeEngine
from .engine import Engine

AnyEngine = Engine | CompositeEngine
State = Literal["loading", "ready", "draining"]
_SPACE: Final = re.compile(r"[0-9a-f]{12,64}")
_NONE_NAMED: Final = "(none named: the path has to begin with /e/SPACE_ID)"


class Spaces:
    """Engines by space id."""

    def __init__(self, *, address: str) -> None:
        """None yet, loading; *address* is what refusals call this server."""
        self.state: State = "loading"
        self._address = address
        self._engines: dict[str, AnyEngine] = {}
        self._default: AnyEngine | None = None
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __iter__(self) -> Iterator[AnyEngine]:
        return iter(self._engines.values())

    @property
    def ids(self) -> tuple[str, ...]:
        """The full ids of what is served, in the order of loading."""
        return tuple(self._engines)

    def add(self, engine: AnyEngine) -> None:
        """Serve *engine*; raises `ConfigInvalid` if its space is served already."""
        if engine.space_id in self._engines:
            raise ConfigInvalid(key="artifacts", reason=f"two of them are of space {engine.space_id}; serve one")
        self._engines[engine.space_id] = engine

    def find(self, space: str | None) -> AnyEngine:
        """The engine that a caller means.

        Args:
            space: full id, at least 12 leading hex digits, or None where the path names none.

        Raises:
            UnknownSpace: not served; or none named, and there is no default.
            RequestInvalid: the digits fit several spaces.
            ServerUnavailable: still loading.
        """
        if self.state == "loading":
            raise ServerUnavailable(address=self._address, reason="the server is still loading")
        if space is not None:
            return self._named(space)
        if self._default is None:
            raise UnknownSpace(requested=_NONE_NAMED, served=self.ids)
        return self._default

    def set_default(self, space: str) -> None:
        """Let *space* answer paths that name none; raises `UnknownSpace` or `RequestInvalid`."""
        self._default = self._named(space)

    def _named(self, space: str) -> AnyEngine:
        wanted = space.lower()
        if wanted in self._engines:
            return self._engines[wanted]
        fitting = [each for each in self._engines if _SPACE.fullmatch(wanted) and each.startswith(wanted)]
        if not fitting:
            # What was asked is the caller's; a refusal must not become as long as they like.
            raise UnknownSpace(requested=space[:80], served=self.ids)
        if len(fitting) > 1:
            raise RequestInvalid(
                field="space", reason=f"{space} is the start of {' and '.join(fitting)}; say more digits"
            )
        return self._engines[fitting[0]]

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request as accepted; raises `ServerUnavailable` while the door is shut."""
        if self.state != "ready":
            reason = "the server is still loading" if self.state == "loading" else "the server is shutting down"
            raise ServerUnavailable(address=self._address, reason=reason)
        self._at_work += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._at_work -= 1
            if self._at_work == 0:
                self._idle.set()

    @property
    def at_work(self) -> int:
        """Requests that were accepted and are not answered."""
        return self._at_work

    async def idle(self) -> None:
        """Return when nothing is at work."""
        await self._idle.wait()
