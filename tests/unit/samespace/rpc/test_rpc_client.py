"""The client against a scripted server: what it refuses to pass on, and how errors come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from fakes.server.certificates import Authority, Pem
from samespace.errors import (
    ConfigInvalid,
    DeadlineExceeded,
    Overloaded,
    RequestInvalid,
    SamespaceError,
    ServerUnavailable,
    SpaceMismatch,
    UnknownSpace,
    VectorsDisagree,
)
from samespace.rpc.access import Access, Tls
from samespace.rpc.client import Client
from samespace.rpc.status import ERROR_KEY, encode, status_of
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
        self.tokens: list[str | None] = []

    def Embed(self, request: Any, context: Any) -> Any:
        try:
            return self.answer(request)
        except SamespaceError as error:
            context.set_trailing_metadata(((ERROR_KEY, encode(error)),))
            context.abort(grpc.StatusCode[status_of(error).grpc], str(error))

    def EmbedStream(self, requests: Any, context: Any) -> Any:
        for request in requests:
            try:
                yield self.answer(request)
            except SamespaceError as error:
                context.set_trailing_metadata(((ERROR_KEY, encode(error)),))
                context.abort(grpc.StatusCode[status_of(error).grpc], str(error))

    def ListSpaces(self, request: Any, context: Any) -> Any:
        return pb.ListSpacesReply(spaces=[pb.Space(space_id=each, dims=DIMS) for each in self.served])

    def GetSpace(self, request: Any, context: Any) -> Any:
        self.tokens.append(dict(context.invocation_metadata()).get("authorization"))
        return pb.Space(space_id=self.served[0], dims=DIMS)


@contextmanager
def scripted(servicer: Scripted, credentials: Any = None) -> Iterator[int]:
    """A server on a free port."""
    server = grpc.server(ThreadPoolExecutor(4))
    add_EncoderServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextmanager
def client_of(
    answer: Callable[[pb.EmbedRequest], pb.EmbedReply] = honest,
    *,
    served: tuple[str, ...] = (SPACE,),
    timeout_ms: int = 10_000,
) -> Iterator[Client]:
    with scripted(Scripted(answer, served)) as port, Client(f"127.0.0.1:{port}", timeout_ms=timeout_ms) as client:
        yield client


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


@pytest.mark.parametrize("wrong", [3, "\ud800"])
def test_a_malformed_text_is_named_by_its_place(wrong: Any) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(RequestInvalid, match=r"texts\[1\]"):
        client.embed(SPACE, "query", ["a", wrong, "b"])


# -- trying again


class Flaky:
    """An honest server that first fails as often as it was told."""

    def __init__(self, *failures: SamespaceError) -> None:
        self.failures, self.asked = list(failures), []

    def __call__(self, request: pb.EmbedRequest) -> pb.EmbedReply:
        self.asked.append(request.sequence)
        if self.failures:
            raise self.failures.pop(0)
        return honest(request)


LOADING = ServerUnavailable(address="itself", reason="the server is shutting down")
BUSY = Overloaded(queued=2, limit=1, unit="tokens", retry_after_ms=20)


@pytest.mark.parametrize("failure", [LOADING, BUSY], ids=["unavailable", "overloaded"])
def test_a_request_is_sent_again(failure: SamespaceError) -> None:
    """A server that is not there for a moment, or refuses early, is asked again; the caller sees the answer only."""
    server = Flaky(failure, failure)
    with client_of(server) as client:
        assert len(client.embed(SPACE, "query", ["one"]).vectors) == 1
    assert len(server.asked) == 3


def test_what_cannot_be_better_is_asked_once() -> None:
    """A bad request is not tried again."""
    server = Flaky(RequestInvalid(field="texts", reason="bad"))
    with client_of(server) as client, pytest.raises(RequestInvalid):
        client.embed(SPACE, "query", ["one"])
    assert len(server.asked) == 1


def test_a_request_is_not_sent_again_for_ever() -> None:
    """A server that stays overloaded comes out as `Overloaded` when the time is up."""
    with client_of(Flaky(*[BUSY] * 1000), timeout_ms=150) as client, pytest.raises(Overloaded):
        client.embed(SPACE, "query", ["one"])


@pytest.mark.parametrize("failure", [LOADING, BUSY], ids=["unavailable", "overloaded"])
def test_a_broken_stream_goes_on_at_the_first_unanswered_batch(failure: SamespaceError) -> None:
    """What was answered is not asked again, what was not is; the replies are those of an unbroken stream."""

    class Breaks(Flaky):
        def __call__(self, request: pb.EmbedRequest) -> pb.EmbedReply:
            self.asked.append(request.sequence)
            if request.sequence == 3 and self.failures:
                raise self.failures.pop(0)
            return honest(request)

    server = Breaks(failure, failure)
    batches = [["x"] * size for size in (1, 2, 3, 4, 5, 6)]
    with client_of(server) as client:
        replies = list(client.embed_stream(SPACE, "passage", batches))
    assert [len(reply.vectors) for reply in replies] == [1, 2, 3, 4, 5, 6]
    assert server.asked == [0, 1, 2, 3, 3, 3, 4, 5]


# -- replicas


@contextmanager
def client_of_two(
    one: Callable[[pb.EmbedRequest], pb.EmbedReply], other: Callable[[pb.EmbedRequest], pb.EmbedReply]
) -> Iterator[Client]:
    with (
        scripted(Scripted(one, (SPACE,))) as a,
        scripted(Scripted(other, (SPACE,))) as b,
        Client(f"127.0.0.1:{a},127.0.0.1:{b}") as client,
    ):
        yield client


def test_requests_take_turns_over_replicas() -> None:
    """Two servers get half of the requests each, and the bulk of none depends on who was first."""
    one, other = Flaky(), Flaky()
    with client_of_two(one, other) as client:
        for _ in range(10):
            client.embed(SPACE, "query", ["one"])
    assert (len(one.asked), len(other.asked)) == (5, 5)


def test_an_overloaded_replica_is_passed_over_for_one_that_is_not() -> None:
    """While one has asked to be left alone, the other answers, without a pause."""
    busy = Overloaded(queued=2, limit=1, unit="tokens", retry_after_ms=60_000)
    one, other = Flaky(*[busy] * 100), Flaky()
    with client_of_two(one, other) as client:
        for _ in range(10):
            client.embed(SPACE, "query", ["one"])
    assert (len(one.asked), len(other.asked)) == (1, 10)


def test_a_stream_goes_on_at_another_replica() -> None:
    """A replica that goes away in the middle leaves the rest of the stream to the other one."""

    class Dies(Flaky):
        def __call__(self, request: pb.EmbedRequest) -> pb.EmbedReply:
            if request.sequence >= 2:
                raise LOADING
            return super().__call__(request)

    one, other = Dies(), Flaky()
    with client_of_two(one, other) as client:
        streams = [list(client.embed_stream(SPACE, "passage", [["x"]] * 5)) for _ in range(2)]
    assert [len(replies) for replies in streams] == [5, 5]
    assert one.asked == [0, 1]
    assert sorted(other.asked) == [0, 1, 2, 2, 3, 3, 4, 4]


def test_replicas_of_different_spaces_are_refused() -> None:
    """A list in which one serves another space is a mistake that is found before anything is embedded."""
    with scripted(Scripted(honest, (SPACE,))) as a, scripted(Scripted(honest, (OTHER,))) as b:
        for order in ((a, b), (b, a)):
            with Client(",".join(f"127.0.0.1:{port}" for port in order)) as client, pytest.raises(SpaceMismatch):
                client.find_space(None)


@pytest.mark.parametrize(("bound", "disagree"), [(1e-6, True), (0.004, True), (0.02, False)])
def test_replicas_of_one_id_and_two_encoders_are_refused(bound: float, disagree: bool) -> None:
    """Whatever the ids say: 1 - cos of .02 is more than two fp32 builds may differ; two int8 builds may."""
    turned = np.array([[0.98, np.sqrt(1 - 0.98**2), 0, 0]], "<f4")

    def other(request: pb.EmbedRequest) -> pb.EmbedReply:
        reply = honest(request)
        reply.vectors = np.tile(turned, (len(request.texts), 1)).tobytes()
        return reply

    class Bounded(Scripted):
        def GetSpace(self, request: Any, context: Any) -> Any:
            return pb.Space(space_id=SPACE, dims=DIMS, probe_bound=bound)

    with (
        scripted(Bounded(honest, (SPACE,))) as a,
        scripted(Bounded(other, (SPACE,))) as b,
        Client(f"127.0.0.1:{a},127.0.0.1:{b}") as client,
    ):
        if not disagree:
            assert client.find_space(None).space_id == SPACE
            return
        with pytest.raises(VectorsDisagree, match=r"both say space a+: .* 1 - cos is up to 0.02, ") as caught:
            client.find_space(None)
    assert caught.value.worst == pytest.approx(0.02, rel=1e-3)


def test_a_replica_that_has_too_much_to_do_is_not_compared() -> None:
    """It refuses the texts of the check: nobody can say that it disagrees."""

    def busy(request: pb.EmbedRequest) -> pb.EmbedReply:
        raise Overloaded(queued=9, limit=8, unit="texts", retry_after_ms=50)

    with client_of_two(honest, busy) as client:
        assert client.find_space(None).space_id == SPACE


def test_a_replica_that_turns_out_to_serve_another_space_is_an_error() -> None:
    """One that comes back with another artifact is never mixed in: its answer is refused, not passed over."""
    wrong = altered(space_id=OTHER)
    with client_of_two(honest, wrong) as client:
        outcomes = []
        for _ in range(4):
            try:
                outcomes.append(client.embed(SPACE, "query", ["one"]).vectors.space_id)
            except SpaceMismatch as error:
                outcomes.append(error.found)
    assert sorted(outcomes) == [SPACE, SPACE, OTHER, OTHER]


def test_a_replica_that_is_down_is_left_out_at_first_contact() -> None:
    """One of two is enough to begin with."""
    with scripted(Scripted(honest, (SPACE,))) as port, Client(f"127.0.0.1:1,127.0.0.1:{port}") as client:
        assert client.find_space(None).space_id == SPACE


# -- TLS and tokens


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pem(authority: Authority) -> Pem:
    return authority.issue("server")


def credentials(pem: Pem, authority: Authority | None = None) -> Any:
    """A server's own; with an *authority*, it asks clients for a certificate of that."""
    pair = [(pem.key.read_bytes(), pem.certificate.read_bytes())]
    root = None if authority is None else authority.ca.read_bytes()
    return grpc.ssl_server_credentials(pair, root, require_client_auth=authority is not None)


