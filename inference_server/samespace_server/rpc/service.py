"""The gRPC side: `samespace.v1.Encoder`, with health and reflection. Thin; the work is the engine's.

A stream is answered in order while a few of its next messages are already being worked on; then it is read no
further, and HTTP/2's flow control makes the sender wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from samespace.errors import ConfigInvalid, RequestInvalid
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderServicer, add_EncoderServicer_to_server
from samespace.rpc.v1.reranker_pb2_grpc import add_RerankerServicer_to_server
from samespace.text import LongTexts, Role
from samespace.vectors import Vectors, WireType

from ..observing.observe import Parent, Watch
from ..observing.telemetry import Telemetry
from ..scheduling.engine import Answer, now_us
from ..security.tls import ServerTls
from ..security.tokens import Guard
from ..settings import Settings
from ..spaces.registry import AnyEngine, Spaces
from .access import Certificates, RefuseUnknown, bounds, client_of, parent_of
from .calls import ReadWithin
from .floods import FloodGuard
from .health import Health
from .reading import Reads, size_of
from .reranking import SERVICE as RERANKER
from .reranking import RerankerService
from .sockets import Sockets
from .unread import UnreadAnswers, UnreadOfStream

SERVICE: Final = "samespace.v1.Encoder"
READ_AHEAD: Final = 4
"""Messages of one stream that are worked on at a time: enough to keep the model fed while answers travel."""
MAX_CONNECTION_AGE_MS: Final = 300_000

ROLES: Final[dict[int, Role]] = {pb.ROLE_QUERY: "query", pb.ROLE_PASSAGE: "passage"}
LONG_TEXTS: Final[dict[int, LongTexts]] = {
    pb.LONG_TEXTS_POOL: "pool",
    pb.LONG_TEXTS_WINDOWS: "windows",
    pb.LONG_TEXTS_SLICES: "slices",
    pb.LONG_TEXTS_REJECT: "reject",
}
WIRE_TYPES: Final[dict[int, WireType]] = {pb.VECTOR_TYPE_FLOAT32: "float32", pb.VECTOR_TYPE_FLOAT16: "float16"}


class OpenStreams:
    """How many streams are open, and when the last one has really ended.

    A sender hears of the end only after its next messages are on their way. If the connection were closed with these
    unread, TCP would throw away answers that the sender has not read yet; so the end is only over a moment later.
    """

    SETTLE_MS: Final = 200

    def __init__(self, telemetry: Telemetry) -> None:
        self._open, self._gauge = 0, telemetry.streams
        self._settled = asyncio.Event()
        self._settled.set()

    def began(self) -> None:
        """One more."""
        self._open += 1
        self._gauge.inc()
        self._settled.clear()

    def ended(self) -> None:
        """One less."""
        self._open -= 1
        self._gauge.dec()
        if self._open == 0:
            asyncio.get_running_loop().call_later(self.SETTLE_MS / 1000, self._settle)

    async def settled(self) -> None:
        """Return when none is open, and none was a moment ago."""
        await self._settled.wait()

    def _settle(self) -> None:
        if self._open == 0:
            self._settled.set()


class EncoderService(EncoderServicer):
    """The contract's four calls over the server's spaces."""

    def __init__(
        self, spaces: Spaces, watch: Watch, telemetry: Telemetry, held: tuple[Reads, UnreadAnswers], guard: Guard
    ) -> None:
        """*held* counts what came and what is to go."""
        self._spaces, self._watch, self.streams = spaces, watch, OpenStreams(telemetry)
        (self._reads, self._answers), self._guard = held, guard
        self._numbers = count(1)

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedReply:  # noqa: N802 - the contract's name
        """One list of texts."""
        left_s = context.time_remaining()
        deadline_us = None if left_s is None else now_us() + int(left_s * 1e6)
        client = client_of(self._guard, context.invocation_metadata(), context.peer())
        with self._reads.texts(request.texts):
            return await self._answer(request, "Embed", parent_of(context), client, deadline_us=deadline_us)

    async def EmbedStream(self, requests: AsyncIterator[pb.EmbedRequest], context: Any) -> None:  # noqa: N802
        """Many lists of texts, answered in order; the first failure ends the stream."""
        answers: asyncio.Queue[asyncio.Task[pb.EmbedReply] | None] = asyncio.Queue()
        slots = asyncio.Semaphore(READ_AHEAD)
        parent = parent_of(context)
        client = client_of(self._guard, context.invocation_metadata(), context.peer())
        number, unread = next(self._numbers), UnreadOfStream(self._answers, context.peer(), client)

        async def read() -> None:
            await slots.acquire()  # before it is read: what is not asked for yet waits at the sender's
            async for request in requests:
                size = _held_bytes(request)
                self._reads.budget.hold(size)
                answer = asyncio.create_task(self._answer(request, "EmbedStream", parent, client, stream=number))
                answer.add_done_callback(partial(self._release, size))
                answer.add_done_callback(unread.made)
                answers.put_nowait(answer)
                del request, answer
                await slots.acquire()
            answers.put_nowait(None)

        async def refuse() -> pb.EmbedReply:
            self._spaces.check_not_draining()
            raise AssertionError("asked only when the server drains")

        async def shut() -> None:
            await self._spaces.draining()
            answers.put_nowait(asyncio.create_task(refuse()))  # behind what was accepted

        reader, shutter = asyncio.create_task(read()), asyncio.create_task(shut())
        reader.add_done_callback(lambda _: answers.put_nowait(None))  # also where reading fails
        task: asyncio.Task[pb.EmbedReply] | None = None
        self.streams.began()
        try:
            while (task := await answers.get()) is not None:
                await context.write(await task)
                unread.sent(task)
                slots.release()
            await reader
        finally:
            self.streams.ended()
            unread.close()
            reader.cancel()
            shutter.cancel()
            while task is not None or not answers.empty():
                if task is not None:
                    task.cancel()
                task = None if answers.empty() else answers.get_nowait()

    def _release(self, size: int, _: object) -> None:
        self._reads.release(size)

    async def GetSpace(self, request: pb.GetSpaceRequest, context: Any) -> pb.Space:  # noqa: N802
        """One space."""
        return space_message(self._spaces.find(request.space_id))

    async def ListSpaces(self, request: pb.ListSpacesRequest, context: Any) -> pb.ListSpacesReply:  # noqa: N802
        """Every space that is served."""
        return pb.ListSpacesReply(spaces=[space_message(engine) for engine in self._spaces])

    async def _answer(
        self,
        request: pb.EmbedRequest,
        route: str,
        parent: Parent,
        client: str,
        *,
        stream: int = 0,
        deadline_us: int | None = None,
    ) -> pb.EmbedReply:
        with self._watch.request(route, parent) as seen:
            engine = self._spaces.find(request.space_id)
            seen.space_id = engine.space_id
            with self._spaces.request(engine):
                role = _known(ROLES, request.role, "role", "ROLE_QUERY or ROLE_PASSAGE")
                long_texts = _known(LONG_TEXTS, request.long_texts, "long_texts", "POOL, WINDOWS, SLICES or REJECT")
                wire_type = _known(WIRE_TYPES, request.vector_type, "vector_type", "FLOAT32 or FLOAT16")
                texts = list(request.texts)
                async with self._spaces.room(engine, texts, client, deadline_us):
                    seen.answer = await engine.embed(
                        texts,
                        role,
                        long_texts=long_texts,
                        dims=request.dims or None,
                        stream=stream,
                        deadline_us=deadline_us,
                        client=client,
                    )
                    return _reply(request, seen.answer, wire_type)


class GrpcServer:
    """The gRPC server with its health service."""

    def __init__(
        self,
        spaces: Spaces,
        watch: Watch,
        telemetry: Telemetry,
        settings: Settings,
        access: tuple[Guard, ServerTls | None],
    ) -> None:
        """Not listening yet; *access* is who is let in, and over what."""
        guard, tls = access
        self._certificates = None if tls is None else Certificates(tls)
        message_bytes = settings.limits.max_request_bytes
        sockets = Sockets()
        reads = Reads(settings.http, message_bytes, refused=telemetry.refuse_message, received=sockets.received)
        telemetry.watch_messages(lambda: reads.budget.held_bytes)
        self._floods = FloodGuard(sockets, reads, message_bytes, refused=telemetry.refuse_message)
        answers = UnreadAnswers(settings.http, sockets, refused=telemetry.refuse_message)
        within = ReadWithin(reads, answers, guard, settings.limits.max_texts_per_request)
        self._server = grpc.aio.server(
            interceptors=(*((RefuseUnknown(guard),) if guard.tokens else ()), within),
            options=(
                *bounds(settings.http, message_bytes),
                ("grpc.keepalive_permit_without_calls", 1),
                # Clients look up a name again when a connection ends: without this, replicas that were added would
                # stay idle. Calls under way end in peace, however long they take; others move to a new connection.
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
            ),
        )
        service = EncoderService(spaces, watch, telemetry, (reads, answers), guard)
        self._streams = service.streams
        add_EncoderServicer_to_server(service, self._server)  # type: ignore[no-untyped-call]
        add_RerankerServicer_to_server(RerankerService(spaces, watch, reads, guard), self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(Health(spaces, SERVICE, RERANKER), self._server)
        reflection.enable_server_reflection(
            (SERVICE, RERANKER, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it came to be. Raises `ConfigInvalid` where it is taken."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int
            if self._certificates is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise ConfigInvalid(key="grpc_port", reason=f"cannot listen on {host}:{port}; is it taken?") from error
        await self._server.start()
        self._floods.watch(bound)
        return bound

    def use_tls(self, tls: ServerTls) -> None:
        """Let connections from now on use *tls*; those that are open stay as they are."""
        if self._certificates is not None:
            self._certificates.use(tls)

    async def stop(self, grace_ms: int) -> None:
        """Let streams end, send GOAWAY, take no more calls, and give those under way *grace_ms*.

        May be called again, with less patience.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._streams.settled(), grace_ms / 1000)
        await self._server.stop(grace_ms / 1000)
        self._floods.close()


