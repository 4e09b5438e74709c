"""The HTTP bridge: Weaviate's routes, OpenAI's, health and metrics; one prefix per space, `/e/{space}`.

A 200 always carries every vector: a body is made only from a finished answer. Whatever else happens is an
error body with an HTTP status from the one table. Bodies are bounded, and texts are never logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from samespace import __version__
from samespace.errors import Overloaded, RequestInvalid, SamespaceError, ServerUnavailable
from samespace.rpc.status import status_of

from .dialects import COHERE, OPENAI, RETRY_WORDS, VECTORS, Body, Dialect, flat_error
from .engine import Answer
from .settings import Limits
from .spaces import AnyEngine, Spaces
from .telemetry import CONTENT_TYPE, Telemetry

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]

_CLIENT_GONE: Final = 499  # nginx's number; nobody reads it
# Weaviate's OpenAI client sends one text at a time until it has read limits like these.
_RATE_LIMITS: Final = {
    f"x-ratelimit-{kind}-{unit}": value
    for unit in ("requests", "tokens")
    for kind, value in (("limit", "1000000000"), ("remaining", "1000000000"), ("reset", "1s"))
}


def http_app(spaces: Spaces, telemetry: Telemetry, limits: Limits) -> Starlette:
    """The ASGI application."""
    routes = []
    for prefix in ("", "/e/{space}"):
        for dialect in (VECTORS, COHERE, OPENAI):
            handler = _embedding(dialect, spaces, telemetry, limits)
            routes.append(Route(f"{prefix}/{dialect.route}", handler, methods=["POST"]))
        routes.append(Route(f"{prefix}/.well-known/live", _live(spaces)))
        routes.append(Route(f"{prefix}/.well-known/ready", _ready(spaces)))
        routes.append(Route(f"{prefix}/meta", _meta(spaces)))
    # A bare base URL comes out of the Python client with a slash at its end.
    routes.append(Route(f"//{COHERE.route}", _embedding(COHERE, spaces, telemetry, limits), methods=["POST"]))
    routes.append(Route("/metrics", _metrics(telemetry)))
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _bug})


def _embedding(dialect: Dialect, spaces: Spaces, telemetry: Telemetry, limits: Limits) -> Handler:
    async def answer(request: Request) -> Response:
        engine: AnyEngine | None = None
        try:
            engine = spaces.find(request.path_params.get("space"))
            with spaces.request(engine):
                body = _object(await _bounded_body(request, limits.max_request_bytes))
                ask = dialect.parse(body, engine.loaded.artifact.role_matters)
                work = engine.embed(ask.texts, ask.role, long_texts=ask.long_texts, dims=ask.dims)
                found: Answer = await _unless_gone(request, work)
                response = _json(dialect.render(ask, found), headers=_RATE_LIMITS if dialect is OPENAI else None)
            outcome = "ok"
        except SamespaceError as error:
            outcome, response = type(error).__name__, _refusal(dialect, error)
        except ClientDisconnect:
            outcome, response = "gone", Response(status_code=_CLIENT_GONE)
        telemetry.answered(None if engine is None else engine.space_id, dialect.route, outcome)
        return response

    return answer


def _refusal(dialect: Dialect, error: SamespaceError) -> Response:
    """The error's body and status; what may be tried again says so in the way that the dialect's clients read."""
    status, message, headers = status_of(error).http, str(error), {}
    if isinstance(error, Overloaded | ServerUnavailable):
        message = f"{RETRY_WORDS}: {message}"
        retry_ms = error.retry_after_ms if isinstance(error, Overloaded) else 1000
        headers["retry-after"] = str(-(-retry_ms // 1000))
        status = dialect.busy_status if isinstance(error, Overloaded) else 503
    return _json(dialect.render_error(message, error), status=status, headers=headers)


# -- bodies


async def _bounded_body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise RequestInvalid(field="body", reason=f"{declared} bytes, at most {limit} are taken")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise RequestInvalid(field="body", reason=f"more than {limit} bytes, which is all that is taken")
        parts.append(part)
    return b"".join(parts)


def _object(body: bytes) -> Body:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestInvalid(field="body", reason=f"not JSON: {error.msg} at byte {error.pos}") from error
    if not isinstance(value, dict):
        raise RequestInvalid(field="body", reason="expected a JSON object")
    return value


def _json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status_code=status, headers=headers, media_type="application/json")


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of *work*, which is cancelled as soon as the client hangs up; raises `ClientDisconnect` then."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    # The body was read to its end, so the next message can only be the disconnect.
    while (await request.receive())["type"] != "http.disconnect":
        pass


# -- health, meta, metrics


def _live(spaces: Spaces) -> Handler:
    async def live(request: Request) -> Response:
        return Response(status_code=204)

    return live


def _ready(spaces: Spaces) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            if "space" not in request.path_params or spaces.state == "loading":
                ready = spaces.ready
            else:
                ready = spaces.is_ready(spaces.find(request.path_params["space"]))
        except SamespaceError as error:
            return _json(flat_error(str(error), error), status=status_of(error).http)
        return Response(status_code=204 if ready else 503)

    return answer


def _meta(spaces: Spaces) -> Handler:
    async def meta(request: Request) -> Response:
        try:
            engines = [spaces.find(request.path_params["space"])] if "space" in request.path_params else list(spaces)
        except SamespaceError as error:
            return _json(flat_error(str(error), error), status=status_of(error).http)
        told = [
            {"space_id": each.space_id, "name": each.loaded.artifact.manifest.name, "dims": each.dims}
            for each in engines
        ]
        return _json({"server": "samespace", "version": __version__, "spaces": told})

    return meta


def _metrics(telemetry: Telemetry) -> Handler:
    async def metrics(request: Request) -> Response:
        return Response(telemetry.render(), headers={"content-type": CONTENT_TYPE})

    return metrics


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    return _json({"error": message, "message": message, "detail": message}, status=error.status_code)


async def _bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the caller learns that it is one, the log gets the traceback."""
    message = f"internal error ({type(error).__name__}); please report it"
    return _json({"error": message, "message": message, "detail": message}, status=500)
