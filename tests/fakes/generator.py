"""A stand-in for an OpenAI-compatible server: it writes what a rule says, and can lie or die."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class StandIn:
    """Its address, and what it was asked.

    Attributes:
        write: the text of a prompt to an answer.
        dies_after: requests that it answers; from then on 503.
        status: of each answer.
    """

    write: Callable[[str], str]
    dies_after: int = 1 << 30
    status: int = 200
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


@contextmanager
def generator(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve *stand_in* on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stand_in.tokens.append(self.headers.get("authorization", ""))
            dead = len(stand_in.asked) >= stand_in.dies_after
            if not dead and self.path == "/v1/chat/completions":
                stand_in.asked.append(body)
            content = stand_in.write(body["messages"][0]["content"].partition("Text:\n")[2])
            sent = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()
            self.send_response(503 if dead else stand_in.status)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
