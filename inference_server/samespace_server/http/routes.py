"""The HTTP bridge: Weaviate's routes, OpenAI's, health and metrics; one prefix per space, `/e/{space}`.

A 200 always carries every vector: a body is made only from a finished answer. Whatever else happens is an
error body with an HTTP status from the one table. Texts are never logged.

What it leaves to others: connections and their limits (`server`), the bodies (`dialects`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from random import uniform
from typing import Any, Final

import orjson

from samespace.errors import (
    Overloaded,
    RequestInvalid,
    SamespaceError,
    ServerUnavailable,
    SpaceMismatch,
    Unauthenticated,
    UnknownReranker,
    UnknownSpace,
    WrongKind,
)
from samespace.rpc.status import status_of
from samespace.text import ROLES, Role
from samespace.vectors import Float32

from ..memory import without_past
from ..observing.observe import NO_PARENT, Parent, Watch
from ..observing.telemetry import CONTENT_TYPE, Telemetry
from ..scheduling.engine import now_us
from ..security.tokens import Guard
from ..spaces.registry import AnyEngine, Spaces
from .bodies import read_object
from .browsers import Origins
from .dialects import Dialect, RequestContext, all_dialects, flat_error, named_space
from .dialects.dialect import Rows
from .dialects.meaning import check_words
from .dialects.numbers import json_rows
from .dialects.rerank import RerankDialect
from .hosts import KnownHosts
from .messages import Request, Response, Work, error_body, json_response

PIECE: Final = 64
"""Vectors that are written as JSON at a time: about a millisecond for 384 dims."""
# Browsers ask people for the password when they are offered Basic; programs read Bearer.
_CHALLENGES: Final = (
    (b"www-authenticate", b'Bearer realm="samespace"'),
    (b"www-authenticate", b'Basic realm="samespace"'),
)
ErrorBody = Callable[[str, SamespaceError], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a path, and to whom.

    Attributes:
        work: makes the response; raises `SamespaceError` for what `error_body` and the one table turn into one.
        error_body: how the route's clients read an error.
        is_open: answered without a token: for probes, which cannot bring one.
        has_space: may stand behind `/e/{space}`.
        is_probe: answered also where there is room for nothing else.
        for_known_hosts: answered only under a name that is the server's; see `hosts`.
    """

    work: Work
    error_body: ErrorBody = flat_error
    is_open: bool = False
    has_space: bool = False
    is_probe: bool = False
    for_known_hosts: bool = False


class HttpApp:
    """The paths of a server, and who may ask for them. `HttpServer` brings the requests."""

    def __init__(
        self,
        telemetry: Telemetry,
        guard: Guard,
        hosts: KnownHosts | None = None,
        *,
        origins: Origins | None = None,
        prefix: str = "",
    ) -> None:
        """No paths yet: `add_encoder` adds those of this module.

        Args:
            origins: of pages that may read answers; none unless given.
            prefix: begins every path, for proxies that do not take it off; paths without it are answered too.
        """
        self._telemetry, self._guard, self._hosts = telemetry, guard, hosts or KnownHosts()
        self._origins, self._prefix = origins or Origins(), _parts(prefix)
        self._routes: dict[str, dict[str, Route]] = {}

    def add(self, method: str, path: str, route: Route) -> None:
        """Let *route* answer *path*, which has no slash at its ends; GET answers HEAD too."""
        methods = self._routes.setdefault(path, {})
        methods[method] = route
        if method == "GET":
            methods["HEAD"] = route

    @property
    def paths(self) -> tuple[str, ...]:
        """Those that were added, in order."""
        return tuple(self._routes)

    def _methods(self, parts: list[str]) -> dict[str, Route]:
        """By method, who answers a path; a route's "*" is any one part."""
        if methods := self._routes.get("/".join(parts)):
            return methods
        for place in range(len(parts)):
            if methods := self._routes.get("/".join([*parts[:place], "*", *parts[place + 1 :]])):
                return methods
        return {}

    def refused(self, reason: str) -> None:
        """Count what never became a request."""
        self._telemetry.http_refused.labels(reason).inc()

    def is_probe(self, request: Request) -> bool:
        """Whether *request*, which has its route, asks whether the server lives or is ready."""
        route = self._found(request).get(request.method)
        return route is not None and route.is_probe

    def has_token(self, request: Request) -> bool:
        """Whether *request* brings a token that is known, where one is wanted."""
        if self._guard.tokens:
            try:
                self._guard.tokens.check(_authorization(request), where="this server")
            except Unauthenticated:
                return False
        return True

    def _parts_of(self, request: Request) -> list[str]:
        parts, most = _parts(request.path), len(self._prefix)
        return parts[most:] if most and parts[:most] == self._prefix else parts

    def route(self, request: Request) -> Work | Response:
        """Who answers; or 404, 405, 401 or 421."""
        methods = self._found(request)
        if not self._origins.allows(request) or any(route.for_known_hosts for route in methods.values()):
            return self._answer(request, methods)
        if request.method == "OPTIONS" and methods and b"access-control-request-method" in request.headers:
            return self._origins.preflight(request, methods)
        return self._origins.readable(request, self._answer(request, methods))

    def _found(self, request: Request) -> dict[str, Route]:
        """By method, who answers a request's path; its space and role are filled in."""
        parts = self._parts_of(request)
        if len(parts) > 1 and parts[0] == "e":
            request.space = parts[1]
            del parts[:2]
            if len(parts) > 1 and parts[0] in ROLES:
                request.role = parts.pop(0)
        methods = self._methods(parts)
        found = next(iter(methods.values()), None)
        return {} if found is None or (request.space is not None and not found.has_space) else methods

    def _answer(self, request: Request, methods: dict[str, Route]) -> Work | Response:
        if not methods:
            return _plain(request, 404, f"no such path: {request.path[:200]}")
        route = methods.get(request.method)
        if route is None:
            offered = ", ".join(methods)
            return _plain(request, 405, f"{request.method}: expected {offered}", (b"allow", offered.encode()))
        if route.for_known_hosts and not self._hosts.knows(request.headers.get(b"host")):
            self.refused("host")
            remedy = "ask by its address, or start it with --host-names NAME"
            return _plain(request, 421, f"this is given only under a name that is known to be the server's: {remedy}")
        authorization = _authorization(request)
        request.client = self._guard.client(authorization, request.address)
        if not route.is_open and self._guard.tokens:
            try:
                self._guard.tokens.check(authorization, where="this server")
            except Unauthenticated as error:
                self.refused("unauthenticated")
                # Weaviate shows `error` alone; its own container says exactly this.
                body = route.error_body(str(error), error)
                if route.error_body is flat_error:
                    body["error"] = "Unauthorized"
                return json_response(body, status=status_of(error).http, headers=_CHALLENGES)
        return route.work


