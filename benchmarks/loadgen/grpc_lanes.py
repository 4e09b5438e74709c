"""Lanes for gRPC over plain HTTP/2, by hand: unary calls, and one bidirectional stream per lane.

grpcio's asyncio client takes two to three times the CPU time per call (110 to 135 us where this took 47 to 59, same
machine, same minutes; `LOG.md`, 2026-11-21), and on a machine that client and server share, that time is missing from
the server. So the frames are made here (RFC 9113): the request's header block never changes, and the header table is
set to zero entries, so that header blocks of replies can be read by themselves (RFC 7541).
Every lane has its own connection, as separate clients have. For one client's latency as a program sees it, use
samespace's own client (`peers.py` does).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Final, cast

from .lanes import LOST, OK, REJECTED, Lane, OnReply, Open, Ticket

EMBED: Final = "/samespace.v1.Encoder/Embed"
EMBED_STREAM: Final = "/samespace.v1.Encoder/EmbedStream"

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 1, 1, 4, 8, 32
_HEADER_TABLE_SIZE, _INITIAL_WINDOW, _MAX_FRAME = 1, 4, 5  # settings
_MOST_WINDOW: Final = 2**31 - 1
_CREDIT: Final = 1 << 24  # give the server's window back in pieces of this size
_HEAD: Final = Struct(">HBBBI")  # length in 24 bits, type, flags, stream
_SETTING: Final = Struct(">HI")
_MESSAGE: Final = Struct(">BI")  # compressed or not, length
_RESOURCE_EXHAUSTED: Final = "8"


def opener(host: str, port: int, *, stream: bool) -> Open:
    """Connects lanes to one server; *stream* for EmbedStream."""

    async def connect(on_reply: OnReply) -> Lane:
        lane = GrpcLane(f"{host}:{port}", on_reply, stream=stream)
        await asyncio.get_running_loop().create_connection(lambda: lane, host, port)
        return lane

    return connect


class GrpcLane(asyncio.Protocol):
    """One HTTP/2 connection; one call at a time, or one stream with any number of messages under way."""

    def __init__(self, authority: str, on_reply: OnReply, *, stream: bool) -> None:
        """Replies go to *on_reply*."""
        self.closed = True
        self._on_reply, self._streaming = on_reply, stream
        self._block = header_block(authority, EMBED_STREAM if stream else EMBED)
        self._transport: asyncio.Transport | None = None
        self._tickets: deque[Ticket] = deque()
        self._buffer = bytearray()  # of frames
        self._messages = bytearray()  # of the call's replies, each behind its length
        self._blocks = bytearray()  # of the header block that is being received
        self._call = -1  # the stream's number; calls take the odd ones
        self._open = False
        self._reply: bytes | None = None  # of a unary call, until its trailers say that it is one
        self._received = self._received_call = 0  # bytes whose window was not given back yet
        # What the server lets us send; it says more in its settings.
        self._room = self._room_call = self._initial = 65_535
        self._max_frame = 16_384
        self._waiting: deque[tuple[memoryview, int]] = deque()  # pieces of messages that found no room, with flags

    def send(self, payload: bytes, ticket: Ticket) -> None:
        """Send one serialised EmbedRequest."""
        self._tickets.append(ticket)
        if self._transport is None or self.closed:
            self._fail(LOST)
            return
        out = []
        if not self._open:
            self._call += 2
            self._open, self._room_call, self._received_call = True, self._initial, 0
            out.append(_frame(_HEADERS, _END_HEADERS, self._call, self._block))
        message = memoryview(_MESSAGE.pack(0, len(payload)) + payload)
        self._waiting.append((message, 0 if self._streaming else _END_STREAM))
        out.extend(self._sendable())
        self._transport.writelines(out)

    def close(self) -> None:
        """Hang up."""
        self._tickets.clear()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, and that everything may be sent to us at once."""
        self._transport, self.closed = cast(asyncio.Transport, transport), False  # uvloop's are of another class
        settings = ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW, _MOST_WINDOW), (_MAX_FRAME, 2**24 - 1))
        hello = _frame(_SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in settings))
        self._transport.write(_PREFACE + hello + _window(0, _MOST_WINDOW - 65_535))

    def connection_lost(self, error: Exception | None) -> None:
        """What was under way is lost."""
        self.closed = True
        self._fail(LOST)

    def data_received(self, data: bytes) -> None:
        """Take whole frames out of what has come."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(buffer, at)
            end = at + 9 + (high << 8 | low)
            if len(buffer) < end:
                break
            self._frame(kind, flags, stream & _MOST_WINDOW, bytes(buffer[at + 9 : end]))
            at = end
        del buffer[:at]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _DATA:
            self._take(stream, len(body))
            if stream == self._call:
                self._messages += _unpadded(body, flags)
                self._read_messages()
            if flags & _END_STREAM:
                self._end("ended without a status")
        elif kind in (_HEADERS, _CONTINUATION):
            if kind == _HEADERS:
                self._blocks.clear()
                body = _unpadded(body, flags)[5 if flags & _PRIORITY else 0 :]
                self._ends = bool(flags & _END_STREAM)
            self._blocks += body
            if flags & _END_HEADERS and self._ends and stream == self._call:
                self._end(grpc_status(bytes(self._blocks)))
        elif kind == _SETTINGS and not flags & _ACK:
            for number, value in _SETTING.iter_unpack(body):
                if number == _INITIAL_WINDOW:
                    self._room_call += value - self._initial
                    self._initial = value
                elif number == _MAX_FRAME:
                    self._max_frame = value
            self._write(_frame(_SETTINGS, _ACK, 0, b""), *self._sendable())
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, body))
        elif kind == _WINDOW:
            more = int.from_bytes(body, "big")
            if stream == 0:
                self._room += more
            elif stream == self._call:
                self._room_call += more
            self._write(*self._sendable())
        elif kind == _RESET and stream == self._call:
            self._end(f"reset {int.from_bytes(body, 'big')}")
        elif kind == _GOAWAY:
            self.closed = True
            if self._transport is not None:
                self._transport.close()

    def _read_messages(self) -> None:
        messages = self._messages
        while len(messages) >= 5:
            _, length = _MESSAGE.unpack_from(messages)
            if len(messages) < 5 + length:
                return
            reply = bytes(messages[5 : 5 + length])
            del messages[: 5 + length]
            if self._streaming:
                self._on_reply(self, self._tickets.popleft(), OK, reply)
            else:
                self._reply = reply

    def _end(self, status: str) -> None:
        """The call is over: its reply, if it is one, and otherwise a failure of everything under way."""
        if not self._open:
            return
        self._open = False
        self._messages.clear()
        self._waiting.clear()
        reply, self._reply = self._reply, None
        if status == "0" and reply is not None and self._tickets:
            self._on_reply(self, self._tickets.popleft(), OK, reply)
        else:
            self._fail(REJECTED if status == _RESOURCE_EXHAUSTED else f"gRPC {status}")

    def _fail(self, outcome: str) -> None:
        tickets, self._tickets = self._tickets, deque()
        for ticket in tickets:
            self._on_reply(self, ticket, outcome, b"")

    def _sendable(self) -> Iterator[bytes]:
        """DATA frames of what waits, as far as the server lets us."""
        while self._waiting:
            piece, flags = self._waiting[0]
            size = min(len(piece), self._room, self._room_call, self._max_frame)
            if size <= 0:
                return
            last = size == len(piece)
            yield _frame(_DATA, flags if last else 0, self._call, bytes(piece[:size]))
            self._room -= size
            self._room_call -= size
            if last:
                self._waiting.popleft()
            else:
                self._waiting[0] = (piece[size:], flags)

    def _take(self, stream: int, size: int) -> None:
        """Give the server its windows back, now and then."""
        self._received += size
        self._received_call += size
        if self._received >= _CREDIT:
            self._write(_window(0, self._received))
            self._received = 0
        if self._received_call >= _CREDIT and stream == self._call:
            self._write(_window(stream, self._received_call))
            self._received_call = 0

    def _write(self, *frames: bytes) -> None:
        if self._transport is not None and not self.closed and frames:
            self._transport.writelines(frames)


def header_block(authority: str, path: str) -> bytes:
    """The headers of a gRPC call, as literals that leave no trace in any table (RFC 7541, 6.2.2)."""

    def text(value: str) -> bytes:
        return bytes((len(value),)) + value.encode("ascii")  # shorter than 127 bytes, not Huffman coded

    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + text(path),
            b"\x01" + text(authority),
            b"\x0f\x10" + text("application/grpc"),  # content-type, number 31
            b"\x00" + text("te") + text("trailers"),
        )
    )


def grpc_status(block: bytes) -> str:
    """The value of grpc-status in trailers, or why there is none."""
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # a field of the static table
                _, at = _integer(block, at, 7)
                continue
            if first & 0xE0 == 0x20:  # a new size of the table
                _, at = _integer(block, at, 5)
                continue
            index, at = _integer(block, at, 6 if first & 0x40 else 4)
            name = b""
            if index == 0:
                name, at = _string(block, at)
            value, at = _string(block, at)
            if name == b"grpc-status":
                return value.decode("ascii")
    except IndexError:
        return "unreadable trailers"
    return "no grpc-status"


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """RFC 7541, 5.1: the number and where it ends."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """RFC 7541, 5.2; Huffman coded ones are given as they are, because grpc-status is none."""
    length, at = _integer(block, at, 7)
    return block[at : at + length], at + length


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body) >> 8, len(body) & 0xFF, kind, flags, stream) + body


def _window(stream: int, size: int) -> bytes:
    return _frame(_WINDOW, 0, stream, size.to_bytes(4, "big"))


def _unpadded(body: bytes, flags: int) -> bytes:
    return body[1 : len(body) - body[0]] if flags & _PADDED else body
