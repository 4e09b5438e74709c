"""The client against a scripted server: what it refuses to pass on, and how errors come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from samespace.errors import (
    DeadlineExceeded,
    RequestInvalid,
    SamespaceError,
    ServerUnavailable,
    SpaceMismatch,
    UnknownSpace,
)
from samespace.rpc.client import Client
from samespace.rpc.status import ERROR_KEY, encode
from samespace.rpc.v1 import encoder_pb2 as pb
from samespace.rpc.v1.encoder_pb2_grpc import EncoderServicer, add_EncoderServicer_to_server

SPACE, OTHER = "a" * 64, "b" * 64
DIMS = 4


def honest(request: pb.EmbedRequest) -> pb.EmbedReply:
    """What a right server answers: one unit row a text."""
    rows = np.tile(np.eye(1, DIMS, dtype="<f4"), (len(request.texts), 1))
    return pb.EmbedReply(
        space_id=SPACE,
        rows=len(rows),
        dims=DIMS,
        vectors=rows.tobytes(),
        texts=[pb.TextInfo(tokens=3, windows=1) for _ in request.texts],
        sequence=request.sequence,
    )


class Scripted(EncoderServicer):
    """Answers with what it was told to."""

    def __init__(self, answer: Callable[[pb.EmbedRequest], pb.EmbedReply], served: tuple[str, ...]) -> None:
        self.answer, self.served = answer, served

    def Embed(self, request: Any, context: Any) -> Any:
        try:
            return self.answer(request)
        except SamespaceError as error:
            context.set_trailing_metadata(((ERROR_KEY, encode(error)),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def EmbedStream(self, requests: Any, context: Any) -> Any:
        for request in requests:
            yield self.answer(request)

    def ListSpaces(self, request: Any, context: Any) -> Any:
        return pb.ListSpacesReply(spaces=[pb.Space(space_id=each, dims=DIMS) for each in self.served])

    def GetSpace(self, request: Any, context: Any) -> Any:
        return pb.Space(space_id=self.served[0], dims=DIMS)


@contextmanager
def client_of(
    answer: Callable[[pb.EmbedRequest], pb.EmbedReply] = honest,
    *,
    served: tuple[str, ...] = (SPACE,),
    timeout_ms: int = 10_000,
) -> Iterator[Client]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_EncoderServicer_to_server(Scripted(answer, served), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}", timeout_ms=timeout_ms) as client:
            yield client
    finally:
        server.stop(None).wait()


def altered(**fields: Any) -> Callable[[pb.EmbedRequest], pb.EmbedReply]:
    """An honest answer with some fields changed."""

    def answer(request: pb.EmbedRequest) -> pb.EmbedReply:
        reply = honest(request)
        reply.MergeFrom(pb.EmbedReply(**fields))
        return reply

    return answer


def test_an_honest_answer_comes_through() -> None:
    """Vectors carry the space, and each text its counts and its span."""
    with client_of() as client:
        reply = client.embed(SPACE, "query", ["one", "three"])
    assert reply.vectors.space_id == SPACE
    assert reply.vectors.shape == (2, DIMS)
    assert (reply.tokens, reply.windows, reply.spans) == ((3, 3), (1, 1), ((0, 0, 3), (1, 0, 5)))


def test_an_answer_of_another_space_is_refused() -> None:
    """A server that answers with another space's vectors is caught by the client, with both ids."""
    with client_of(altered(space_id=OTHER)) as client, pytest.raises(SpaceMismatch) as caught:
        client.embed(SPACE, "query", ["one"])
    assert (caught.value.expected, caught.value.found) == (SPACE, OTHER)


def test_a_space_that_is_asked_by_its_beginning_has_to_begin_so() -> None:
    """The leading digits name a space; an answer has to be of a space that begins with them."""
    with client_of() as client:
        assert client.embed(SPACE[:12], "query", ["one"]).vectors.space_id == SPACE
        with pytest.raises(SpaceMismatch):
            client.embed(OTHER[:12], "query", ["one"])
        with pytest.raises(SpaceMismatch):
            client.get_space(OTHER)


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 5},
        {"dims": 3},
        {"sequence": 9},
        {"texts": [pb.TextInfo(tokens=1, windows=1)]},
        {"spans": [pb.Span()]},
        {"vectors": b"1234"},
        {"vectors": b""},
        {"vectors": np.full((2, DIMS), np.nan, "<f4").tobytes()},
        {"vector_type": pb.VECTOR_TYPE_FLOAT16},
    ],
    ids=["rows", "dims", "sequence", "texts", "spans", "bytes", "no-bytes", "nan", "type"],
)
def test_an_answer_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    """Too few or too many rows, other numbers than announced, NaN: an error, never a wrong vector."""

    def answer(request: pb.EmbedRequest) -> pb.EmbedReply:
        reply = honest(request)
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(reply, name).extend(value)
            else:
                setattr(reply, name, value)
        return reply

    with client_of(answer) as client, pytest.raises(SamespaceError):
        client.embed(SPACE, "query", ["one", "two"])


