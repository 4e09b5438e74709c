"""samespace.web, against real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from samespace.errors import ConfigInvalid, ServerUnavailable
from samespace.web import WebClient, WebOptions, without_credentials

SECRET = "s3cret-of-this-test"
Seen = list[tuple[str, str, Mapping[str, str], bytes]]


@contextmanager
def serving(answer: Callable[[str], tuple[int, bytes, Mapping[str, str]]]) -> Iterator[tuple[str, Seen]]:
    """(address, what was asked of it) of a server that answers each path as *answer* says."""
    seen: Seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, content, headers = answer(self.path)
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_HEAD = _any

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ok(path: str) -> tuple[int, bytes, Mapping[str, str]]:
    return 200, b'{"a": [1]}', {"X-More": "yes"}


def test_a_request_carries_what_it_was_given() -> None:
    """Method, path, parameters, headers of the client and of the request, and the body as JSON."""
    with serving(ok) as (host, seen), WebClient(f"http://{host}/base/", WebOptions({"X-All": "1"}, SECRET)) as web:
        reply = web.ask("POST", "/v1/x", body={"ü": 1}, query={"q": "a b&c"}, headers={"consistency": "false"})
    assert (reply.status, reply.json(), reply.headers["x-more"]) == (200, {"a": [1]}, "yes")
    method, path, headers, body = seen[0]
    assert (method, path) == ("POST", "/base/v1/x?q=a+b%26c")
    assert body == b'{"\\u00fc": 1}'
    assert headers["x-all"] == "1"
    assert headers["consistency"] == "false"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("user_info", "token", "wanted"),
    [("", "", None), ("u%40:p%3A", "", "Basic dUA6cDo="), ("u:p", SECRET, f"Bearer {SECRET}"), ("u", "", None)],
)
def test_credentials_of_the_url_are_sent_as_basic_and_a_token_goes_before(
    user_info: str, token: str, wanted: str | None
) -> None:
    """User and password may be quoted; a user without a password is none."""
    with serving(ok) as (host, seen):
        url = f"http://{user_info}@{host}" if user_info else f"http://{host}"
        with WebClient(url, WebOptions(token=token)) as web:
            web.ask("GET")
    assert seen[0][2].get("authorization") == wanted


@pytest.mark.parametrize("status", [204, 404, 500, 503])
def test_every_status_is_an_answer(status: int) -> None:
    """What it means is the caller's to say; redirects are not followed unless that was asked for."""
    with serving(lambda path: (status, b"", {})) as (host, _), WebClient(f"http://{host}") as web:
        assert web.ask("GET").status == status
        assert web.ask("GET").json() is None
    with serving(lambda path: (302, b"", {"location": "/b"}) if path == "/a" else ok(path)) as (host, _):
        with WebClient(f"http://{host}") as web:
            assert web.ask("GET", "/a").status == 302
        with WebClient(f"http://{host}", WebOptions(follow=True)) as web:
            assert web.ask("GET", "/a").status == 200


def test_no_more_is_read_than_was_asked_for() -> None:
    """An endless answer does not fill the memory."""
    with serving(lambda path: (200, b"x" * 100_000, {})) as (host, _), WebClient(f"http://{host}") as web:
        assert web.ask("GET", most_bytes=10).body == b"x" * 10
        assert len(web.ask("GET").body) == 100_000


def test_what_fails_on_the_way_is_one_error_and_tells_no_secret() -> None:
    """Nobody listens, nobody answers in time, or the answer breaks off: the address without credentials, one reason."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        options = WebOptions(token=SECRET, timeout_s=0.2)
        with WebClient(f"http://u:{SECRET}@127.0.0.1:{port}", options) as web, pytest.raises(ServerUnavailable) as late:
            web.ask("GET", headers={"x": SECRET})
    options = WebOptions({"x": SECRET})
    with WebClient(f"http://u:{SECRET}@127.0.0.1:1", options) as web, pytest.raises(ServerUnavailable) as nobody:
        web.ask("GET")
    with (
        serving(lambda path: (200, b"short", {"content-length": "999", "connection": "close"})) as (host, _),
        WebClient(f"http://{host}") as web,
        pytest.raises(ServerUnavailable),
    ):
        web.ask("GET")
    assert late.value.address == f"http://127.0.0.1:{port}"
    assert "timed out" in late.value.reason
    assert "refused" in nobody.value.reason
    for caught in (late, nobody):
        assert SECRET not in str(caught.value)
    assert SECRET not in repr(WebOptions({"x": SECRET}, SECRET))


@pytest.mark.parametrize("url", [f"ftp://u:{SECRET}@h", f"http://u:{SECRET}@", f"http://u:{SECRET}@h:port", "h:80"])
def test_what_is_no_address_is_refused_without_its_credentials(url: str) -> None:
    """The error shows the rest of it."""
    with pytest.raises(ConfigInvalid) as caught:
        WebClient(url)
    assert SECRET not in str(caught.value)
    assert without_credentials("http://u:p@h:1/a?t=1") == "http://h:1/a"


def test_an_authority_that_cannot_be_read_is_named() -> None:
    """A path that is wrong is the caller's mistake, not an outage."""
    with pytest.raises(ConfigInvalid, match=r"nowhere\.pem"):
        WebClient("https://127.0.0.1:1", WebOptions(ca="nowhere.pem"))