def add_encoder(app: HttpApp, spaces: Spaces, watch: Watch, *, most_texts: int) -> None:
    """Add the embedding routes, with and without a space in front; bodies of far more than *most_texts* stay unread."""
    turn = asyncio.Lock()
    for dialect in all_dialects():
        work = _embedding(dialect, spaces, watch, most_texts, turn)
        for path in dialect.routes:
            app.add("POST", path, Route(work, dialect.render_error, has_space=True))


def add_health(app: HttpApp, spaces: Spaces) -> None:
    """Add the probes, which are open to everybody."""
    app.add("GET", ".well-known/live", Route(_live(spaces), is_open=True, has_space=True, is_probe=True))
    app.add(
        "GET", ".well-known/ready", Route(_ready(spaces, app.has_token), is_open=True, has_space=True, is_probe=True)
    )
    app.add(
        "GET", "health", Route(_ready(spaces, app.has_token, status=200), is_open=True, has_space=True, is_probe=True)
    )


def add_metrics(app: HttpApp, telemetry: Telemetry) -> None:
    """Add `/metrics`."""

    async def metrics(request: Request) -> Response:
        return Response(200, telemetry.render(), CONTENT_TYPE.encode())

    app.add("GET", "metrics", Route(metrics, for_known_hosts=True))


# -- embedding


def _embedding(dialect: Dialect, spaces: Spaces, watch: Watch, most_texts: int, turn: asyncio.Lock) -> Work:
    """*turn* is shared by all: of large answers, which take several times their vectors, one is written at a time."""

    async def answer(request: Request) -> Response:
        try:
            with watch.request(dialect.routes[0], parent_of(request)) as seen:
                engine = None if request.space is None else spaces.find(request.space)
                seen.space_id = None if engine is None else engine.space_id
                body = await read_object(request.body, most_texts=most_texts)
                engine = _named_engine(spaces, engine, named_space(body))
                seen.space_id = engine.space_id
                with spaces.request(engine):
                    check_words(body, dialect.request["properties"])
                    ask = dialect.parse(body, RequestContext(engine.loaded.artifact.role_matters, _role(request)))
                    until_us = deadline_us(request.headers.get(b"x-timeout-ms"))
                    async with spaces.room(engine, ask.texts, request.client, until_us):
                        found = seen.answer = await engine.embed(
                            ask.texts,
                            ask.role,
                            long_texts=ask.long_texts,
                            dims=ask.dims,
                            deadline_us=until_us,
                            client=request.client,
                        )
                        async with turn if len(found.vectors) > PIECE else nullcontext():
                            rows = await _rows(found.vectors, ask.kinds)
                            return json_response(dialect.render(ask, found, rows), headers=dialect.headers)
        except SamespaceError as error:
            return refusal(dialect, error)

    return answer


