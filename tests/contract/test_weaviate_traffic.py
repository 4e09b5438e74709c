"""What Weaviate really sent, kept in files beside this one, replayed byte for byte against `samespace serve`.

No Weaviate is needed here. The files are written by tools/capture_contract.py, and
`tests/weaviate/access/test_contract.py` holds them against a running Weaviate. Replies are read as Weaviate reads them
(`fakes.weaviate.go_json`).
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.server.http import Reader, Reply
from fakes.server.process import Running, serving
from fakes.weaviate.go_json import COHERE, OPENAI, VECTORS, decode
from fakes.weaviate.traffic import SPACE, Case, raw, read
from samespace import Encoder
from samespace.text import Role
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

CASES = {
    (version, name): case for version, cases in read(Path(__file__).parent).items() for name, case in cases.items()
}
FP32_CPU = 1e-6  # 1 - cosine: what batch shapes may change in float32
SPECS = {"vectors": VECTORS, "embed": COHERE, "embeddings": OPENAI}
ROLES: dict[str, Role] = {"search_query": "query", "search_document": "passage", "query": "query", "passage": "passage"}
TIMEOUT_S = 60


def of(kind: str) -> Any:
    """Parametrise a test with the kept cases whose names contain *kind*."""
    found = {f"{version}-{name}": case for (version, name), case in CASES.items() if kind in name}
    assert found, f"no file has a case of {kind}"
    return pytest.mark.parametrize("case", found.values(), ids=found.keys())


@pytest.fixture(scope="module")
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact) as running:
        yield running


@pytest.fixture(scope="module")
def encoder(tiny_artifact: Path) -> Iterator[Encoder]:
    """The artifact itself: the vectors that have to come back."""
    with Encoder.load(tiny_artifact, runtime="onnxruntime") as opened:
        yield opened


def replay(running: Running, case: Case, space_id: str) -> list[Reply]:
    """Send a case as Weaviate did, each request after the reply to the one before, on one connection."""
    port = running.told["http_port"]
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sock:
        reader, replies = Reader(sock), []
        for request in case:
            sock.sendall(raw(request, space_id))
            reply = reader.reply()
            assert reply is not None, "the connection was closed; Weaviate sends its next request on the same one"
            replies.append(reply)
        return replies


def asked(request: dict[str, Any]) -> tuple[list[str], Role]:
    """The texts and the role of a kept request; OpenAI's format tells none."""
    body = json.loads(request["body"])
    if "text" in body:
        return [body["text"]], ROLES[body["config"]["task_type"]]
    return body.get("texts") or body["input"], ROLES[body.get("input_type", "passage")]


def rows(request: dict[str, Any], reply: Reply) -> list[list[float]]:
    """The vectors that Weaviate takes out of the reply, in its order."""
    route = request["path"].rsplit("/", 1)[1]
    read_as = decode(SPECS[route], reply.body)
    assert not read_as.get("error"), "Weaviate takes a reply with an error in it for one without a vector"
    if route == "vectors":
        return [read_as["vector"]]
    if route == "embed":
        return read_as["embeddings"]["float"]  # type: ignore[no-any-return]
    return [each["embedding"] for each in read_as["data"]]


@of("-single")
def test_one_object_is_encoded(server: Running, encoder: Encoder, case: Case) -> None:
    """Status 200 and the vector of exactly this text, however Go wrote its characters."""
    _holds(server, encoder, case)


@of("-query")
def test_a_query_is_encoded_as_a_query(server: Running, encoder: Encoder, case: Case) -> None:
    """Status 200 and the vector of the text in the role that Weaviate told."""
    _holds(server, encoder, case)


@of("-batch")
def test_a_batch_gives_as_many_vectors_as_texts_in_their_order(server: Running, encoder: Encoder, case: Case) -> None:
    """One text a request (transformers), or up to 96 (cohere): Weaviate trusts the order and counts nothing."""
    _holds(server, encoder, case)


def _holds(server: Running, encoder: Encoder, case: Case) -> None:
    for request, reply in zip(case, replay(server, case, server.space_ids[0]), strict=True):
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), reply.body
        texts, role = asked(request)
        found = np.asarray(rows(request, reply), dtype=np.float32)
        wanted = np.asarray(encoder.encode(texts, role))
        assert found.shape == wanted.shape
        assert cosine_distance(found, wanted).max() < FP32_CPU


@of("probe-ready")
@pytest.mark.parametrize("prefix", ["", f"/e/{SPACE}"])
def test_the_probe_of_weaviates_start_is_answered(server: Running, case: Case, prefix: str) -> None:
    """At most 299; anything else keeps Weaviate from starting. Below a space's prefix too."""
    for reply in replay(server, _below(prefix, case), server.space_ids[0]):
        assert 200 <= reply.status <= 299


@of("probe-meta")
@pytest.mark.parametrize("prefix", ["", f"/e/{SPACE}"])
def test_meta_is_an_object(server: Running, case: Case, prefix: str) -> None:
    """Weaviate publishes it under its own `/v1/meta`, and asks with every probe of its own readiness."""
    for reply in replay(server, _below(prefix, case), server.space_ids[0]):
        assert reply.status == 200
        assert isinstance(json.loads(reply.body), dict)


@of("-single")
def test_another_space_is_refused_in_words_that_reach_the_client(server: Running, case: Case) -> None:
    """Where each route of Weaviate looks for the error there is a string with both ids; never a 200."""
    (reply,) = replay(server, case, other := "a1" * 32)
    route = case[0]["path"].rsplit("/", 1)[1]
    told = decode(SPECS[route], reply.body)
    words = {"vectors": told.get("error"), "embed": told.get("message")}.get(route) or told["error"]["message"]
    assert reply.status in (404, 409)  # as the dialect has it
    assert other in words
    assert server.space_ids[0] in words


@of("transformers-token-single")
def test_a_token_in_the_address_arrives_as_a_password(tiny_artifact: Path, case: Case) -> None:
    """What Go makes of `http://weaviate:TOKEN@host` opens a server that wants this token, and no other."""
    (sent,) = [each for each in case[0]["headers"] if each.startswith("Authorization: Basic ")]
    user, _, token = base64.b64decode(sent.removeprefix("Authorization: Basic ")).partition(b":")
    assert user == b"weaviate"
    without = [each for each in case[0]["headers"] if each != sent]
    with serving(tiny_artifact, environment={"SAMESPACE_TOKENS": token.decode()}) as guarded:
        (let_in,) = replay(guarded, case, guarded.space_ids[0])
        (kept_out,) = replay(guarded, [{**case[0], "headers": without}], guarded.space_ids[0])
    assert (let_in.status, kept_out.status) == (200, 401)
    assert decode(VECTORS, kept_out.body)["error"] == "Unauthorized"


def test_every_version_has_the_same_cases() -> None:
    """A file that lacks a case would be a test that is not run."""
    names = [sorted(cases) for cases in read(Path(__file__).parent).values()]
    assert len(names) >= 2
    assert all(each == names[0] for each in names)


def _below(prefix: str, case: Case) -> Case:
    return [{**request, "path": prefix + request["path"]} for request in case]
