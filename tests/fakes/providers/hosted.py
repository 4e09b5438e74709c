"""Stands in for hosted encoders: formats of OpenAI, Cohere, Voyage and Jina over one fake model that can change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import numpy as np

KEY = "secret-key-1234"


@dataclass
class Hosted:
    """What is served now.

    Attributes:
        model: another seed is another model under the same name.
        dims: of its vectors.
        noise: standard deviation of each number of a unit vector, anew for each answer.
        outliers: share of vectors that are off by a hundred times the noise.
        drift: added along one direction, the same for all texts.
        failures: statuses that are answered first, each once, with a Retry-After.
        length: of the vectors; some providers' are not of unit length.
        roles: whether queries have other vectors than passages.
        asked: (path, body) of every request that was taken.
    """

    model: int = 1
    dims: int = 64
    noise: float = 0.0
    outliers: float = 0.0
    drift: float = 0.0
    failures: list[int] = field(default_factory=list)
    length: float = 3.0
    roles: bool = False
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def vector(self, text: str, role: str) -> list[float]:
        seed = [self.model, crc32(text.encode()), crc32(role.encode()) if self.roles else 0]
        row = np.random.default_rng(seed).normal(size=self.dims)
        row /= np.linalg.norm(row)
        scale = self.noise * (100 if self.chance.random() < self.outliers else 1)
        row = row + self.chance.normal(scale=scale, size=self.dims) if scale else row
        row[0] += self.drift
        return [float(each) for each in self.length * row]


@contextmanager
def hosting(hosted: Hosted) -> Iterator[Hosted]:
    """Serve it on a free port of loopback."""
    lock = threading.Lock()

    def reply(path: str, body: dict[str, Any], auth: str) -> tuple[int, bytes]:
        with lock:
            status, answer = _answer(hosted, path, body, auth)
        return status, json.dumps(answer).encode()

    with answering(reply) as hosted.url:
        yield hosted


@contextmanager
def answering(reply: Callable[[str, dict[str, Any], str], tuple[int, bytes]]) -> Iterator[str]:
    """Answer on a free port of loopback what *reply* gives for a path, a body and an authorization; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, data = reply(self.path, body, self.headers.get("authorization", ""))
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "0.01")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _answer(hosted: Hosted, path: str, body: dict[str, Any], auth: str) -> tuple[int, Any]:
    if auth != f"Bearer {KEY}":
        return 401, {"error": {"message": f"Incorrect API key provided: {auth}"}}
    if hosted.failures:
        return hosted.failures.pop(0), {"error": {"message": "later"}}
    hosted.asked.append((path, body))
    texts = body["texts"] if path == "/v2/embed" else body["input"]
    if not all(texts):
        return 400, {"error": {"message": f"'$.input' is invalid: {texts}"}}
    role = str(body.get("input_type") or body.get("task") or "")
    rows = [hosted.vector(text, role) for text in texts]
    if path == "/v2/embed":
        return 200, {"id": "x", "embeddings": {"float": rows}, "texts": texts}
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    return 200, {"object": "list", "data": data[::-1], "model": body["model"]}
