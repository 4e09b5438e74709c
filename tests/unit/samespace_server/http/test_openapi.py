"""`/openapi.json` by a library's validator, and by what the server really takes and gives."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from fakes.server.http import SPACE, Door, door
from samespace_server.http.dialects import all_dialects
from samespace_server.http.dialects.fields import role_of

ROUTES = [(dialect, path) for dialect in all_dialects() for path in dialect.routes]


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    with door() as opened:
        yield opened


@pytest.fixture(scope="module")
def told(running: Door) -> dict[str, Any]:
    found: dict[str, Any] = running.client.get("/openapi.json").json()
    return found


def test_it_is_openapi(told: dict[str, Any]) -> None:
    """The validator of the specification finds nothing wrong."""
    OpenAPIV31SpecValidator(told).validate()


def test_every_route_is_in_it(running: Door, told: dict[str, Any]) -> None:
    """And nothing that is none: the app's own table and the document name the same paths."""
    app: Any = running.server.app
    assert {f"/{path.replace('*', '{name}')}" for path in app.paths} == set(told["paths"])
    for path, methods in told["paths"].items():
        assert {method.upper() for method in methods} == set(app._methods(path.strip("/").split("/"))) - {"HEAD"}


@pytest.mark.parametrize(("dialect", "path"), ROUTES, ids=[path for _, path in ROUTES])
def test_examples_are_answered_as_it_says(running: Door, told: dict[str, Any], dialect: Any, path: str) -> None:
    """The example fits the schema of the request; the answer, and that of a wrong request, fit theirs."""
    operation = told["paths"][f"/{path.replace('*', '{name}')}"]["post"]
    asked = operation["requestBody"]["content"]["application/json"]
    Draft202012Validator(asked["schema"]).validate(asked["example"])
    where = f"/e/{SPACE}/{path.replace('*', 'mine')}"
    reply = running.client.post(where, json=asked["example"])
    assert reply.status_code == 200
    Draft202012Validator(operation["responses"]["200"]["content"]["application/json"]["schema"]).validate(reply.json())
    for body, status in (({}, 400), ({**asked["example"], "model": "f" * 64}, dialect.space_status)):
        reply = running.client.post(where, json=body)
        assert reply.status_code == status or status == 409
        assert str(reply.status_code) in operation["responses"]
        Draft202012Validator(told["components"]["schemas"]["Error"]).validate(reply.json())


@pytest.mark.parametrize(("dialect", "path"), ROUTES, ids=[path for _, path in ROUTES])
def test_every_field_that_is_told_is_read(dialect: Any, path: str) -> None:
    """A field that the schema names and the dialect does not look at would promise what nobody keeps."""
    read: set[str] = set()

    class Seen(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    from samespace_server.http.dialects import RequestContext, named_space

    for more in ({}, {"task": "retrieval.query"}, {"inputs": [{"content": "a"}]}):
        without = {"task": "input_type", "inputs": "texts"}.get(next(iter(more), ""), "")
        body = Seen({key: value for key, value in dialect.example.items() if key != without} | more)
        named_space(body)
        try:
            dialect.parse(body, RequestContext(role_matters=False))
        except Exception:  # noqa: BLE001 - what is read before it was wrong counts
            continue
    assert set(dialect.request["properties"]) <= read
    assert read - {"images"} <= set(dialect.request["properties"]) | {"model", "long_texts", "input_type"}


def test_roles_are_told(told: dict[str, Any]) -> None:
    """The words in the description are some that are understood."""
    about = told["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    words = re.findall(r"[a-z]+[._][a-z]+", about["properties"]["input_type"]["description"])
    assert words and all(map(role_of, words))


def test_it_is_open_and_knows_its_prefix() -> None:
    """Without a token, which a person who reads it may not have; it says nothing of the spaces."""
    with door(tokens=["a-secret-of-16-bytes"], prefix="/encoder") as running:
        told = running.client.get("/encoder/openapi.json")
        assert told.status_code == 200 and SPACE not in told.text
        assert [server["url"] for server in told.json()["servers"]] == [
            "/encoder/e/{space}", "/encoder/e/{space}/{role}", "/encoder"
        ]  # fmt: skip
        assert running.client.get("/encoder/docs").status_code == 200
        assert running.client.get("/encoder/v1/models").status_code == 401


def test_the_page_needs_nothing_from_elsewhere(running: Door) -> None:
    """One file; its own style and script by their digests, and requests to this server alone."""
    reply = running.client.get("/docs")
    assert "http://" not in reply.text and "https://" not in reply.text
    policy = reply.headers["content-security-policy"]
    for kind in ("style", "script"):
        (inside,) = re.findall(rf"<{kind}>(.*?)</{kind}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "connect-src 'self'" in policy and "innerHTML" not in reply.text