def test_a_token_travels_over_tls(authority: Authority, pem: Pem) -> None:
    """Each request brings it, over a connection that a private authority vouches for."""
    servicer = Scripted(honest, (SPACE,))
    access = Access(tls=Tls.from_files(ca=authority.ca), token="hunter2")
    with scripted(servicer, credentials(pem)) as port, Client(f"localhost:{port}", access=access) as client:
        client.get_space(SPACE)
    assert servicer.tokens == ["Bearer hunter2"]


def test_a_certificate_of_another_authority_or_name_is_refused(authority: Authority, pem: Pem, tmp_path: Path) -> None:
    """Neither public authorities, nor another private one, nor another name will do; no request is sent."""
    servicer = Scripted(honest, (SPACE,))
    stranger = Authority(tmp_path, "stranger")
    with scripted(servicer, credentials(pem)) as port:
        for tls in (Tls(), Tls.from_files(ca=stranger.ca), Tls.from_files(ca=authority.ca, server_name="example.org")):
            with Client(f"localhost:{port}", access=Access(tls=tls)) as client, pytest.raises(ServerUnavailable):
                client.get_space(SPACE)
        with Client(f"localhost:{port}") as client, pytest.raises(ServerUnavailable):
            client.get_space(SPACE)  # in the clear
    assert servicer.tokens == []


