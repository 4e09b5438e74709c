"""The HTTP connection over real sockets: framing, order, limits, deadlines, and clients that are gone."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from fakes.server.http import SPACE, Door, Reader, ask, door, request
from samespace_server.http.connection import HELD_BYTES, SMALL_BODY
from samespace_server.settings import HttpLimits

QUICK = HttpLimits(header_timeout_ms=200, transfer_timeout_ms=200, min_bytes_per_s=1000, keep_alive_ms=400)
CUT_OFF_S = 5  # far above QUICK's deadlines, far below a client's that is not cut off
WAIT = request(body='{"text": "wait"}')


def wait_for(server: Door, condition: str, seconds: float = 20) -> None:
    """Return when the expression over `server` and `engine` is true on the server's loop."""
    deadline = time.monotonic() + seconds
    while not server.run(lambda: eval(condition, {"server": server.server, "engine": server.engine})):
        assert time.monotonic() < deadline, condition


# -- framing


def test_requests_on_one_connection_are_answered_in_order() -> None:
    """A connection is kept, and one request follows the other."""
    with door() as running, running.connect() as sock:
        reader = Reader(sock)
        for text in ("a", "bb", "ccc"):
            sock.sendall(request(body=f'{{"text": "{text}"}}'))
            reply = reader.reply()
            assert reply is not None
            assert (reply.status, reply.json()["text"]) == (200, text)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_pipelined_requests_are_answered_in_order(step: int) -> None:
    """Requests sent ahead, however the bytes are cut, with a refused one among them, come back in their order."""
    sent = b"".join(
        [
            request(body='{"text": "a"}'),
            request("/nowhere", "x" * 30),
            request(f"/e/{SPACE}/vectors", 'd\r\n{"text": "b"}\r\n0\r\nx: y\r\n\r\n', "Transfer-Encoding: chunked"),
            request("/.well-known/live", "", method="GET"),
            request(body='{"text": "c"}'),
        ]
    )
    with door() as running, running.connect() as sock:
        for start in range(0, len(sent), step):
            sock.sendall(sent[start : start + step])
        reader = Reader(sock)
        replies = [reader.reply() for _ in range(5)]
    assert [reply and reply.status for reply in replies] == [200, 404, 200, 204, 200]
    assert [replies[at].json()["text"] for at in (0, 2, 4)] == ["a", "b", "c"]  # type: ignore[union-attr]


def test_what_is_sent_ahead_is_held_and_then_not_read() -> None:
    """While one request waits, the rest of the pipeline costs bounded memory, and all of it is answered later."""
    many = 1000
    with door() as running, running.connect() as sock:
        sock.sendall(WAIT)
        wait_for(running, "engine.asked")
        sock.sendall(request("/.well-known/live", "", "X-Pad: " + "x" * 500, method="GET") * many)
        (connection,) = running.run(lambda: list(running.server._connections))
        deadline = time.monotonic() + 10
        while running.run(connection._transport.is_reading):
            assert time.monotonic() < deadline, "still reading"
        assert connection._inbox.size < 8 * HELD_BYTES
        running.run(running.engine.gate.set)
        reader = Reader(sock)
        replies = [reader.reply() for _ in range(1 + many)]
    assert [reply and reply.status for reply in replies] == [200] + [204] * many


def test_head_gets_the_head_of_get() -> None:
    """HEAD answers with GET's length and no body, and the connection stays in step."""
    with door() as running, running.connect() as sock:
        sock.sendall(request("/meta", "", method="HEAD") + request("/meta", "", method="GET"))
        reader = Reader(sock)
        head, full = reader.reply(head_only=True), reader.reply()
        assert head is not None and full is not None
        assert int(head.headers["content-length"]) == len(full.body) > 0


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"GET /.well-known/live HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"GET /.well-known/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False),
        (b"GET /.well-known/live HTTP/1.0\r\n\r\n", False),
        (b"GET /.well-known/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET http://here/.well-known/live?x=1#y HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"\r\n\r\nGET //.well-known//live/ HTTP/1.1\r\nHost: a\r\n\r\n", True),
    ],
)
def test_connections_are_kept_as_the_client_wants(sent: bytes, kept: bool) -> None:
    """HTTP/1.1 keeps, HTTP/1.0 and `Connection: close` do not; targets come in their several forms."""
    with door() as running, running.connect() as sock:
        sock.sendall(sent)
        reader = Reader(sock)
        reply = reader.reply()
        assert reply is not None and reply.status == 204
        assert ("connection" in reply.headers) is not kept
        if kept:
            sock.sendall(request("/.well-known/live", "", method="GET"))
            assert reader.reply() is not None
        else:
            assert reader.at_end()