def test_errors_keep_their_class_and_fields() -> None:
    """What the server raised is what the caller catches."""

    def refuse(request: pb.EmbedRequest) -> pb.EmbedReply:
        raise UnknownSpace(requested=SPACE, served=(OTHER,))

    with client_of(refuse) as client, pytest.raises(UnknownSpace) as caught:
        client.embed(SPACE, "query", ["one"])
    assert (caught.value.requested, caught.value.served) == (SPACE, (OTHER,))


def test_a_space_may_be_left_out_only_where_one_is_served() -> None:
    """There is no "whatever is loaded" among several."""
    with client_of() as client:
        assert client.find_space(None).space_id == SPACE
    with client_of(served=(SPACE, OTHER)) as client, pytest.raises(UnknownSpace) as caught:
        client.find_space(None)
    assert caught.value.served == (SPACE, OTHER)


def test_nobody_there_is_said_with_the_address() -> None:
    """A closed port is `ServerUnavailable`."""
    with Client("127.0.0.1:1") as client, pytest.raises(ServerUnavailable) as caught:
        client.list_spaces()
    assert caught.value.address == "127.0.0.1:1"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_come_ends_in_time(stream: bool) -> None:
    """A server that hangs is `DeadlineExceeded`, for one request and in the middle of a stream."""
    from threading import Event

    over = Event()

    def hang(request: pb.EmbedRequest) -> pb.EmbedReply:
        over.wait(30)
        return honest(request)

    with client_of(hang, timeout_ms=200) as client:
        try:
            with pytest.raises(DeadlineExceeded) as caught:
                if stream:
                    next(client.embed_stream(SPACE, "query", [["one"]]))
                else:
                    client.embed(SPACE, "query", ["one"])
        finally:
            over.set()
    assert caught.value.timeout_ms == 200


def test_a_stream_answers_batch_by_batch() -> None:
    """One reply a batch, in order, also for an empty batch."""
    with client_of() as client:
        replies = list(client.embed_stream(SPACE, "passage", [["a", "b"], [], ["c"]]))
    assert [len(reply.vectors) for reply in replies] == [2, 0, 1]


def test_a_stream_checks_every_answer() -> None:
    """A space that changes in the middle of a stream is caught there."""

    def turns(request: pb.EmbedRequest) -> pb.EmbedReply:
        reply = honest(request)
        reply.space_id = SPACE if request.sequence < 2 else OTHER
        return reply

    with client_of(turns) as client:
        replies = client.embed_stream(SPACE, "passage", [["a"], ["b"], ["c"]])
        assert len([next(replies), next(replies)]) == 2
        with pytest.raises(SpaceMismatch):
            next(replies)


def test_what_the_batches_raise_reaches_the_caller() -> None:
    """An error in the caller's own iterator comes out as itself, not as a cancelled call."""

    def batches() -> Iterator[list[str]]:
        yield ["a"]
        raise KeyError("mine")

    with client_of() as client, pytest.raises(KeyError, match="mine"):
        list(client.embed_stream(SPACE, "passage", batches()))


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": "document"},
        {"texts": "one string"},
        {"texts": ["a", 3]},
        {"texts": ["\ud800"]},
        {"long_texts": "cut"},
        {"dims": 0},
        {"wire_type": "int4"},
    ],
    ids=["role", "string", "number", "surrogate", "long_texts", "dims", "wire"],
)
def test_a_malformed_request_is_not_sent(arguments: dict[str, Any]) -> None:
    """What cannot be right is `RequestInvalid` before anything travels."""
    call: dict[str, Any] = {"role": "query", "texts": ["a"], **arguments}
    with Client("127.0.0.1:1") as client, pytest.raises(RequestInvalid):
        client.embed(SPACE, call.pop("role"), call.pop("texts"), **call)