async def _rows(vectors: Float32, kinds: tuple[str, ...]) -> Rows:
    """Vectors as JSON, by number format; many of them a piece at a time, so that others are not held up meanwhile."""
    found: dict[str, list[Any]] = {kind: json_rows(vectors[:PIECE], kind) for kind in kinds}
    if len(vectors) > PIECE:
        for kind in kinds:
            found[kind] = await _in_pieces(vectors, kind)
    return found


async def _in_pieces(vectors: Float32, kind: str) -> list[orjson.Fragment]:
    rows: list[orjson.Fragment] = []
    for start in range(0, len(vectors), PIECE):
        piece = json_rows(vectors[start : start + PIECE], kind)
        rows += [orjson.Fragment(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)) for row in piece]
        await asyncio.sleep(0)
    return rows


def _role(request: Request) -> Role | None:
    return next((role for role in ROLES if role == request.role), None)


def _named_engine(spaces: Spaces, engine: AnyEngine | None, named: str | None) -> AnyEngine:
    """The path's engine, which must be the one that the body names, if it names one; without either the default."""
    if engine is None:
        return spaces.find(named)
    if named is not None and not engine.space_id.startswith(named):
        raise SpaceMismatch(expected=named, found=engine.space_id, where="model (the path names the other space)")
    return engine


def parent_of(request: Request) -> Parent:
    """The trace that a request is part of."""
    traceparent = request.headers.get(b"traceparent")
    if traceparent is None:
        return NO_PARENT
    return Parent(traceparent.decode("latin-1"), request.headers.get(b"tracestate", b"").decode("latin-1") or None)


def refusal(dialect: Dialect | RerankDialect, error: SamespaceError) -> Response:
    """The error's body and status; what may be tried again says so in the way that the dialect's clients read."""
    without_past(error)
    status, message = status_of(error).http, str(error)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, SpaceMismatch | UnknownSpace | UnknownReranker | WrongKind):
        status = dialect.space_status
    elif isinstance(error, Overloaded | ServerUnavailable):
        message = f"{dialect.retry_words}{message}"
        # Spread, so that those who were refused together do not come back together.
        retry_ms = int((error.retry_after_ms if isinstance(error, Overloaded) else 1000) * uniform(1, 1.5))
        headers = ((b"retry-after", b"%d" % -(-retry_ms // 1000)), (b"retry-after-ms", b"%d" % retry_ms))
        status = dialect.busy_status if isinstance(error, Overloaded) else 503
    return json_response(dialect.render_error(message, error), status=status, headers=headers)


def deadline_us(timeout_ms: bytes | None) -> int | None:
    """When the client stops waiting, by its header x-timeout-ms."""
    if timeout_ms is None:
        return None
    if not timeout_ms.isdigit() or len(timeout_ms) > 9:
        raise RequestInvalid(field="x-timeout-ms", reason="expected milliseconds, digits alone")
    return now_us() + int(timeout_ms) * 1000


# -- health, metrics


def _live(spaces: Spaces) -> Work:
    async def answer(request: Request) -> Response:
        return Response(204 if spaces.live else 503)

    return answer


def _ready(spaces: Spaces, tells: Callable[[Request], bool], *, status: int = 204) -> Work:
    """*tells*: whether a request may learn what is served; probes bring no token."""

    async def answer(request: Request) -> Response:
        try:
            if request.space is None or spaces.state == "loading":
                ready = spaces.ready
            else:
                ready = spaces.is_ready(spaces.served(request.space))
        except SamespaceError as error:
            if tells(request):
                return flat_refusal(error)
            told = "no such space here, or its digits fit several; what is served is told to who has a token"
            return _plain(request, status_of(error).http, told)
        return Response(status if ready else 503)

    return answer


def flat_refusal(error: SamespaceError) -> Response:
    """An error of a route that no dialect has."""
    without_past(error)
    return json_response(flat_error(str(error), error), status=status_of(error).http)


def _parts(path: str) -> list[str]:
    """Empty ones are left out: the Python client makes "//v2/embed" of a bare base URL, and some add a slash."""
    return [part for part in path.split("/") if part]


def _authorization(request: Request) -> bytes | None:
    """What tells who asks: `Authorization`, or Azure's `api-key`."""
    key = request.headers.get(b"api-key")
    return request.headers.get(b"authorization") or (None if key is None else b"Bearer " + key)


def _plain(request: Request, status: int, message: str, *headers: tuple[bytes, bytes]) -> Response:
    return json_response(error_body(message, "http", request.target), status=status, headers=headers)
