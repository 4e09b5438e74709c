"""The status page: the numbers behind it, and that it can do no harm."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samespace.artifact import Artifact, open_artifact
from samespace.errors import Overloaded
from samespace.exporting.composites.concatenate import combine, join_towers
from samespace_server.http.messages import Request, Response
from samespace_server.http.routes import HttpApp
from samespace_server.http.status_page import add_status
from samespace_server.observing.logs import Refusals
from samespace_server.observing.observe import Watch
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.engine import Engine
from samespace_server.security.tokens import Guard
from samespace_server.settings import Choice, Limits
from samespace_server.spaces.loader import Loader
from samespace_server.spaces.registry import Spaces

TOKEN = "0123456789abcdef0123"
NASTY = '</script><img src=x onerror="alert(1)">\u2028'


class Server:
    """Everything behind the page, in this process."""

    def __init__(self, *tokens: str) -> None:
        self.spaces, self.telemetry = Spaces(address="host:1"), Telemetry()
        self.telemetry.watch(self.spaces, lambda: 3)
        self.loader = Loader(self.spaces, self.telemetry, Limits())
        self.watch = Watch(self.telemetry, Refusals(lambda: 0))
        self.app = HttpApp(self.telemetry, Guard(tokens))
        add_status(self.app, self.spaces, self.telemetry, Limits())

    async def numbers(self) -> Any:
        """What `/status.json` says once the last run was counted, which is after its answers have left."""
        while True:
            told = json.loads(
                (await self.get("/status.json")).body, object_hook=lambda fields: SimpleNamespace(**fields)
            )
            if all(space.windows for space in told.spaces):
                return told
            await asyncio.sleep(0)

    async def get(self, path: str, **headers: str) -> Response:
        sent = {name.encode(): value.encode() for name, value in headers.items()}
        request = Request(method="GET", target=path.encode(), headers=sent)
        found = self.app.route(request)
        return found if isinstance(found, Response) else await found(request)


def page() -> tuple[str, dict[str, str]]:
    """The page and its headers."""

    async def scenario() -> Response:
        return await Server().get("/")

    response = asyncio.run(scenario())
    return response.body.decode(), {name.decode(): value.decode() for name, value in response.headers}


def test_the_policy_allows_the_page_itself_and_nothing_else() -> None:
    """Style and script by their digests; requests to this server; no frames, no other origin."""
    html, headers = page()
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"] and "*" not in headers["content-security-policy"]
    for kind in ("style", "script"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"


def test_the_page_needs_nothing_from_elsewhere_and_makes_no_markup_of_data() -> None:
    """No address but SVG's name, no inline handler or style, nothing that parses strings as HTML or code."""
    html, _ = page()
    assert set(re.findall(r"\w+://[^\s\"'<]+", html)) == {"http://www.w3.org/2000/svg"}
    markup = ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(")
    kept = ("localStorage", "sessionStorage", "cookie")
    for forbidden in (*markup, *kept):
        assert forbidden not in html
    assert not re.search(r"<[^>]*\s(on\w+|style|src|href)=", html)


def test_every_field_of_the_page_has_a_label() -> None:
    """What a person fills in is named, for those who do not see it too."""
    html, _ = page()
    fields = re.findall(r"<(?:textarea|select|input) id=\"([\w-]+)\"", html)
    assert len(fields) == 6
    assert set(fields) == set(re.findall(r"<label for=\"([\w-]+)\"", html))


def test_the_numbers_are_those_of_the_spaces(tiny_artifact: Path) -> None:
    """What was embedded and refused is there, by space, with what runs it; a nasty name is data."""

    async def scenario() -> None:
        server = Server()
        artifact = open_artifact(tiny_artifact)
        named: Artifact = replace(artifact, manifest=replace(artifact.manifest, name=NASTY))
        engine = await server.loader.load(named, Choice(build="fp32", runtime="onnxruntime", threads=1))
        assert isinstance(engine, Engine)
        server.spaces.state = "ready"
        with server.watch.request("vectors") as seen:
            seen.space_id = engine.space_id
            seen.answer = await engine.embed(["a list", "a"], "query")
        with pytest.raises(Overloaded), server.watch.request("vectors") as seen:
            seen.space_id = engine.space_id
            raise Overloaded(queued=2, limit=1, unit="tokens", retry_after_ms=100)
        response = await server.get("/status.json")
        assert b"</script>" in response.body and response.content_type == b"application/json"
        told = await server.numbers()
        await server.loader.close()
        assert (told.server.state, told.server.ready, told.server.http_connections) == ("ready", True, 3)
        (space,) = told.spaces
        assert (space.space_id, space.name, space.dims, space.build) == (artifact.space_id, NASTY, 32, "fp32")
        assert (space.texts, space.windows) == (2, 2) and space.tokens > 4 and space.runs >= 1
        assert vars(space.requests) == {"ok": 1, "Overloaded": 1}
        assert space.latency[-1] == [None, 1] and space.latency[0][0] == 0.0005
        assert space.ready and space.broken is None and space.probe_worst <= space.probe_bound

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["concatenation", "two_tower"])
def test_a_composite_counts_each_text_once(
    tiny_artifact: Path, other_artifact: Path, tmp_path: Path, kind: str
) -> None:
    """Its parts do the counting: a text that goes through both is one text, and the tokens of both were run."""
    parts = [open_artifact(tiny_artifact), open_artifact(other_artifact)]
    whole = (
        combine(parts, tmp_path / "whole")
        if kind == "concatenation"
        else join_towers(*parts, tmp_path / "whole", anyway=True)
    )

    async def scenario() -> None:
        server = Server()
        engine = await server.loader.load(whole, Choice(build="fp32", runtime="onnxruntime", threads=1))
        server.spaces.state = "ready"
        answer = await engine.embed(["a list", "a"], "query")
        expected = sum(answer.embedded.tokens) * (2 if kind == "concatenation" else 1)
        while (told := await server.numbers()).spaces[0].tokens < expected:
            await asyncio.sleep(0)
        await server.loader.close()
        (space,) = told.spaces
        assert (space.space_id, space.texts, space.tokens) == (whole.space_id, 2, expected)

    asyncio.run(scenario())


def test_a_server_with_tokens_shows_the_page_but_no_numbers() -> None:
    """The page can ask for the token; names and rates are for those who have it."""

    async def scenario() -> None:
        server = Server(TOKEN)
        assert (await server.get("/")).status == 200
        assert (await server.get("/status.json")).status == 401
        assert (await server.get("/status.json", authorization=f"Bearer {TOKEN}")).status == 200

    asyncio.run(scenario())
