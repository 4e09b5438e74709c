"""The spaces of one server: which are served, which one a caller means, and whether the door is open.

The door is shut while artifacts load and while the server drains. What is inside is counted for each engine, so
that draining can wait for exactly that: for all of it when the server stops, for one engine when its space is
unloaded or another engine takes its place.

Live and ready differ. Live is that anything answers at all. Ready is that every space that was asked for is
served and computes what it should: not before the probes have passed, not while the server drains, and not after
a runtime has given numbers that are none.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from typing import Final, Literal

from samespace.errors import RequestInvalid, ServerUnavailable, UnknownReranker, UnknownSpace, WrongKind
from samespace.text import printable

from ..budgets import AnswerRoom
from ..scheduling.bulk import CHARS_PER_TOKEN
from ..scheduling.composite import CompositeEngine
from ..scheduling.engine import Engine, now_us
from ..settings import HttpLimits
from .rerankers import RerankEngine

AnyEngine = Engine | CompositeEngine
ServedEngine = AnyEngine | RerankEngine
State = Literal["loading", "ready", "draining"]
SMALL: Final = 64
"""Vectors of a request that takes no room among the large ones."""
SMALL_PAIRS: Final = 1 << 20
"""Bytes of the pairs of such a request."""
_SPACE: Final = re.compile(r"[0-9a-f]{12,64}")
_LOADING: Final = "the server is still loading"
_SHUTTING_DOWN: Final = "the server is shutting down"
_ELSEWHERE: Final = "ask another replica, or this one in a moment"


def full_id(space: str, served: tuple[str, ...]) -> str:
    """The one of *served* that *space* names: whole, or by at least 12 leading hex digits.

    Raises:
        UnknownSpace: none of them.
        RequestInvalid: the digits fit several.
    """
    wanted = space.lower()
    if wanted in served:
        return wanted
    fitting = [each for each in served if _SPACE.fullmatch(wanted) and each.startswith(wanted)]
    if not fitting:
        # What was asked is the caller's; a refusal must not become as long as they like, nor move their cursor.
        raise UnknownSpace(requested=printable(space[:80]), served=served)
    if len(fitting) > 1:
        raise RequestInvalid(field="space", reason=f"{space} is the start of {' and '.join(fitting)}; say more digits")
    return fitting[0]


class Spaces:
    """Engines by space id. Used on the event loop alone."""

    def __init__(self, *, address: str, answer_bytes: int = HttpLimits().max_unread_bytes) -> None:
        """None yet, loading.

        Args:
            address: what refusals call this server.
            answer_bytes: of the vectors of large answers that are made at a time.
        """
        self._address, self._room = address, AnswerRoom(answer_bytes)
        self._state: State = "loading"
        self._engines: dict[str, AnyEngine] = {}
        self._rerankers: dict[str, RerankEngine] = {}
        self._default: str | None = None
        self._inside: dict[ServedEngine, int] = {}  # an engine that left may still be at work
        self._changed, self._emptied = _Bell(), _Bell()

    def __iter__(self) -> Iterator[AnyEngine]:
        return iter(tuple(self._engines.values()))

    @property
    def ids(self) -> tuple[str, ...]:
        """The full ids of what is served, in the order of loading."""
        return tuple(self._engines)

    @property
    def rerankers(self) -> tuple[RerankEngine, ...]:
        """The rerankers, in the order of loading: no spaces, and found by `find_reranker` alone."""
        return tuple(self._rerankers.values())

    # -- which are served

    @property
    def state(self) -> State:
        """Of the door: open when "ready"."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self._changed.ring()

    def put(self, engine: AnyEngine) -> AnyEngine | None:
        """Serve *engine* from now on, and give back the one whose place it takes, which takes no more requests."""
        former = self._engines.get(engine.space_id)
        self._engines[engine.space_id] = engine
        self._changed.ring()
        return former

    def put_reranker(self, engine: RerankEngine) -> None:
        """Serve *engine* from now on."""
        self._rerankers[engine.reranker_id] = engine
        self._changed.ring()

    def remove(self, space: str) -> AnyEngine:
        """Take *space* off, and give back its engine, which may still be at work.

        Raises:
            UnknownSpace, RequestInvalid: as for `find`; also for the space that answers paths without one.
        """
        engine = self._named(space)
        if engine.space_id == self._default:
            raise RequestInvalid(
                field="space_id",
                reason=f"{engine.space_id} answers paths that name no space; choose another default first, or none "
                "(`samespace spaces default`)",
            )
        del self._engines[engine.space_id]
        self._changed.ring()
        return engine

    @property
    def default(self) -> str | None:
        """The full id of the space that answers paths that name none."""
        return self._default

    def set_default(self, space: str | None) -> None:
        """Let *space*, or none, answer paths that name none; raises `UnknownSpace` or `RequestInvalid`."""
        self._default = None if space is None else self._named(space).space_id

    # -- which one is meant

    def find(self, space: str | None) -> AnyEngine:
        """The engine that a caller means.

        Args:
            space: full id, at least 12 leading hex digits, or None where the path names none.

        Raises:
            UnknownSpace: not served; or none named, and there is no default.
            WrongKind: it is a reranker.
            RequestInvalid: the digits fit several spaces.
            ServerUnavailable: still loading.
        """
        if self._state == "loading":
            raise self._not_now()
        if space is not None:
            return self._named(space)
        if self._default is None:
            raise UnknownSpace(requested="", served=self.ids)
        return self._engines[self._default]

    def find_reranker(self, reranker: str | None) -> RerankEngine:
        """The reranker that a caller means, by full id or at least 12 digits; there is no default.

        Raises:
            UnknownReranker: not served, or none named.
            WrongKind: it is a space.
            RequestInvalid: the digits fit several.
            ServerUnavailable: still loading.
        """
        if self._state == "loading":
            raise self._not_now()
        served = tuple(self._rerankers)
        try:
            return self._rerankers[full_id(reranker or "", served)]
        except UnknownSpace:
            if reranker and _fits(reranker, self.ids):
                raise WrongKind(where=reranker[:80], found="encoder", wanted="reranker") from None
            raise UnknownReranker(requested=printable((reranker or "")[:80]), served=served) from None

    def served(self, name: str) -> ServedEngine:
        """What *name* is the id of, space or reranker; raises what `find` raises."""
        return self.find_reranker(name) if _fits(name, tuple(self._rerankers)) else self.find(name)

    def _named(self, space: str) -> AnyEngine:
        try:
            return self._engines[full_id(space, self.ids)]
        except UnknownSpace:
            if _fits(space, tuple(self._rerankers)):
                raise WrongKind(where=space[:80], found="reranker", wanted="encoder") from None
            raise

    def check_not_draining(self) -> None:
        """Raise `ServerUnavailable` while the server shuts down."""
        if self._state == "draining":
            raise self._not_now()

    def _not_now(self) -> ServerUnavailable:
        reason = _LOADING if self._state == "loading" else _SHUTTING_DOWN
        return ServerUnavailable(address=self._address, reason=reason, remedy=_ELSEWHERE)

    # -- ready

    @property
    def ready(self) -> bool:
        """Whether every request for any space that is served would be answered."""
        engines = (*self, *self.rerankers)
        return self._state == "ready" and bool(engines) and not any(each.broken for each in engines)

    @property
    def live(self) -> bool:
        """Whether nothing is wrong that only a new start would mend."""
        return not any(each.hung for each in (*self, *self.rerankers))

    def is_ready(self, engine: ServedEngine) -> bool:
        """Whether every request for this one would be answered."""
        return self._state == "ready" and not engine.broken

    async def changed(self, wait_ms: int) -> None:
        """Return when spaces or door may have changed, or the time is up: an engine breaks without telling."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.heard(), wait_ms / 1000)

    async def draining(self) -> None:
        """Return when the server shuts down."""
        while self._state != "draining":
            await self._changed.heard()

    # -- what is inside

    @contextmanager
    def request(self, engine: ServedEngine) -> Iterator[None]:
        """Count one request as accepted by *engine*, which was found just now.

        Raises:
            ServerUnavailable: the door is shut.
        """
        if self._state != "ready":
            raise self._not_now()
        self._inside[engine] = self._inside.get(engine, 0) + 1
        try:
            yield
        finally:
            self._inside[engine] -= 1
            if self._inside[engine] == 0:
                del self._inside[engine]
                self._emptied.ring()

    def room(
        self, engine: AnyEngine, texts: Sequence[str], client: str, deadline_us: int | None
    ) -> AbstractAsyncContextManager[None]:
        """Room for the vectors of *texts* until their answer is made, which a large request waits for.

        Raises:
            DeadlineExceeded: on entering; it did not come in time.
        """
        window_chars = engine.loaded.artifact.token_limit * CHARS_PER_TOKEN
        vectors = sum(len(text) // window_chars + 1 for text in texts)
        return nullcontext() if vectors <= SMALL else self._place(vectors * engine.dims * 4, client, deadline_us)

    def pair_room(
        self, engine: RerankEngine, query: str, passages: Sequence[str], client: str, deadline_us: int | None
    ) -> AbstractAsyncContextManager[None]:
        """Room for the pairs of a reranker until they are scored: each has a copy of the query, and of its passage.

        Raises:
            RequestInvalid: at once; there would be more of them than there may be.
            DeadlineExceeded: on entering; it did not come in time.
        """
        engine.check(query, len(passages))
        size = sys.getsizeof(query) * len(passages) + sum(map(sys.getsizeof, passages))
        return nullcontext() if size <= SMALL_PAIRS else self._place(size, client, deadline_us)

    def _place(self, size: int, client: str, deadline_us: int | None) -> AbstractAsyncContextManager[None]:
        left_us = None if deadline_us is None else deadline_us - now_us()
        return self._room.place(size, client, left_us)

    @property
    def at_work(self) -> int:
        """Requests that were accepted and are not answered, also by engines that are not served any more."""
        return sum(self._inside.values())

    def at_work_of(self, engine: AnyEngine) -> int:
        """Those of one engine."""
        return self._inside.get(engine, 0)

    async def idle(self, engine: AnyEngine | None = None) -> None:
        """Return when nothing is at work, or nothing of *engine*."""
        while self._inside if engine is None else engine in self._inside:
            await self._emptied.heard()


def _fits(name: str, served: tuple[str, ...]) -> bool:
    """Whether *name* begins one of the ids."""
    return bool(_SPACE.fullmatch(name.lower())) and any(each.startswith(name.lower()) for each in served)


class _Bell:
    """Wakes everybody who waits for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def heard(self) -> None:
        """Return when it rings next."""
        await self._event.wait()