def test_a_client_shows_its_certificate_where_it_is_asked(authority: Authority, pem: Pem) -> None:
    """Mutual TLS: with a certificate of the authority the server answers, without one it does not."""
    servicer = Scripted(honest, (SPACE,))
    mine = authority.issue("client")
    with_one = Tls.from_files(ca=authority.ca, certificate=mine.certificate, key=mine.key)
    with scripted(servicer, credentials(pem, authority)) as port:
        with Client(f"localhost:{port}", access=Access(tls=with_one)) as client:
            assert client.get_space(SPACE).space_id == SPACE
        without = Access(tls=Tls.from_files(ca=authority.ca))
        with Client(f"localhost:{port}", access=without) as client, pytest.raises(ServerUnavailable):
            client.get_space(SPACE)


def test_the_scheme_of_an_address_decides_about_tls(authority: Authority) -> None:
    """grpcs:// is over TLS by public authorities without anything else said; grpc:// is in the clear whatever is."""
    with scripted(Scripted(honest, (SPACE,))) as port:
        access = Access(tls=Tls.from_files(ca=authority.ca))
        with Client(f"grpc://localhost:{port}", access=access) as client:
            assert client.get_space(SPACE).space_id == SPACE
        with Client(f"grpcs://localhost:{port}") as client, pytest.raises(ServerUnavailable):
            client.get_space(SPACE)
    with pytest.raises(ConfigInvalid):
        Client("grpc://example.org:1", access=Access(tls=access.tls, token="t"))
