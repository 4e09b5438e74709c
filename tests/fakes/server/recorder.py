"""An encoder server that computes nothing: it writes down every request, raw, and answers as a test wants.

It stands where Weaviate expects text2vec-transformers' container or Cohere, so that a test sees what Weaviate really
sends, and how it takes replies that no sane server would give.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMS = 8


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request, as it came.

    Attributes:
        headers: names and values in their order, as written.
        connection: number of the connection that it came on, from 0.
        turn: which request of its connection it is, from 0.
    """

    method: str
    path: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    turn: int

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its capitals; None without it."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)

    @property
    def texts(self) -> list[str]:
        """What is to be embedded, in any dialect; nothing for a probe."""
        if not self.body:
            return []
        body = self.json()
        return [body["text"]] if "text" in body else list(body.get("texts") or body.get("input") or [])


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; *hang_up* closes the connection instead of answering."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False


Answer = Callable[[Recorded], Reply]


def vector(text: str) -> list[float]:
    """A vector of `DIMS` numbers that depends on the text alone."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 255 - 0.5 for byte in digest[:DIMS]]


def embeds(request: Recorded) -> Reply:
    """A good reply to anything that Weaviate asks."""
    if request.method == "GET":
        return Reply(204) if "well-known" in request.path else Reply(body={"model": "recorder"})
    rows = [vector(text) for text in request.texts]
    if request.path.endswith("/vectors"):
        return Reply(body={"text": request.texts[0], "dim": DIMS, "vector": rows[0]})
    if request.path.endswith("/embed"):
        return Reply(body={"id": "recorder", "embeddings": {"float": rows}})
    return Reply(body={"data": [{"index": index, "embedding": row} for index, row in enumerate(rows)]})


def refuses(status: int, words: str) -> Answer:
    """An answer that refuses every text, with the words where each dialect looks for them."""
    return lambda request: Reply(status, {"error": words, "message": words, "detail": words})


class Recorder:
    """A running one.

    Attributes:
        url: where it answers, without a path.
        answer: what it says; may be replaced at any time.
    """

    def __init__(self, port: int) -> None:
        self.answer: Answer = embeds
        self._requests: list[Recorded] = []
        self._connections = 0
        self._lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one write

            def setup(self) -> None:
                super().setup()
                self.turn = 0
                with recorder._lock:
                    self.connection_number = recorder._connections
                    recorder._connections += 1

            def do_POST(self) -> None:
                body = self._chunks() if self.headers.get("Transfer-Encoding") else self._sized()
                request = Recorded(
                    self.command, self.path, self.request_version, tuple(self.headers.items()), body,
                    self.connection_number, self.turn,
                )  # fmt: skip
                self.turn += 1
                with recorder._lock:
                    recorder._requests.append(request)
                    answer = recorder.answer
                self._send(answer(request))

            do_GET = do_HEAD = do_POST

            def _sized(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _chunks(self) -> bytes:
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def _send(self, reply: Reply) -> None:
                if reply.hang_up:
                    self.close_connection = True
                    return
                raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                raw = b"" if reply.status == 204 else raw
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: Any) -> None:
                """Say nothing on stderr: what came is in `requests`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True  # Weaviate keeps connections open; nobody waits for their end
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self) -> list[Recorded]:
        """The requests since the last time, in the order of their arrival."""
        with self._lock:
            taken, self._requests = self._requests, []
        return taken


@contextmanager
def recording(port: int = 0) -> Iterator[Recorder]:
    """A recorder on *port* of loopback, or on a free one."""
    recorder = Recorder(port)
    thread = threading.Thread(target=recorder._server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield recorder
    finally:
        recorder._server.shutdown()
        recorder._server.server_close()
        thread.join(20)