def test_an_offer_to_upgrade_is_not_taken() -> None:
    """A POST with `Upgrade: h2c`, which is Java's first request, is answered as HTTP/1.1, body and all."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    sent = request(f"/e/{SPACE}/vectors", '{"text": "a"}', *offer)
    with door() as running:
        for reply in ask(running.port, sent * 300, replies=300):
            assert reply is not None and reply.status == 200


def test_a_body_may_wait_for_100_continue() -> None:
    """The server asks for the body, unless the head alone is enough to refuse it."""
    body = b'{"text": "a"}'
    with door() as running, running.connect() as sock:
        whole = request(f"/e/{SPACE}/vectors", body, "Expect: 100-continue")
        sock.sendall(whole[: -len(body)])
        reader = Reader(sock)
        asked = reader.reply()
        assert asked is not None and asked.status == 100
        sock.sendall(body)
        reply = reader.reply()
        assert reply is not None and reply.status == 200
    with door() as running:
        for path, header, status in (
            ("/nowhere", "Expect: 100-continue", 404),
            (f"/e/{SPACE}/vectors", "Expect: 200-maybe", 417),
        ):
            (reply,) = ask(running.port, request(path, body, header)[: -len(body)])
            assert reply is not None and reply.status == status


# -- refusals


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "malformed"),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 421, "http"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "malformed"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00\r\n\r\n", 400, "malformed"),
        (request("/vectors", "x", "Content-Length: -1"), 400, "malformed"),
        (request("/vectors", "x", "Content-Length: 1", "Content-Length: 2"), 400, "malformed"),
        (request("/vectors", "x", "Content-Length: 99999999999999999999"), 400, "malformed"),
        (request("/vectors", "0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "malformed"),
        (request("/vectors", "0\r\n\r\n", "Transfer-Encoding: chunked, gzip"), 400, "malformed"),
        (request("/vectors", "zz\r\nhello", "Transfer-Encoding: chunked"), 400, "malformed"),
        (request("/vectors", "x", "Content-Encoding: br"), 415, "content_encoding"),
        (request("/" + "x" * 3000), 414, "target_too_long"),
        (request("/vectors", "x", *[f"X-{index}: y" for index in range(200)]), 431, "head_too_large"),
        (request("/vectors", "x", "Cookie: " + "y" * 20_000), 431, "head_too_large"),
        (request("/vectors", "x", "Content-Length: 2000000"), 413, "body_too_large"),
        (b"CONNECT here:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "malformed"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "http"),
        (request("/vectors", "", method="GET"), 405, "http"),
        (request("/vectors", "", method="DELETE"), 405, "http"),
        (request("/metrics"), 405, "http"),
    ],
)
def test_what_is_no_request_is_refused_by_name(sent: bytes, status: int, reason: str) -> None:
    """A 4xx (505 for another HTTP) with the three keys and the reason's name; and the next client is served."""
    with door() as running:
        (reply,) = ask(running.port, sent)
        assert reply is not None
        assert (reply.status, reply.json()["type"]) == (status, reason)
        assert reply.json().keys() >= {"error", "message", "detail"}
        if reason != "http":
            assert reply.headers["connection"] == "close"
            assert running.refused(reason) == 1
        (served,) = ask(running.port, request())
        assert served is not None and served.status == 200


def test_a_head_that_never_ends_is_cut_before_its_deadline() -> None:
    """A single header line that goes on and on is refused when it is above the limit, not when time is up."""
    with door(HttpLimits(header_timeout_ms=600_000)) as running, running.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(400):
            sock.sendall(b"y" * 1000)
        reply = Reader(sock).reply()
        assert reply is not None
        assert (reply.status, reply.json()["type"]) == (431, "head_too_large")


@pytest.mark.parametrize(
    ("first", "chunk"), [(b"", b"1;" + b"x" * 500 + b"\r\ny\r\n"), (b"0\r\n", b"x: " + b"y" * 500 + b"\r\n")]
)
def test_chunks_that_are_mostly_wrapping_are_cut(first: bytes, chunk: bytes) -> None:
    """Chunk extensions and trailers without end are refused by their size."""
    with door(HttpLimits(transfer_timeout_ms=600_000)) as running, running.connect() as sock:
        sock.sendall(request(f"/e/{SPACE}/vectors", first, "Transfer-Encoding: chunked"))
        for _ in range(1000):
            sock.sendall(chunk)
        reply = Reader(sock).reply()
        assert reply is not None
        assert (reply.status, reply.json()["type"]) == (400, "malformed")


