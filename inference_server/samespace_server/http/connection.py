"""One client's HTTP/1.1 connection: bytes in, requests out to the app, responses back in order.

The parser is llhttp (through `httptools`). This is what it does not do: bounds on everything that a client
sends, deadlines on everything that it may take its time with, and an end to the work for clients that are gone.
A request is refused as soon as its head shows that it has to be; its body is not read then.

Requests of one connection are answered one after the other. What the client sends meanwhile is held, up to
`HELD_BYTES`, and then not read. A client that closes its side is gone, and its work is cancelled.

What it leaves to others: listening and the clock (`server`), paths and answers (`routes`). No upgrade is taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Literal, cast

import httptools

from ..budgets import Unread
from .bodies import FULL, chunks_too_small
from .host import Host
from .hosts import is_host
from .inbox import PIECE_BYTES, Inbox
from .messages import Request, Response, Work, encode, error_body, head_without_upgrade, json_response
from .unpack import ENCODINGS

log = logging.getLogger(__name__)

HELD_BYTES: Final = 1 << 16
LINGER_MS: Final = 2_000
"""How long a refused client may go on sending before the connection is cut, so that it can read the refusal."""
SMALL_BODY: Final = 1 << 16
"""A refused request's body of at most this length is read and thrown away, so that the connection can be kept."""
_CHUNKED_PIECE: Final = 16_384
_OVERHEAD: Final = 8
"""Bytes on the wire for one byte of body: chunks of one byte take six. Beyond it are trailers and extensions."""
_AROUND_A_HEADER: Final = 4  # ": " and the line's end

Receiving = Literal["idle", "head", "body"]
Phase = Literal["idle", "head", "body", "work", "sent", "write", "end"]


