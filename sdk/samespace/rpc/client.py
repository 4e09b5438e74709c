"""`Client`: a samespace server over gRPC, typed. Checks every reply before anybody sees it.

A reply is refused when it is of another space than the one asked for, when it has another number of vectors
than it has to have, or when a number in it is not finite. Errors come out as samespace's own classes.

What it leaves to others: cutting a corpus into batches (`encoder.RemoteEncoder`), trying again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import grpc

from ..errors import DeadlineExceeded, RequestInvalid, SamespaceError, SpaceMismatch, UnknownSpace
from ..text import LONG_TEXTS, ROLES, LongTexts, Role
from ..vectors import Vectors, WireType
from .status import ERROR_KEY, decode
from .v1 import encoder_pb2 as pb
from .v1.encoder_pb2_grpc import EncoderStub

Answer = TypeVar("Answer")

MAX_REPLY_BYTES: Final = 1 << 30
ROLE_CODES: Final[Mapping[str, pb.Role]] = {"query": pb.ROLE_QUERY, "passage": pb.ROLE_PASSAGE}
LONG_TEXTS_CODES: Final[Mapping[str, pb.LongTexts]] = {
    "pool": pb.LONG_TEXTS_POOL,
    "windows": pb.LONG_TEXTS_WINDOWS,
    "reject": pb.LONG_TEXTS_REJECT,
}
WIRE_TYPE_CODES: Final[Mapping[WireType, pb.VectorType]] = {
    "float32": pb.VECTOR_TYPE_FLOAT32,
    "float16": pb.VECTOR_TYPE_FLOAT16,
}
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    ("grpc.max_send_message_length", -1),  # the server says what is too much
    ("grpc.keepalive_time_ms", 30_000),  # notices a host that vanished in the middle of a stream
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """A space as a server runs it.

    Attributes:
        dims: length of a vector.
        matryoshka_dims: the fewer dims that it offers besides.
        token_limit: longer texts are windowed.
        window_overlap: tokens that neighbouring windows share at least.
        prompts: what is put in front of a text, by role.
        build, runtime, precision: what computes the vectors there.
        probe_worst: largest 1 - cos over the probes on the server's machine, at load.
        probe_bound: what it was allowed to be.
    """

    space_id: str
    name: str
    dims: int
    matryoshka_dims: tuple[int, ...]
    token_limit: int
    window_overlap: int
    prompts: Mapping[str, str]
    build: str
    runtime: str
    precision: str
    probe_worst: float
    probe_bound: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went on the server, in microseconds."""

    tokenize_us: int
    queue_us: int
    run_us: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one list of texts.

    Attributes:
        vectors: one row a text, or one a window where windows were asked for.
        tokens: tokens of each text in one piece.
        windows: how many windows each text had.
        spans: one (text, first character, one past the last) a row.
        timings: where the time went.
    """

    vectors: Vectors
    tokens: tuple[int, ...]
    windows: tuple[int, ...]
    spans: tuple[tuple[int, int, int], ...]
    timings: Timings


class Client:
    """A connection to one server; safe to share between threads. Close it, or use it in a `with`."""

    def __init__(self, address: str, *, timeout_ms: int = 60_000) -> None:
        """Nothing is sent yet.

        Args:
            address: "host:port" of the server's gRPC port.
            timeout_ms: the longest wait for one answer; of a stream, for the next one.
        """
        if timeout_ms < 1:
            raise RequestInvalid(field="timeout_ms", reason=f"{timeout_ms}; expected 1 or more")
        self._address, self._timeout_ms = address, timeout_ms
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = EncoderStub(self._channel)  # type: ignore[no-untyped-call]

    def list_spaces(self) -> tuple[SpaceInfo, ...]:
        """Every space that is served."""
        reply = self._call(self._stub.ListSpaces, pb.ListSpacesRequest())
        return tuple(_space_info(space) for space in reply.spaces)

    def get_space(self, space_id: str) -> SpaceInfo:
        """One space, by full id or at least 12 leading hex digits; raises `UnknownSpace`."""
        info = _space_info(self._call(self._stub.GetSpace, pb.GetSpaceRequest(space_id=space_id)))
        self._check_space(space_id, info.space_id)
        return info

    def find_space(self, space: str | None) -> SpaceInfo:
        """The space that was named, or the only one that is served; raises `UnknownSpace`."""
        if space is not None:
            return self.get_space(space)
        spaces = self.list_spaces()
        if len(spaces) != 1:
            raise UnknownSpace(requested="(none named)", served=tuple(each.space_id for each in spaces))
        return spaces[0]

    def embed(
        self,
        space_id: str,
        role: Role,
        texts: Sequence[str],
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        wire_type: WireType = "float32",
    ) -> Reply:
        """Vectors of *texts*, in one request.

        Raises:
            UnknownSpace: *space_id* is not served there.
            RequestInvalid: the request is malformed, or more than the server takes at once.
            Overloaded: refused early; try again after its `retry_after_ms`.
            DeadlineExceeded: no answer in time.
            ServerUnavailable: nothing answers.
        """
        request = _request(space_id, role, texts, long_texts, dims, wire_type, sequence=0)
        return self._reply(request, self._call(self._stub.Embed, request))

    def embed_stream(
        self,
        space_id: str,
        role: Role,
        batches: Iterable[Sequence[str]],
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        wire_type: WireType = "float32",
    ) -> Iterator[Reply]:
        """One reply a batch, in order, while later batches are on their way.

        The server takes what it can work on and lets the rest wait here: *batches* is read no faster than it is
        answered, apart from a few messages. Raises what `embed` raises, and what *batches* itself raises.
        """
        sent: deque[pb.EmbedRequest] = deque()  # not answered yet; filled by gRPC's thread, emptied here
        failure: list[BaseException] = []

        def requests() -> Iterator[pb.EmbedRequest]:
            try:
                for sequence, texts in enumerate(batches):
                    request = _request(space_id, role, texts, long_texts, dims, wire_type, sequence=sequence)
                    sent.append(request)
                    yield request
            except BaseException as error:
                failure.append(error)  # gRPC would log it and say "cancelled"; the caller gets it as it is
                raise

        call = self._stub.EmbedStream(_Quiet(requests()))
        try:
            while True:
                reply = self._next(call)
                if failure:
                    raise failure[0]
                if reply is None:
                    break
                if not sent:
                    raise SamespaceError(f"server {self._address}: an answer to nothing that was asked")
                yield self._reply(sent.popleft(), reply)
            if sent:
                raise SamespaceError(f"server {self._address}: {len(sent)} batches were not answered")
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: Callable[..., Answer], request: object) -> Answer:
        try:
            return method(request, timeout=self._timeout_ms / 1000)
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def _next(self, call: Any) -> pb.EmbedReply | None:
        """The next message of a stream, None at its end; a watchdog ends a stream that says nothing in time."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            call.cancel()

        watchdog = threading.Timer(self._timeout_ms / 1000, give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            reply: pb.EmbedReply = next(call)
        except StopIteration:
            return None
        except grpc.RpcError as error:
            if late.is_set():
                raise DeadlineExceeded(where=f"server {self._address}", timeout_ms=self._timeout_ms) from error
            raise self._translated(error) from error
        finally:
            watchdog.cancel()
        return reply

    def _translated(self, error: grpc.RpcError) -> SamespaceError:
        trailing = dict(error.trailing_metadata() or ())
        data = trailing.get(ERROR_KEY)
        return decode(
            error.code().name,
            error.details() or "",
            data if isinstance(data, bytes) else None,
            address=self._address,
            timeout_ms=self._timeout_ms,
        )

    def _check_space(self, asked: str, found: str) -> None:
        # The server may be asked by the leading digits; it has to answer with the full id.
        if len(found) != 64 or not found.startswith(asked.lower()):
            raise SpaceMismatch(expected=asked, found=found, where=f"answer of server {self._address}")

    def _reply(self, request: pb.EmbedRequest, reply: pb.EmbedReply) -> Reply:
        """*reply* as values, after it was held against the *request* that it answers."""
        self._check_space(request.space_id, reply.space_id)
        tokens = tuple(info.tokens for info in reply.texts)
        windows = tuple(info.windows for info in reply.texts)
        by_window = request.long_texts == pb.LONG_TEXTS_WINDOWS
        rows = sum(windows) if by_window else len(request.texts)
        wrong = [
            what
            for what, expected, found in (
                ("sequence", request.sequence, reply.sequence),
                ("texts", len(request.texts), len(tokens)),
                ("rows", rows, reply.rows),
                ("spans", rows if by_window else 0, len(reply.spans)),
                ("vector type", request.vector_type, reply.vector_type),
                ("dims", request.dims or reply.dims, reply.dims),
            )
            if expected != found
        ]
        if wrong:
            raise SamespaceError(f"server {self._address}: its answer does not fit the request: {', '.join(wrong)}")
        wire_type: WireType = "float16" if reply.vector_type == pb.VECTOR_TYPE_FLOAT16 else "float32"
        vectors = Vectors.from_bytes(reply.vectors, dims=reply.dims, space_id=reply.space_id, wire_type=wire_type)
        if len(vectors) != rows:
            raise SamespaceError(f"server {self._address}: {len(vectors)} vectors where {rows} were announced")
        if by_window:
            spans = tuple((span.text, span.start, span.end) for span in reply.spans)
        else:
            spans = tuple((index, 0, len(text)) for index, text in enumerate(request.texts))
        timings = Timings(reply.timings.tokenize_us, reply.timings.queue_us, reply.timings.run_us)
        return Reply(vectors, tokens, windows, spans, timings)


class _Quiet:
    """An iterator for gRPC that ends where the wrapped one fails, because gRPC would log a traceback."""

    def __init__(self, requests: Iterator[pb.EmbedRequest]) -> None:
        self._requests = requests

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pb.EmbedRequest:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except BaseException:  # noqa: BLE001 - kept by the generator and raised to the caller
            raise StopIteration from None


def _request(
    space_id: str,
    role: Role,
    texts: Sequence[str],
    long_texts: LongTexts,
    dims: int | None,
    wire_type: WireType,
    *,
    sequence: int,
) -> pb.EmbedRequest:
    if role not in ROLES:
        raise RequestInvalid(field="role", reason=f"{role!r}; expected one of {', '.join(ROLES)}")
    if long_texts not in LONG_TEXTS:
        raise RequestInvalid(field="long_texts", reason=f"{long_texts!r}; expected one of {', '.join(LONG_TEXTS)}")
    if wire_type not in WIRE_TYPE_CODES:
        raise RequestInvalid(field="wire_type", reason=f"{wire_type!r}; expected float32 or float16")
    if isinstance(texts, str):
        raise RequestInvalid(field="texts", reason="expected a list of strings, got one string")
    if dims is not None and dims < 1:
        raise RequestInvalid(field="dims", reason=f"{dims}; expected 1 or more")
    try:
        return pb.EmbedRequest(
            space_id=space_id,
            role=ROLE_CODES[role],
            texts=texts,
            long_texts=LONG_TEXTS_CODES[long_texts],
            vector_type=WIRE_TYPE_CODES[wire_type],
            dims=dims or 0,
            sequence=sequence,
        )
    except (TypeError, ValueError) as error:  # not a string; or a lone surrogate, which UTF-8 cannot carry
        raise RequestInvalid(field="texts", reason=str(error)) from error


def _space_info(space: pb.Space) -> SpaceInfo:
    return SpaceInfo(
        space_id=space.space_id,
        name=space.name,
        dims=space.dims,
        matryoshka_dims=tuple(space.matryoshka_dims),
        token_limit=space.token_limit,
        window_overlap=space.window_overlap,
        prompts=dict(space.prompts),
        build=space.build,
        runtime=space.runtime,
        precision=space.precision,
        probe_worst=space.probe_worst,
        probe_bound=space.probe_bound,
    )