def _held_bytes(request: pb.EmbedRequest) -> int:
    """Of a message that waits: the message, and its texts, which take up to four times as much once more."""
    return int(request.ByteSize()) + size_of(request.texts)


def _known(known: dict[int, Any], code: int, field: str, expected: str) -> Any:
    if code not in known:
        raise RequestInvalid(field=field, reason=f"{code}; expected {expected}")
    return known[code]


def _reply(request: pb.EmbedRequest, answer: Answer, wire_type: WireType) -> pb.EmbedReply:
    embedded, timings = answer.embedded, answer.timings
    by_window = request.long_texts in (pb.LONG_TEXTS_WINDOWS, pb.LONG_TEXTS_SLICES)
    return pb.EmbedReply(
        space_id=answer.space_id,
        rows=answer.vectors.shape[0],
        dims=answer.vectors.shape[1],
        vector_type=request.vector_type,
        vectors=Vectors(answer.vectors, answer.space_id).to_bytes(wire_type),
        texts=[
            pb.TextInfo(tokens=tokens, windows=windows)
            for tokens, windows in zip(embedded.tokens, embedded.windows, strict=True)
        ],
        spans=[pb.Span(text=text, start=start, end=end) for text, start, end in embedded.spans] if by_window else [],
        timings=pb.Timings(tokenize_us=timings.tokenize_us, queue_us=timings.queue_us, run_us=timings.run_us),
        sequence=request.sequence,
    )


def space_message(engine: AnyEngine) -> pb.Space:
    """A space as the contract tells of it."""
    loaded = engine.loaded
    artifact = loaded.artifact
    return pb.Space(
        space_id=engine.space_id,
        name=artifact.manifest.name,
        dims=engine.dims,
        matryoshka_dims=artifact.manifest.matryoshka_dims,
        token_limit=artifact.token_limit,
        window_overlap=0 if artifact.parts else artifact.recipe.window_overlap,
        prompts=dict(artifact.prompts),
        build=loaded.build_name,
        runtime=loaded.runtime,
        precision=loaded.precision,
        probe_worst=loaded.worst,
        probe_bound=loaded.bound,
    )