def test_a_refused_body_that_is_small_does_not_cost_the_connection() -> None:
    """After a 404 with a body the connection goes on; a large body is not read, and the client reads why."""
    with door() as running, running.connect() as sock:
        reader = Reader(sock)
        sock.sendall(request("/nowhere", "x" * SMALL_BODY) + request())
        first, second = reader.reply(), reader.reply()
        assert first is not None and second is not None
        assert (first.status, second.status) == (404, 200)
        sock.sendall(request("/nowhere", "x" * 900_000))
        third = reader.reply()
        assert third is not None
        assert (third.status, third.headers["connection"]) == (404, "close")


def test_a_body_above_the_limit_is_refused_where_its_length_was_not_told() -> None:
    """Chunks are counted; the refusal can be read although the client is still sending."""
    with door(max_body_bytes=10_000) as running, running.connect() as sock:
        sock.sendall(request(f"/e/{SPACE}/vectors", b"", "Transfer-Encoding: chunked"))
        sock.sendall((b"1000\r\n" + b"x" * 0x1000 + b"\r\n") * 20)
        reply = Reader(sock).reply()
        assert reply is not None
        assert (reply.status, reply.json()["type"]) == (413, "body_too_large")
        wait_for(running, "server.held.held_bytes == 0")


def test_bodies_of_all_connections_together_are_bounded() -> None:
    """When too many bytes are being received, one more is refused with 503, and the others go on."""
    limits = HttpLimits(max_held_bytes=10_000)
    body = b'{"text": "' + b"x" * 6000 + b'"}'
    with door(limits) as running, running.connect() as slow:
        slow.sendall(request(body=body)[:-1])
        wait_for(running, "server.held.held_bytes > 5000")
        (reply,) = ask(running.port, request(body=body))
        assert reply is not None
        assert (reply.status, reply.json()["type"]) == (503, "too_many_bytes")
        slow.sendall(b"}")
        served = Reader(slow).reply()
        assert served is not None and served.status == 200
        wait_for(running, "server.held.held_bytes == 0")


def test_connections_are_bounded() -> None:
    """One more than the limit is told so and closed where all are busy, unless it is a probe; there is room again."""
    with door(HttpLimits(max_connections=2)) as running, running.connect() as one:
        with running.connect() as two:
            for sock in (one, two):
                sock.sendall(request(body='{"text": "a"}')[:-1])
            wait_for(running, "server.open_connections == 2")
            wait_for(running, "server.held.held_bytes == 24")
            for path, status in ((f"/e/{SPACE}/vectors", 503), ("/.well-known/live", 204)):
                with running.connect() as three:
                    reader = Reader(three)
                    three.sendall(request(path, "", method="POST" if status == 503 else "GET"))
                    reply = reader.reply()
                    assert reply is not None and reply.status == status
                    assert reader.at_end()
            assert running.refused("too_many_connections") == 1
        wait_for(running, "server.open_connections == 1")
        (again,) = ask(running.port, request())
        assert again is not None and again.status == 200


def test_an_idle_connection_makes_room() -> None:
    """Of the client that has most of them, the one that is idle for longest; those that send something stay."""
    with door(HttpLimits(max_connections=3)) as running, running.connect() as busy:
        busy.sendall(request()[:-1])
        wait_for(running, "server.held.held_bytes > 0")
        with running.connect() as first, running.connect() as second:
            for sock in (first, second):
                sock.sendall(request())
                served = Reader(sock).reply()
                assert served is not None and served.status == 200
            (reply,) = ask(running.port, request())
            assert reply is not None and reply.status == 200
            assert Reader(first).at_end()
            assert running.refused("idle") == 1
            second.sendall(request())
            again = Reader(second).reply()
            assert again is not None and again.status == 200
        busy.sendall(b"}")
        served = Reader(busy).reply()
        assert served is not None and served.status == 200


# -- slow clients


