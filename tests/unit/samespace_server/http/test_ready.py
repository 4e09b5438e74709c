"""Live and ready over HTTP, which differ; in front of an engine that computes nothing."""

from __future__ import annotations

import httpx
import pytest

from fakes.server.http import SPACE, Door, door


def probe(served: Door, path: str) -> int:
    return httpx.get(f"{served.url}{path}").status_code


@pytest.mark.parametrize("prefix", ["", f"/e/{SPACE}", f"/e/{SPACE[:12]}"])
def test_a_broken_space_is_live_and_not_ready(prefix: str) -> None:
    """Restarting would not help, and sending requests neither; when it is whole again, it is ready again."""
    with door() as served:
        for broken, expected in ((None, 204), ("the model gave NaN", 503), (None, 204)):
            served.engine.broken = broken
            assert probe(served, f"{prefix}/.well-known/live") == 204
            assert probe(served, f"{prefix}/.well-known/ready") == expected


@pytest.mark.parametrize("prefix", ["", f"/e/{SPACE}"])
def test_a_space_whose_run_does_not_come_back_is_not_live(prefix: str) -> None:
    """Nothing but a new start mends it, and that is what not live asks for."""
    with door() as served:
        for hung, expected in ((None, 204), ("a run of the model has not come back for 60 s", 503), (None, 204)):
            served.engine.hung = hung
            assert probe(served, f"{prefix}/.well-known/live") == expected


@pytest.mark.parametrize("state", ["loading", "draining"])
def test_a_server_that_loads_or_drains_is_live_and_not_ready(state: str) -> None:
    """Also for a space that may not be there yet: 503 and not "unknown", because it may come."""
    with door() as served:
        served.run(lambda: setattr(served.spaces, "state", state))
        assert probe(served, "/.well-known/live") == 204
        for path in ("/.well-known/ready", f"/e/{SPACE}/.well-known/ready"):
            assert probe(served, path) == 503


def test_a_space_that_is_not_served_is_not_ready() -> None:
    """409 with what is served, as for a request."""
    with door() as served:
        reply = httpx.get(f"{served.url}/e/{'c' * 64}/.well-known/ready")
    assert reply.status_code == 409
    assert reply.json()["fields"] == {"requested": "c" * 64, "served": [SPACE]}


TOKEN = "the-only-token-of-this-test"


@pytest.mark.parametrize("prefix", ["", f"/e/{'c' * 64}", f"/e/{SPACE[:11]}", "/e/nonsense"])
def test_nobody_without_a_token_learns_the_name_of_a_space(prefix: str) -> None:
    """Whatever route is asked, also one that is open; with the token, a probe says what is served."""
    paths = (
        ".well-known/live",
        ".well-known/ready",
        "health",
        "meta",
        "info",
        "v1/models",
        "openapi.json",
        "docs",
        "x",
    )
    with door(tokens=[TOKEN]) as served:
        for path in paths:
            for method in ("GET", "POST", "OPTIONS"):
                reply = httpx.request(method, f"{served.url}{prefix}/{path}")
                assert SPACE[:12] not in reply.text + str(reply.headers), (method, path)
        headers = {"authorization": f"Bearer {TOKEN}"}
        told = httpx.get(f"{served.url}/e/{'c' * 64}/.well-known/ready", headers=headers)
    assert (told.status_code, told.json()["fields"]["served"]) == (409, [SPACE])
