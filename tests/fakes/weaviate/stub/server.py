"""The stub's sockets: HTTP and gRPC on loopback, that can go away and come back on the same ports."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from weaviate.proto.v1 import weaviate_pb2_grpc

from samespace_weaviate.access.address import Address

from .rest import answer
from .rpc import StubService
from .state import Call, StubState


class StubWeaviate(StubState):
    """A `StubState` that is served."""

    def __init__(self, nodes: Sequence[str] = ("node1",)) -> None:
        super().__init__(nodes)
        self._http_port = self._grpc_port = 0
        self._connections: set[socket.socket] = set()
        self._http: ThreadingHTTPServer | None = None
        self._grpc: Any = None
        self.come_back()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._http_port, False, self._grpc_port)

    @property
    def is_there(self) -> bool:
        """Whether it listens."""
        return self._http is not None

    def come_back(self) -> None:
        """Listen, on the same ports as before."""
        self._http = ThreadingHTTPServer(("127.0.0.1", self._http_port), _handler(self))
        self._http.daemon_threads = True
        self._http_port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self._grpc = grpc.server(ThreadPoolExecutor(8))
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(StubService(self), self._grpc)
        service = health.HealthServicer()
        service.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(service, self._grpc)
        self._grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{self._grpc_port}")
        self._grpc.start()

    def go_away(self) -> None:
        """Close every socket, also those of requests that are under way."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._grpc is not None:
            self._grpc.stop(None).wait()
            self._grpc = None


@contextmanager
def stub_weaviate(nodes: Sequence[str] = ("node1",)) -> Iterator[StubWeaviate]:
    """A Weaviate that answers until the block ends."""
    stub = StubWeaviate(nodes)
    try:
        yield stub
    finally:
        stub.go_away()


def _handler(stub: StubWeaviate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            stub._connections.add(self.connection)

        def finish(self) -> None:
            stub._connections.discard(self.connection)
            with suppress(OSError):
                super().finish()

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            call = Call(
                f"{self.command} {unquote(url.path)}",
                dict(parse_qsl(url.query)),
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(body) if body else None,
            )
            fault = stub.note(call)
            status, content = answer(stub, call) if fault is None or fault.after else (0, None)
            if fault is not None:
                status, content = fault.status, {"error": [{"message": fault.text}]}
            if not status:
                self.close_connection = True
                return
            raw = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if status != 204:
                self.send_header("content-length", str(len(raw)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

        def log_message(self, *arguments: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    return Handler
