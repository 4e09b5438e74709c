"""A server for one person on this machine: the form, until the answer is known.

It listens on the loopback address alone. A page of another site can send requests there too, so the Host has to be this
machine's (a name that was pointed here is not), and an answer has to bring the token that the form has.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from .ballot import Ballot
from .page import ending, form

_MOST: Final = 1 << 16
_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def serve(ballot: Ballot, port: int, opened: Callable[[str], None]) -> None:
    """Ask until all is answered or it is decided, and somebody has seen the ending; *opened* is told the address.

    Args:
        port: 0 for a free one.

    Raises:
        OSError: the port is taken.
    """
    token = secrets.token_urlsafe(16)
    with HTTPServer(("127.0.0.1", port), _handler(ballot, token)) as server:
        hosts = {f"{name}:{server.server_address[1]}" for name in ("127.0.0.1", "localhost")}
        server.hosts, server.seen = hosts, False  # type: ignore[attr-defined]
        opened(f"http://127.0.0.1:{server.server_address[1]}/")
        while not server.seen:  # type: ignore[attr-defined]
            server.handle_request()


def _handler(ballot: Ballot, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30
        server: Any

        def do_GET(self) -> None:
            if not self._is_ours():
                return
            if self.path != "/":
                self._send(404, "nothing here")
                return
            matter = ballot.next()
            self._send(200, ending(ballot) if matter is None else form(ballot, matter, token))
            self.server.seen = matter is None

        def do_POST(self) -> None:
            if not self._is_ours():
                return
            length = self.headers.get("content-length", "")
            if not length.isascii() or not length.isdigit() or int(length) > _MOST:
                self._send(413, "too long")
                return
            sent = parse_qs(self.rfile.read(int(length)).decode("utf-8", errors="replace"))
            if not secrets.compare_digest(sent.get("token", [""])[0].encode(), token.encode()):
                self._send(403, "open the form anew")
                return
            ballot.answer(sent.get("question", [""])[0], sent.get("choice", [""])[0])
            self.send_response(303)
            self.send_header("location", "/")
            self.send_header("content-length", "0")
            self.end_headers()

        def _is_ours(self) -> bool:
            if self.headers.get("host", "") in self.server.hosts:
                return True
            self._send(421, "this server answers on 127.0.0.1 alone")
            return False

        def _send(self, status: int, page: str) -> None:
            content = page.encode("utf-8")
            self.send_response(status)
            for name, value in (*_HEADERS.items(), ("content-length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: who prefers what is nobody's business."""

    return Handler
