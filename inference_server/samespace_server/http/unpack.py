"""What a request's body becomes: unpacked where it is gzip, within the limits of bodies that are not, and in memory.

A few kilobytes unpack to many megabytes. So what comes out is counted among the bytes that are held, as bodies are,
until the request is answered; it is never more than a body may have; and one body is unpacked at a time, because many
at once would have everybody else wait. Texts may take more than the body that they came in: that is counted too.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from samespace.errors import RequestInvalid, SamespaceError

from ..budgets import ByteBudget
from ..memory import without_past
from .bodies import FULL, growth
from .messages import App, Request, Response, Work, error_body, json_response

GZIP: Final = b"gzip"
ENCODINGS: Final = (b"identity", GZIP)
_PIECE: Final = 1 << 18
"""Bytes that are unpacked at a time: a millisecond or so."""
_WBITS: Final = 31  # gzip's header, and nothing else


class _TooLarge(SamespaceError):
    """More than a body may have."""


class _NoRoom(SamespaceError):
    """Too many bytes are held."""


def unpacking(work: Work, app: App, held: ByteBudget, most_bytes: int, turn: asyncio.Lock) -> Work:
    """*work*, for a body that comes in gzip; of those that share *turn*, one is unpacked at a time."""

    async def answer(request: Request) -> Response:
        packed, counted = request.body, [0]
        try:
            async with turn:
                request.body = await _unpacked(packed, held, most_bytes, counted)
            return await work(request)
        except _TooLarge:
            app.refused("body_too_large")
            told = f"body: more than {most_bytes} bytes when unpacked, at most {most_bytes} are taken"
            remedy = "send fewer texts at once, or raise the server's --max-request-bytes"
            return _refusal(request, 413, "body_too_large", f"{told}; {remedy}")
        except _NoRoom:
            return _full(request, app)
        except RequestInvalid as error:
            return _refusal(request, 400, "RequestInvalid", str(without_past(error)))
        finally:
            request.body = packed  # what the connection counts
            held.hold(-counted[0])

    return answer


def in_memory(work: Work, app: App, held: ByteBudget) -> Work:
    """*work* on bodies whose texts are counted as what they take in memory, beside the body; 503 where there is no
    room."""

    async def answer(request: Request) -> Response:
        more = await growth(request.body)
        try:
            return await work(request) if held.hold(more) else _full(request, app)
        finally:
            held.hold(-more)

    return answer


def _full(request: Request, app: App) -> Response:
    app.refused("too_many_bytes")
    return _refusal(request, 503, "too_many_bytes", FULL)


async def _unpacked(packed: bytes, held: ByteBudget, most_bytes: int, counted: list[int]) -> bytes:
    """The bytes of *packed*; *counted* gets what was taken from *held*.

    Raises:
        RequestInvalid: it is no gzip, or not one whole stream.
    """
    stream, found, rest = zlib.decompressobj(_WBITS), bytearray(), packed
    while not stream.eof:
        try:
            piece = stream.decompress(rest, _PIECE)
        except zlib.error as error:
            raise RequestInvalid(field="body", reason=f"not gzip: {error}") from None
        rest = stream.unconsumed_tail
        if not piece and not rest and not stream.eof:
            raise RequestInvalid(field="body", reason="gzip that ends in the middle")
        found += piece
        counted[0] += len(piece)
        fits = held.hold(len(piece))
        if len(found) > most_bytes:
            raise _TooLarge
        if not fits:
            raise _NoRoom
        await asyncio.sleep(0)
    if stream.unused_data:
        raise RequestInvalid(field="body", reason="more bytes after the end of its gzip")
    return bytes(found)


def _refusal(request: Request, status: int, kind: str, message: str) -> Response:
    return json_response(error_body(message, kind, request.target), status=status)
