"""HTTP/2 by hand, one frame at a time, for clients that no library would be: stalled, lying or in a flood.

Headers are written without compression tables (literal, never indexed), so that every frame says what it says.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
INITIAL_WINDOW_SIZE: Final = 4
FRAME_BYTES: Final = 16_384
"""Payload of the largest frame that everybody has to take."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame. RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(**values: int) -> bytes:
    """A SETTINGS frame; names as in this module, in lower case."""
    names = {"initial_window_size": INITIAL_WINDOW_SIZE}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def headers(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block of headers, each literal and not indexed. RFC 7541, section 6.2.2."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, length = len(data) - 127, b"\x7f"
    while rest >= 128:
        length, rest = length + bytes((rest % 128 | 128,)), rest // 128
    return length + bytes((rest,)) + data


def message(data: bytes, *, compressed: bool = False) -> bytes:
    """A gRPC message: its flag, its length, itself."""
    return struct.pack(">BI", compressed, len(data)) + data


def call_headers(path: str, *extra: tuple[str, str]) -> bytes:
    """The headers of a gRPC call of *path*."""
    return headers(
        (
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "here"),
            ("te", "trailers"), ("content-type", "application/grpc"), *extra,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Peer:
    """One connection to a gRPC port. It never updates a window unless it is told to."""

    def __init__(self, address: str, *, timeout_s: float = 30, window: int = 65_535, source: str | None = None) -> None:
        """Connect and say hello; *source* is the local address to come from."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection(
            (host, int(port)), timeout=timeout_s, source_address=None if source is None else (source, 0)
        )
        self.sent_bytes = 0
        self._next = -1
        self._came = b""
        self._windows: dict[int, int] = {0: 65_535}
        self._initial = 65_535
        self.ended: set[int] = set()
        self.send(PREFACE + settings(initial_window_size=window))

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that hung up raises `OSError`."""
        self.socket.sendall(data)
        self.sent_bytes += len(data)

    def call(self, path: str, *extra: tuple[str, str], end: bool = False) -> int:
        """Begin a call; its stream's number."""
        self._next += 2
        self._windows[self._next] = self._initial
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, flags, self._next, call_headers(path, *extra)))
        return self._next

    def write(self, stream: int, data: bytes, *, end: bool = False) -> int:
        """Send as much of *data* as the server's windows allow, waiting for them to open; how much went out.

        A server that hangs up has ended the stream.
        """
        sent = 0
        while sent < len(data) and stream not in self.ended:
            size = min(FRAME_BYTES, len(data) - sent, self._windows[0], self._windows[stream])
            if size <= 0:
                if not self.pump(0.5):
                    break
                continue
            piece = data[sent : sent + size]
            last = end and sent + size == len(data)
            try:
                self.send(frame(DATA, END_STREAM if last else 0, stream, piece))
            except OSError:
                self.ended.add(stream)
                break
            self._windows[0] -= size
            self._windows[stream] -= size
            sent += size
            self.pump(0)
        return sent

    def pump(self, wait_s: float) -> bool:
        """Read what is there, waiting *wait_s* for the first of it; False where nothing came or the server hung up."""
        self.socket.settimeout(wait_s or 0.000001)
        try:
            data = self.socket.recv(1 << 18)
        except (TimeoutError, BlockingIOError):
            return False
        finally:
            self.socket.settimeout(30)
        self._came += data
        for each in self._frames():
            if each.kind == WINDOW_UPDATE:
                self._windows[each.stream] = self._windows.get(each.stream, 0) + struct.unpack(">I", each.payload)[0]
            elif each.kind == SETTINGS and not each.flags & ACK:
                self._settings(each.payload)
            elif each.kind == PING and not each.flags & ACK:
                self.send(frame(PING, ACK, 0, each.payload))
            elif each.kind == RST_STREAM or (each.kind in (HEADERS, DATA) and each.flags & END_STREAM):
                self.ended.add(each.stream)
        return bool(data)

    def closed(self, wait_s: float) -> bool:
        """Whether the server hangs up within *wait_s*."""
        self.socket.settimeout(wait_s)
        try:
            while self.socket.recv(1 << 18):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at : at + 6])
            if name == INITIAL_WINDOW_SIZE:
                change = value - self._initial
                self._initial = value
                for stream in self._windows:
                    if stream:
                        self._windows[stream] += change
        self.send(frame(SETTINGS, ACK, 0))

    def _frames(self) -> Iterator[Frame]:
        while len(self._came) >= 9:
            size = int.from_bytes(self._came[:3], "big")
            if len(self._came) < 9 + size:
                return
            head, payload = self._came[:9], self._came[9 : 9 + size]
            self._came = self._came[9 + size :]
            yield Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)
