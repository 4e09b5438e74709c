"""HTTP requests and responses as values, and what a response looks like on the wire. Pure.

What it leaves to others: the bytes of a request (`connection`), what to answer (`http`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Protocol

import orjson

JSON: Final = b"application/json"
_UPGRADE_HEADERS: Final = (b"connection", b"upgrade", b"http2-settings")
_NO_BODY: Final = (204, 304)
_STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        target: what stands behind the method, as sent; see `path`.
        headers: names in lower case; what came more than once is joined by ", ".
        space: the space that the path names, if any; filled in by the app when it finds the route.
        body: filled in by the connection when all of it is there.
        address: of the peer, without its port; "" where it has none.
        client: filled in by the app, as `Guard.client` names it.
        role: "query" or "passage" where the path names one; filled in with the space.
    """

    method: str = ""
    target: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    keep_alive: bool = True
    space: str | None = None
    body: bytes = b""
    address: str = ""
    client: str = ""
    role: str = ""

    @property
    def path(self) -> str:
        """The target without its query. It is ASCII, because the parser takes nothing else."""
        target = self.target
        if not target.startswith(b"/"):  # what is sent to a proxy: http://host/path
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        return target.partition(b"?")[0].decode("ascii")


@dataclass(frozen=True, slots=True)
class Response:
    """One response; 204 and 304 have no body."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Work = Callable[[Request], Awaitable[Response]]
"""What answers a request whose body is there; cancelled when the client hangs up."""


class App(Protocol):
    """What a connection asks for the answers."""

    def route(self, request: Request) -> Work | Response:
        """Who answers; or already the answer, where the head alone is enough to refuse. No body is read before."""

    def is_probe(self, request: Request) -> bool:
        """Whether it is answered also where there is room for nothing else."""

    def refused(self, reason: str) -> None:
        """Count a connection or a request that never became one; *reason* is one of a few words."""


def head_without_upgrade(request: Request) -> bytes:
    """The head of *request* as it is without its offer to upgrade."""
    headers = {name: value for name, value in request.headers.items() if name not in _UPGRADE_HEADERS}
    if b"close" in {each.strip().lower() for each in request.headers.get(b"connection", b"").split(b",")}:
        headers[b"connection"] = b"close"
    lines = [request.method.encode() + b" " + request.target + b" HTTP/1.1"]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers.items()), b"", b""])


def json_response(value: object, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """*value* as JSON; numpy arrays are written as they are, float32 with as many digits as float32 has."""
    return Response(status, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), JSON, headers)


def error_body(message: str, kind: str, target: bytes) -> dict[str, Any]:
    """The body of an error that no dialect made, of which every client reads another key.

    OpenAI's clients, who ask for embeddings or models, show nothing of an `error` that is no object.
    """
    parts = target.partition(b"?")[0].split(b"/")
    is_openai = b"embeddings" in parts or b"models" in parts
    error = {"message": message, "type": kind, "param": None, "code": None} if is_openai else message
    return {"error": error, "message": message, "detail": message, "type": kind}


def encode(response: Response, *, date: bytes, head_only: bool = False, close: bool = False) -> list[bytes]:
    """The bytes of *response*: head and body.

    Args:
        date: the value of the Date header.
        head_only: leave the body out, as HEAD wants it.
        close: tell the client that the connection ends.
    """
    status, body = response.status, response.body
    head = [_STATUS_LINES[status], b"date: ", date, b"\r\n"]
    if status not in _NO_BODY:
        head += [b"content-type: ", response.content_type, b"\r\ncontent-length: %d\r\n" % len(body)]
    for name, value in response.headers:
        head += [name, b": ", value, b"\r\n"]
    head.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    if body and not head_only and status not in _NO_BODY:
        head.append(body)
    return head