class Connection(asyncio.Protocol):
    """A connection; made by `HttpServer` for each client."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        # What the connection waits for, since when, and how long it may.
        self._phase: Phase = "head"
        self._since_ms = self._allowed_ms = 0
        self._write_paused, self._unread_since_ms = False, 0
        # The message that is being received.
        self._receiving: Receiving = "idle"
        self._request = Request()
        self._work: Work | Response | None = None
        self._body = bytearray()
        self._chunks = self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._fresh = self._upgrade = False
        self._deaf = False  # nothing more is listened to: the last answer is known
        self._unread = False  # and the client may still be sending
        # Messages whose turn has not come, the one that is worked on, and bytes that are not parsed yet.
        self._ready: deque[tuple[Request, Work | Response]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._inbox = Inbox()
        self._counted_bytes = 0
        self._waits, self._reading = False, True  # for its turn on the loop; what comes
        self.probes_only, self.address = False, ""

    # -- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, and not the class
        name = transport.get_extra_info("peername")
        self.address = str(name[0]) if isinstance(name, tuple) else ""
        self._enter("head", self._server.limits.header_timeout_ms)
        if not self._server.enter(self):
            self._refuse(503, "too_many_connections", "too many connections; try again, or another server")
            self._unread = False  # it must not stay
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever was worked on is not wanted any more."""
        self._phase = "end"
        if self._task is not None:
            self._task.cancel()
        self._ready.clear()
        self._inbox.clear()
        self._hold(-self._counted_bytes)
        self._server.leave(self)
        del self._parser  # it points back here

    def data_received(self, data: bytes) -> None:
        """Parse it, or hold it while an earlier request is answered or others have their turn."""
        if self._deaf:
            return
        self._inbox.put(data)
        if self._phase not in ("work", "write") and not self._waits:
            self._go_on()
        if self._inbox.size > HELD_BYTES or (self._inbox.size and self._waits):
            self._read_on(False)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._write_paused, self._unread_since_ms = True, self._server.now_ms()
        self._server.end_slow_readers()

    def resume_writing(self) -> None:
        """The client has read; the next request may be answered."""
        self._write_paused = False
        if self._phase == "write":
            self._go_on()

    # -- time

    def tick(self) -> None:
        """End what takes too long; called by the server from time to time."""
        waited_ms = self._server.now_ms() - self._since_ms
        if self._phase == "work" or waited_ms <= self._allowed_ms:
            return
        if self._phase == "body":
            if waited_ms > self._server.limits.transfer_ms(self._body_bytes):
                self._refuse(408, "body_timeout", f"{self._body_bytes} bytes of the body in {waited_ms} ms: too slow")
        elif self._phase == "head" and self._receiving == "head":
            self._refuse(408, "header_timeout", f"no complete head within {self._allowed_ms} ms")
        elif self._phase in ("idle", "head"):
            self._end()
        else:
            if self._phase == "write":
                self._server.app.refused("write_timeout")
            self._transport.abort()
        self._go_on()

    def finish(self) -> None:
        """End as soon as what is being answered is answered."""
        if self._phase in ("idle", "head"):
            self._end()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    @property
    def unread(self) -> Unread | None:
        """Of its answers, what waits for the client."""
        size = self._transport.get_write_buffer_size() if self._write_paused else 0
        return Unread(self, self.address, size, self._unread_since_ms) if size else None

    @property
    def idle_since_ms(self) -> int | None:
        """Since when it could be closed without anybody's loss; None where it has sent something."""
        waits = self._phase in ("idle", "head") and self._receiving == "idle" and not self._inbox.size
        return self._since_ms if waits else None

    def _read_on(self, on: bool) -> None:
        if on != self._reading:
            self._reading = on
            (self._transport.resume_reading if on else self._transport.pause_reading)()

    def _have_turn(self) -> None:
        self._waits = False
        if self._phase not in ("work", "write", "end"):
            self._go_on()

    def _enter(self, phase: Phase, allowed_ms: int = 0) -> None:
        self._phase, self._since_ms, self._allowed_ms = phase, self._server.now_ms(), allowed_ms

    # -- answering, in order

    def _go_on(self) -> None:
        """Answer what is complete; then wait for the client."""
        while self._phase != "end":
            if self._write_paused:
                pending = self._transport.get_write_buffer_size()
                return self._enter("write", self._server.limits.transfer_ms(pending))
            if self._ready:
                request, work = self._ready.popleft()
                if isinstance(work, Response):
                    self._send(request, work)
                    continue
                self._enter("work")
                self._task = self._server.loop.create_task(self._run(request, work))
                return None
            if self._inbox.size and not self._deaf:
                if not self._server.may_go_on(self._have_turn):
                    self._waits = True
                    return None
                self._feed(self._inbox.take(self._piece_bytes()))
                continue
            self._read_on(True)
            if self._phase != self._receiving:
                limits = self._server.limits
                allowed = {"idle": limits.keep_alive_ms, "head": limits.header_timeout_ms, "body": 0}
                self._enter(self._receiving, allowed[self._receiving])
            return None
        return None

    async def _run(self, request: Request, work: Work) -> None:
        try:
            response = await work(request)
        except Exception as error:  # a bug of ours: the caller learns that it is one, the log gets the traceback
            log.exception("no answer to %s", request.method)
            message = f"internal error ({type(error).__name__}); please report it"
            response = json_response(error_body(message, "internal", request.target), status=500)
        self._task = None
        self._send(request, response)
        self._go_on()

    def _send(self, request: Request, response: Response) -> None:
        self._hold(-len(request.body))
        close = not request.keep_alive or self._server.closing
        parts = encode(response, date=self._server.date, head_only=request.method == "HEAD", close=close)
        self._transport.write(b"".join(parts))
        if close:
            self._end()
        else:
            self._phase = "sent"  # so that what comes next is timed anew

    def _piece_bytes(self) -> int:
        if self._receiving != "body":
            return PIECE_BYTES
        length = self._request.headers.get(b"content-length")
        return _CHUNKED_PIECE if length is None else int(length) - self._body_bytes

    def _end(self) -> None:
        """Nothing more is answered; what was written is flushed, for a while."""
        limits, self._deaf = self._server.limits, True
        self._inbox.clear()
        self._ready.clear()
        pending = self._transport.get_write_buffer_size()
        self._enter("end", max(LINGER_MS, limits.transfer_ms(pending) if pending else 0))
        if self._unread and self._transport.can_write_eof():
            self._transport.write_eof()  # closing with unread input would reset the connection and lose the answer
        elif not self._unread:
            self._transport.close()

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Let *message* be the last answer."""
        self._server.app.refused(reason)
        self._last(json_response(error_body(message, reason, self._request.target), status=status))

    def _last(self, response: Response) -> None:
        last = Request(method=self._request.method, keep_alive=False)
        self._ready.append((last, response))
        self._deaf = self._unread = True
        self._receiving, self._body = "idle", bytearray()
        self._hold(-self._body_bytes)
        self._body_bytes = 0

    # -- parsing

    def _feed(self, data: bytes) -> None:
        while not self._deaf:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                # Java's client offers HTTP/2 in its first request; not taking the offer is what HTTP asks for.
                data = head_without_upgrade(self._request) + data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserCallbackError:
                raise
            except httptools.HttpParserError as error:
                self._refuse(400, "malformed", f"not HTTP/1.1: {error}")
        self._bound(len(data))

    def _bound(self, size: int) -> None:
        """Refuse a head or chunks that grow beyond their limit without ever being complete."""
        if self._receiving == "idle" or self._deaf:
            return
        if self._fresh:  # what came before it in the same bytes belongs to other messages
            self._fresh = False
        elif self._receiving == "head":
            self._head_bytes += size
            if self._head_bytes > self._server.limits.max_header_bytes:
                self._refuse_head()
        else:
            self._raw_bytes += size
            if self._raw_bytes > _OVERHEAD * self._body_bytes + self._server.limits.max_header_bytes + HELD_BYTES:
                self._refuse(400, "malformed", "chunks with more around them than in them")

    def _refuse_head(self) -> None:
        limits = self._server.limits
        said = f"a head of more than {limits.max_header_bytes} bytes or {limits.max_headers} headers"
        self._refuse(431, "head_too_large", said)

    def on_message_begin(self) -> None:
        """A new request."""
        if self._deaf:
            return
        self._request = Request(address=self.address)
        self._receiving, self._work, self._body = "head", None, bytearray()
        self._chunks = self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._fresh, self._upgrade = True, False

    def on_url(self, url: bytes) -> None:
        """Its target, or a part of it."""
        if self._deaf:
            return
        self._request.target += url
        most = self._server.limits.max_target_bytes
        if len(self._request.target) > most:
            self._refuse(414, "target_too_long", f"a path of more than {most} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is left out."""
        if self._deaf or self._receiving != "head":
            return None
        headers, name = self._request.headers, name.lower()
        if name == b"host" and (name in headers or not is_host(value)):
            return self._refuse(400, "malformed", "two Host headers, or one that is no host")
        headers[name] = headers[name] + b", " + value if name in headers else value
        self._head_bytes += len(name) + len(value) + _AROUND_A_HEADER
        if self._head_bytes > self._server.limits.max_header_bytes:
            self._refuse_head()
        return None

    def on_headers_complete(self) -> None:
        """The head is there: refuse, or wait for the body."""
        if self._deaf:
            return None
        request, version = self._request, self._parser.get_http_version()
        request.method = self._parser.get_method().decode("ascii")
        request.keep_alive = version != "1.0" and self._parser.should_keep_alive()
        if len(request.headers) > self._server.limits.max_headers:
            self._refuse_head()
        elif request.method == "CONNECT":
            self._refuse(405, "malformed", "CONNECT: this is no proxy")
        elif self._parser.should_upgrade():
            self._upgrade = True
        elif version not in ("1.0", "1.1"):
            self._refuse(505, "malformed", f"HTTP/{version}; expected HTTP/1.1")
        elif version == "1.1" and b"host" not in request.headers:
            self._refuse(400, "malformed", "no Host header")
        else:
            self._receiving, self._fresh = "body", True
            self._work = self._server.route(request)
            if self.probes_only and not self._server.app.is_probe(request):
                return self._refuse(503, "too_many_connections", "too many connections; try again, or another server")
            request.keep_alive &= not self.probes_only
            self._before_body(request, self._work)
        return None

    def _before_body(self, request: Request, work: Work | Response) -> None:
        headers = request.headers
        length = int(headers.get(b"content-length", b"0"))
        if isinstance(work, Response):
            if length > SMALL_BODY or b"transfer-encoding" in headers or b"expect" in headers:
                self._last(work)
        elif length > self._server.max_body_bytes:
            self._refuse_body(f"{length} bytes")
        elif headers.get(b"content-encoding", b"identity").lower() not in ENCODINGS:
            self._refuse(415, "content_encoding", "a body compressed in another way than gzip; send it as it is")
        elif (expected := headers.get(b"expect")) is not None:
            if expected.lower() != b"100-continue":
                self._refuse(417, "expectation", "the only expectation that is met is 100-continue")
            elif self._phase not in ("work", "write") and not self._ready:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse_body(self, size: str) -> None:
        most = self._server.max_body_bytes
        told = f"body: {size}, at most {most} are taken; send fewer texts at once, or raise the server's"
        self._refuse(413, "body_too_large", f"{told} --max-request-bytes")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._deaf or isinstance(self._work, Response):
            return
        self._body_bytes += len(body)
        self._body += body
        self._chunks += 1
        if not self._hold(len(body)):
            return
        if told := chunks_too_small(self._chunks, self._body_bytes):
            self._refuse(400, "malformed", told)
        elif self._body_bytes > self._server.max_body_bytes:
            self._refuse_body(f"more than {self._server.max_body_bytes} bytes")

    def on_message_complete(self) -> None:
        """The whole request is there."""
        if self._deaf or self._upgrade or self._work is None:
            return
        self._request.body = bytes(self._body)
        self._body = bytearray()
        self._ready.append((self._request, self._work))
        self._receiving, self._deaf = "idle", not self._request.keep_alive

    def _hold(self, size: int) -> bool:
        """Count *size* more bytes (negative: fewer); where that is too much, the client is refused."""
        self._counted_bytes += size
        if not (fits := self._server.held.hold(size)) and size > 0:
            self._refuse(503, "too_many_bytes", FULL)
        return fits
