"""Calls as our services see them: messages read within their budgets, errors told by their class.

gRPC's own server reads the whole message of a call before it asks anybody, answers UNKNOWN with a traceback where a
message is no protobuf or a string in it no UTF-8, and keeps what a call held within reach of the error that ended it,
until Python collects cycles. So every handler is wrapped here: it reads by `Reads`, parses what is bounded, and ends
with an error that has no past.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from samespace.errors import RequestInvalid, SamespaceError

from ..memory import without_past
from ..security.tokens import Guard
from .access import OPEN_BYTES, holder_of, is_open
from .errors import abort, end
from .reading import Reads
from .unread import UnreadAnswers
from .wire import check_entries

Parse = Callable[[bytes], Any]
_OTHER_ENTRIES: Final = 64
"""Fields beside the repeated one, those that we do not know included."""
SMALL_BYTES: Final = 1 << 16
"""What a message of this size says is parsed within a few milliseconds, whatever it is."""


class ReadWithin(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets handlers see only messages that came whole, within budget, and could be read."""

    def __init__(self, reads: Reads, answers: UnreadAnswers, guard: Guard, max_repeated: int) -> None:
        """*max_repeated* is how often the one field that is repeated may come."""
        self._reads, self._answers, self._guard = reads, answers, guard
        self._max_entries = max_repeated + _OTHER_ENTRIES

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, wrapped."""
        handler = await continuation(details)
        if handler is None:
            return None
        call = _Calls(self._reads, self._answers, self._parser(handler.request_deserializer), self._guard, details)
        if handler.unary_unary is not None:
            # Declared as a stream of requests, so that gRPC leaves the reading to us; on the wire nothing differs.
            return grpc.stream_unary_rpc_method_handler(
                call.one_to_one(handler.unary_unary), None, handler.response_serializer
            )
        if handler.unary_stream is not None:
            behaviour = call.one_to_many(handler.unary_stream)
        elif handler.stream_stream is not None:
            behaviour = call.many_to_many(handler.stream_stream)
        else:
            raise AssertionError(f"{details.method}: a kind of call that nothing here has")
        return grpc.stream_stream_rpc_method_handler(behaviour, None, handler.response_serializer)

    def _parser(self, parse: Parse) -> Parse:
        def read(data: bytes) -> Any:
            if len(data) > SMALL_BYTES:
                check_entries(data, self._max_entries)
            try:
                return parse(data)
            except (DecodeError, UnicodeDecodeError, RecursionError) as error:
                reason = str(error)[:200]
            self._reads.refused("malformed")
            raise RequestInvalid(field="request", reason=reason)

        return read


class _Calls:
    """The wrapped behaviours of one method, for one call."""

    def __init__(self, reads: Reads, answers: UnreadAnswers, parse: Parse, guard: Guard, details: Any) -> None:
        self._reads, self._answers, self._parse, self._guard, self._details = reads, answers, parse, guard, details

    def one_to_one(self, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def attempt(context: Any) -> tuple[Any, SamespaceError | None]:
            held = 0
            try:
                data = await self._only(context)
                self._reads.hold(len(data))
                held = len(data)
                return await behaviour(self._parse(data), context), None
            except SamespaceError as error:
                return None, without_past(error)
            finally:
                self._reads.release(held)

        async def answer(_: Any, context: Any) -> Any:
            reply, refusal = await attempt(context)
            if refusal is not None:
                await abort(context, refusal)
            peer = context.peer()
            number = self._answers.wait(peer, holder_of(self._guard, self._details, peer), reply.ByteSize())
            context.add_done_callback(lambda _: self._answers.sent(number))
            return reply

        return answer

    def one_to_many(self, behaviour: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[None]]:
        async def attempt(context: Any) -> SamespaceError | None:
            try:
                request = self._parse(await self._only(context))
                async for reply in behaviour(request, context):
                    await context.write(reply)
            except SamespaceError as error:
                return without_past(error)
            return None

        return _ending(attempt)

    def many_to_many(self, behaviour: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[None]]:
        async def requests(context: Any) -> AsyncIterator[Any]:
            holder = holder_of(self._guard, self._details, context.peer())
            while True:
                await self._reads.budget.room()  # until then, HTTP/2's flow control lets the sender wait
                data = await self._reads.read(context, holder, must_come=False)
                if data is None:
                    return
                yield self._parse(data)

        async def attempt(context: Any) -> SamespaceError | None:
            try:
                if inspect.isasyncgenfunction(behaviour):
                    async for reply in behaviour(requests(context), context):
                        await context.write(reply)
                else:
                    await behaviour(requests(context), context)
            except SamespaceError as error:
                return without_past(error)
            return None

        return _ending(attempt)

    async def _only(self, context: Any) -> bytes:
        holder = holder_of(self._guard, self._details, context.peer())
        data = await self._reads.read(context, holder, must_come=True)
        if data is None:
            raise RequestInvalid(field="request", reason="the call ended without a message")
        if is_open(self._details.method) and len(data) > OPEN_BYTES:
            self._reads.refused("message_too_large")
            raise RequestInvalid(field="request", reason=f"{len(data)} bytes, at most {OPEN_BYTES} are taken")
        return data


def _ending(attempt: Callable[[Any], Awaitable[SamespaceError | None]]) -> Callable[[Any, Any], Awaitable[None]]:
    async def answer(_: Any, context: Any) -> None:
        refusal = await attempt(context)
        if refusal is not None:
            end(context, refusal)

    return answer
