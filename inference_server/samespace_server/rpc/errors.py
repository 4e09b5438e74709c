"""How errors go out over gRPC, also of messages that cannot even be read.

gRPC's server says UNKNOWN, and logs a traceback, where a message is no protobuf or a string in it no UTF-8. That is
the caller's fault and not a bug, so it goes out as `RequestInvalid` like any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from samespace.errors import Overloaded, RequestInvalid, SamespaceError
from samespace.rpc.status import ERROR_KEY, RETRY_KEY, encode, status_of

_OURS: Final = "/samespace."


async def abort(context: Any, error: SamespaceError) -> NoReturn:
    """End a call with *error*: its code, its message, and its fields for `rpc.status`."""
    trailing: list[tuple[str, str | bytes]] = [(ERROR_KEY, encode(error))]
    if isinstance(error, Overloaded):
        trailing.append((RETRY_KEY, str(error.retry_after_ms)))
    await context.abort(grpc.StatusCode[status_of(error).grpc], str(error)[:2000], tuple(trailing))
    raise AssertionError("abort raises")


class RefuseMalformed(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets our services see only messages that could be read. Others' services (health, reflection) are left alone."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, made to refuse."""
        handler = await continuation(details)
        if handler is None or not details.method.startswith(_OURS):
            return handler
        read = _reader(handler.request_deserializer)
        if handler.unary_unary is not None:
            return handler._replace(request_deserializer=read, unary_unary=_refusing_one(handler.unary_unary))
        if handler.stream_stream is not None:
            return handler._replace(request_deserializer=read, stream_stream=_refusing_each(handler.stream_stream))
        return handler


@dataclass(frozen=True, slots=True)
class _Malformed:
    reason: str


def _reader(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _Malformed(str(error)[:200])

    return read


def _checked(request: Any) -> Any:
    if isinstance(request, _Malformed):
        raise RequestInvalid(field="request", reason=request.reason)
    return request


def _refusing_one(behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            _checked(request)
        except RequestInvalid as error:
            await abort(context, error)
        return await behaviour(request, context)

    return answer


def _refusing_each(behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """The service gets `RequestInvalid` from its iterator, in its turn: what came before is answered first."""

    async def checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            yield _checked(request)

    async def answer(requests: AsyncIterator[Any], context: Any) -> Any:
        return await behaviour(checked(requests), context)

    return answer