DRIPPING = [
    ("head", b"GET /", 408, "header_timeout"),
    ("header", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", 408, "header_timeout"),
    ("body", request(f"/e/{SPACE}/vectors", b"", "Content-Length: 100000"), 408, "body_timeout"),
    ("chunk", request(f"/e/{SPACE}/vectors", b"400\r\n", "Transfer-Encoding: chunked"), 408, "body_timeout"),
]


@pytest.mark.parametrize(("first", "status", "reason"), [each[1:] for each in DRIPPING], ids=[e[0] for e in DRIPPING])
def test_a_client_that_drips_is_cut_off_while_others_are_served(first: bytes, status: int, reason: str) -> None:
    """A byte now and then keeps no connection: a slow head or body is refused in bounded time."""
    with door(QUICK) as running, running.connect() as slow:
        before = time.monotonic()
        slow.sendall(first)
        slow.settimeout(0.02)
        answer = b""
        while time.monotonic() - before < CUT_OFF_S and not answer:
            slow.sendall(b"x")
            (served,) = ask(running.port, request())
            assert served is not None and served.status == 200
            try:
                answer = slow.recv(10_000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert running.refused(reason) == 1


def test_a_connection_that_says_nothing_is_closed() -> None:
    """Before the first request after the head's deadline, between requests after the idle one; with no answer."""
    with door(QUICK) as running, running.connect() as silent, running.connect() as idle:
        before = time.monotonic()
        reader = Reader(idle)
        idle.sendall(request())
        assert reader.reply() is not None
        assert Reader(silent).at_end()
        assert reader.at_end()
        assert QUICK.keep_alive_ms / 1000 < time.monotonic() - before < CUT_OFF_S


def test_a_body_that_comes_steadily_may_take_its_time() -> None:
    """A slow body that is faster than the least is not cut off, however long it takes in all."""
    limits = HttpLimits(header_timeout_ms=200, transfer_timeout_ms=200, min_bytes_per_s=1)
    body = b'{"text": "abcdefgh"}'
    with door(limits) as running, running.connect() as sock:
        whole = request(body=body)
        sock.sendall(whole[: -len(body)])
        started = time.monotonic()
        for at in range(len(body)):
            sock.sendall(body[at : at + 1])
            sock.settimeout(0.05)
            if at < len(body) - 1:
                with pytest.raises(TimeoutError):
                    sock.recv(1)
        assert time.monotonic() - started > 0.4  # twice what a body of no bytes may take
        sock.settimeout(10)
        reply = Reader(sock).reply()
        assert reply is not None and reply.status == 200


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Answers pile up for nobody: the connection is aborted, and not one more request of it is worked on."""
    limits = HttpLimits(transfer_timeout_ms=2000, min_bytes_per_s=100_000_000)
    body = b'{"text": "' + b"x" * (16 << 20) + b'"}'  # comes back in the answer, and is more than the kernel keeps
    with door(limits, max_body_bytes=20 << 20) as running, running.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request(body=body) + request())
        wait_for(running, "server.open_connections == 0")
        assert running.refused("write_timeout") == 1
        assert len(running.engine.asked) == 1


def test_work_is_not_on_the_clock() -> None:
    """A request that the model takes long for is not the client's fault."""
    with door(QUICK) as running, running.connect() as sock:
        sock.sendall(WAIT)
        wait_for(running, "engine.asked")
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        running.run(running.engine.gate.set)
        sock.settimeout(10)
        reply = Reader(sock).reply()
        assert reply is not None and reply.status == 200


# -- clients that are gone


@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_a_client_that_is_gone_is_not_worked_for(how: str) -> None:
    """Closing, closing one side, and resetting each cancel the request at work and what was sent after it."""
    with door() as running, running.connect() as sock:
        sock.sendall(WAIT + request())
        wait_for(running, "engine.asked")
        if how == "half":
            sock.shutdown(socket.SHUT_WR)
        else:
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        wait_for(running, "engine.cancelled == 1")
        wait_for(running, "server.open_connections == 0")
        assert len(running.engine.asked) == 1


def test_a_client_that_leaves_in_the_middle_of_a_request_leaves_nothing_behind() -> None:
    """Half a head or half a body is forgotten with its connection."""
    whole = request(body='{"text": "' + "x" * 1000 + '"}')
    with door() as running:
        for cut in (1, 40, 200, len(whole) - 1):
            with running.connect() as sock:
                sock.sendall(whole[:cut])
                wait_for(running, "server.open_connections == 1")
            wait_for(running, "server.open_connections == 0")
        assert running.run(lambda: running.server.held.held_bytes) == 0
        assert running.engine.asked == []


# -- stopping


def test_stopping_answers_what_was_accepted_and_says_that_it_closes() -> None:
    """Idle connections are closed; a request at work is answered with `Connection: close`."""
    with door() as running, running.connect() as busy, running.connect() as idle:
        reader = Reader(idle)
        idle.sendall(request())
        assert reader.reply() is not None
        busy.sendall(WAIT)
        wait_for(running, "len(engine.asked) == 2")
        running.run(lambda: running.server.loop.create_task(running.server.stop(20_000)))
        assert reader.at_end()
        running.run(running.engine.gate.set)
        reply = Reader(busy).reply()
        assert reply is not None
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        with pytest.raises(ConnectionRefusedError):
            running.connect()
