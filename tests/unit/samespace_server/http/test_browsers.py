"""Pages of other origins, and a prefix before every path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.server.http import SPACE, Door, door
from samespace.errors import ConfigInvalid
from samespace_server.http.browsers import Origins

PAGE, OTHER_PAGE = "https://app.example.org", "https://evil.example.org"
PATH = f"/e/{SPACE}/v1/embeddings"
BODY = {"input": "a", "model": "x"}


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    with door(tokens=["a-secret-of-16-bytes"], origins=[PAGE, "http://localhost:3000/"]) as opened:
        yield opened


def shown(reply: object) -> dict[str, str]:
    headers = getattr(reply, "headers", {})
    return {name: value for name, value in headers.items() if name.startswith("access-control")}


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_a_named_page_may_ask(running: Door, origin: str) -> None:
    """First whether it may, which a browser asks without a token; then with its own token."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    first = running.client.options(PATH, headers=asked | {"access-control-request-headers": "authorization"})
    assert first.status_code == 204
    assert shown(first)["access-control-allow-origin"] == origin
    assert "POST" in shown(first)["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(shown(first)["access-control-allow-headers"].split(", "))
    for token, status in (("a-secret-of-16-bytes", 200), ("wrong", 401)):
        headers = {"origin": origin, "authorization": f"Bearer {token}"}
        reply = running.client.post(PATH, json=BODY, headers=headers)
        assert reply.status_code == status
        assert shown(reply)["access-control-allow-origin"] == origin and reply.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("origin", [OTHER_PAGE, PAGE + ".evil.org", "http://app.example.org", "null", ""])
def test_no_other_page_may(running: Door, origin: str) -> None:
    """Neither by a look-alike, nor over another scheme."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    first = running.client.options(PATH, headers=asked)
    assert first.status_code == 405 and not shown(first)
    reply = running.client.post(
        PATH, json=BODY, headers={"origin": origin, "authorization": "Bearer a-secret-of-16-bytes"}
    )
    assert reply.status_code == 200 and not shown(reply)


def test_what_tells_of_the_server_is_not_for_pages(running: Door) -> None:
    """Metrics are read by pages of the server itself."""
    headers = {"origin": PAGE, "authorization": "Bearer a-secret-of-16-bytes"}
    reply = running.client.get("/metrics", headers=headers)
    assert reply.status_code == 200 and not shown(reply)
    asked = {"origin": PAGE, "access-control-request-method": "GET"}
    assert running.client.options("/metrics", headers=asked).status_code == 405


def test_all_pages_may_where_that_is_said() -> None:
    """With a star, which browsers take where no cookies are sent."""
    with door(origins=["*"]) as running:
        reply = running.client.post(PATH, json=BODY, headers={"origin": OTHER_PAGE})
        assert shown(reply)["access-control-allow-origin"] == "*"


def test_no_page_may_unless_one_is_named() -> None:
    """That is the default."""
    with door() as running:
        assert not shown(running.client.post(PATH, json=BODY, headers={"origin": PAGE}))


@pytest.mark.parametrize("origin", ["app.example.org", "https://a.example/path", "https://*.example.org", "ftp://a"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """At the start, not by silence later."""
    with pytest.raises(ConfigInvalid, match="expected origins"):
        Origins([origin])


def test_a_prefix_is_taken_off() -> None:
    """Every path is answered below it, and without it for probes that go past the proxy."""
    with door(prefix="/team/encoder") as running:
        for before in ("", "/team/encoder", "/team/encoder/"):
            assert running.client.post(f"{before}{PATH}", json=BODY).status_code == 200
            assert running.client.get(f"{before}/.well-known/live").status_code == 204
        for path in ("/team", "/encoder", "/team/encoders", "/team/encoder/team/encoder"):
            assert running.client.post(f"{path}{PATH}", json=BODY).status_code == 404
