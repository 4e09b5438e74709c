"""How errors go out over gRPC: by their class's code, with their fields for `samespace.rpc.status`."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from samespace.errors import Overloaded, SamespaceError
from samespace.rpc.status import ERROR_KEY, RETRY_KEY, encode, status_of


async def abort(context: Any, error: SamespaceError) -> NoReturn:
    """End a call with *error*: its code, its message, and its fields for `rpc.status`."""
    code, message, trailing = _told(error)
    await context.abort(code, message, trailing)
    raise AssertionError("abort raises")


def end(context: Any, error: SamespaceError) -> None:
    """As `abort`, for a call that streams its replies: nothing is raised, and it ends when its handler returns."""
    code, message, trailing = _told(error)
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata(trailing)


def _told(error: SamespaceError) -> tuple[Any, str, tuple[tuple[str, str | bytes], ...]]:
    trailing: list[tuple[str, str | bytes]] = [(ERROR_KEY, encode(error))]
    if isinstance(error, Overloaded):
        trailing.append((RETRY_KEY, str(error.retry_after_ms)))
    return grpc.StatusCode[status_of(error).grpc], str(error)[:2000], tuple(trailing)
