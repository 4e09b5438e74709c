"""The HTTP door in this process, in front of an engine that computes nothing; and a client that sends raw bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from samespace.embed import Embedded
from samespace.encoder import check_dims
from samespace_server.http.about import add_about, add_meta
from samespace_server.http.browsers import Origins
from samespace_server.http.openapi import add_openapi
from samespace_server.http.reranking import add_rerankers
from samespace_server.http.routes import HttpApp, add_encoder, add_health, add_metrics
from samespace_server.http.server import HttpServer
from samespace_server.observing.logs import Refusals
from samespace_server.observing.observe import Watch
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.engine import Answer, StageTimes
from samespace_server.security.tokens import Guard
from samespace_server.settings import HttpLimits
from samespace_server.spaces.registry import Spaces

SPACE, OTHER = "0" * 64, "a1" * 32
DIMS, MATRYOSHKA = 8, (4,)
VECTOR = np.array([[0.5, -0.5, 0.5, -0.5, 0, 0, 0, 0]], dtype=np.float32)


class FakeEngine:
    """Answers every text with `vector`, plus its number if `numbered`; "wait" is answered when `gate` is set.

    Attributes:
        cancelled: how many of its requests were cancelled.
    """

    def __init__(self, space_id: str = SPACE, *, role_matters: bool = False) -> None:
        manifest = SimpleNamespace(name="fake")
        self.space_id, self.dims = space_id, DIMS
        artifact = SimpleNamespace(role_matters=role_matters, manifest=manifest, token_limit=512)
        self.loaded = SimpleNamespace(artifact=artifact)
        self.vector, self.numbered = VECTOR, False
        self.gate = asyncio.Event()
        self.asked: list[dict[str, Any]] = []
        self.cancelled = 0
        self.broken: str | None = None
        self.hung: str | None = None

    async def embed(self, texts: Sequence[str], role: str, **options: Any) -> Answer:
        self.asked.append({"texts": texts, "role": role, **options})
        dims = options.get("dims")
        check_dims(dims, DIMS, MATRYOSHKA)
        dims = dims or None
        try:
            if "wait" in texts:
                await self.gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        rows = 2 if options.get("long_texts") == "windows" else 1
        spans = tuple((text, row * 3, row * 3 + 5) for text in range(len(texts)) for row in range(rows))
        vectors = np.repeat(self.vector, len(spans), axis=0)[:, :dims]
        if self.numbered:
            vectors += np.arange(len(spans), dtype=np.float32)[:, None]
        ones = (1,) * len(texts)
        embedded = Embedded(vectors, tuple(len(text) for text in texts), ones, spans)
        return Answer(self.space_id, vectors, embedded, StageTimes(1, 2, 3))


@dataclass
class Door:
    """A running HTTP door.

    Attributes:
        port: on 127.0.0.1.
        client: asks it; paths are enough as URLs.
        run: calls a function on the server's event loop and gives its result.
    """

    port: int
    spaces: Spaces
    engine: FakeEngine
    server: HttpServer
    telemetry: Telemetry
    guard: Guard
    client: httpx.Client
    run: Callable[[Callable[[], Any]], Any]
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def refused(self, reason: str) -> float:
        """How often something was cut off for *reason*."""
        return float(self.telemetry.http_refused.labels(reason)._value.get())

    def connect(self, timeout_s: float = 20) -> socket.socket:
        """A plain socket to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)


@contextmanager
def door(
    limits: HttpLimits | None = None,
    *,
    tokens: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    max_body_bytes: int = 1 << 20,
    role_matters: bool = False,
    origins: Sequence[str] = (),
    prefix: str = "",
) -> Iterator[Door]:
    """Serve in a thread; fails at the end if anything in the loop failed unnoticed."""
    started, stop = threading.Event(), asyncio.Event()
    held: list[Door] = []
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        spaces, telemetry, guard = Spaces(address="here"), Telemetry(), Guard(tokens)
        engine = FakeEngine(role_matters=role_matters)
        spaces.put(engine)  # type: ignore[arg-type]
        spaces.set_default(SPACE)
        spaces.state = "ready"
        app = HttpApp(telemetry, guard, origins=Origins(origins), prefix=prefix)
        add_health(app, spaces)
        add_meta(app, spaces)
        add_metrics(app, telemetry)
        watch = Watch(telemetry, Refusals(lambda: 0))
        add_encoder(app, spaces, watch, most_texts=2048)
        add_rerankers(app, spaces, watch, most_texts=2048)
        add_about(app, spaces, most_texts=2048)
        add_openapi(app, prefix)
        server = HttpServer(app, limits or HttpLimits(), max_body_bytes=max_body_bytes, tls=tls)
        listener = socket.create_server(("127.0.0.1", 0))

        def run(function: Callable[[], Any]) -> Any:
            async def call() -> Any:
                return function()

            return asyncio.run_coroutine_threadsafe(call(), loop).result(20)

        await server.start(listener)
        port = listener.getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False, timeout=60)  # no CAs to read: quick
        held.append(Door(port, spaces, engine, server, telemetry, guard, client, run, failures))
        started.set()
        await stop.wait()
        await server.stop(100)

    import uvloop

    def serve() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(main())
            finally:
                started.set()

    thread = threading.Thread(target=serve)
    thread.start()
    started.wait(20)
    try:
        yield held[0]
    finally:
        held[0].client.close()
        held[0].server.loop.call_soon_threadsafe(stop.set)
        thread.join(20)
    assert not failures, failures


def request(
    path: str = f"/e/{SPACE}/vectors", body: bytes | str = '{"text": "a"}', *headers: str, method: str = "POST"
) -> bytes:
    """The bytes of a request with a Host and, unless a header says otherwise, a Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/1.1", "Host: here", *headers]
    if not any(each.lower().startswith(("content-length", "transfer-encoding")) for each in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Reply:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class Reader:
    """Reads responses from a socket, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")

    def reply(self, *, head_only: bool = False) -> Reply | None:
        """The next response, or None where the server has closed."""
        line = self._file.readline()
        if not line:
            return None
        status, headers = int(line.split()[1]), {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if head_only else int(headers.get("content-length", 0))
        return Reply(status, headers, self._file.read(length))

    def at_end(self) -> bool:
        """Whether the server closed; waits until it did, or until the socket's timeout."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


def ask(port: int, sent: bytes, *, replies: int = 1, timeout_s: float = 20) -> list[Reply | None]:
    """Send bytes, read that many responses."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        sock.sendall(sent)
        reader = Reader(sock)
        return [reader.reply() for _ in range(replies)]
