"""The HTTP routes of others, over a real socket and an engine that computes nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.server.http import DIMS, MATRYOSHKA, OTHER, SPACE, VECTOR, Door, door
from samespace_server.http.routes import PIECE

ROUTES = ("vectors", "v2/embed", "v1/embeddings")
COHERE: dict[str, Any] = {"texts": ["a", "b"], "input_type": "search_query"}
OPENAI: dict[str, Any] = {"input": ["a", "b"], "model": "x"}


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    with door() as opened:
        yield opened


@pytest.fixture(scope="module")
def asymmetric() -> Iterator[Door]:
    """An encoder that treats queries and passages differently."""
    with door(role_matters=True) as opened:
        yield opened


def post(running: Door, route: str, body: Any, prefix: str = f"/e/{SPACE}") -> httpx.Response:
    return running.client.post(f"{prefix}/{route}", json=body)


# -- Weaviate's transformers container: what its clients and its own checks rely on


@pytest.mark.parametrize("path", ["/vectors", "/vectors/"])
@pytest.mark.parametrize("config", [None, {}, {"task_type": "query"}, {"task_type": "passage", "dimensions": 4}])
def test_weaviates_container_is_replaced(running: Door, path: str, config: dict[str, Any] | None) -> None:
    """With a default space: the container's paths, with and without a slash, config and task type."""
    reply = running.client.post(path, json={"text": "a"} | ({} if config is None else {"config": config}))
    assert reply.status_code == 200
    told = reply.json()
    assert (told["text"], told["dim"], len(told["vector"])) == (
        "a",
        *[4 if config and "dimensions" in config else 8] * 2,
    )


def test_the_containers_probes_and_meta(running: Door) -> None:
    """Live and ready are 204 without a body, meta is an object."""
    for probe in ("live", "ready"):
        reply = running.client.get(f"/.well-known/{probe}")
        assert (reply.status_code, reply.content) == (204, b"")
    assert isinstance(running.client.get("/meta").json(), dict)


def test_the_containers_refusal_of_a_token() -> None:
    """401 with the very word that its clients look for; live and ready need none."""
    with door(tokens=["token-of-enough-length"]) as running:
        for headers in ({}, {"Authorization": "Bearer bad-token"}):
            for reply in (
                running.client.get("/meta", headers=headers),
                running.client.post("/vectors", headers=headers, json={"text": "a"}),
            ):
                assert (reply.status_code, reply.json()["error"]) == (401, "Unauthorized")
        assert running.client.get("/.well-known/ready").status_code == 204
        headers = {"Authorization": "Bearer token-of-enough-length"}
        assert running.client.post("/vectors", headers=headers, json={"text": "a"}).status_code == 200


def test_a_vector_is_written_with_all_its_digits(running: Door) -> None:
    """What is read back is the float32 that was computed."""
    with door() as exact:
        exact.run(lambda: setattr(exact.engine, "vector", np.float32([[0.1, 1 / 3, -2e-7, 1e-38, 1, 0, -0.0, 0.7]])))
        for body, route, found in (
            ({"text": "a"}, "vectors", lambda told: [told["vector"]]),
            (COHERE, "v2/embed", lambda told: told["embeddings"]["float"]),
            (OPENAI, "v1/embeddings", lambda told: [each["embedding"] for each in told["data"]]),
        ):
            vectors = np.float32(found(post(exact, route, body).json()))
            assert (vectors == exact.engine.vector).all()


@pytest.mark.parametrize("count", [1, PIECE, PIECE + 1, 5 * PIECE])
def test_many_vectors_come_in_order(running: Door, count: int) -> None:
    """However many pieces the reply was written in, each text has its own vector, as numbers or packed."""
    texts = [f"text {number}" for number in range(count)]
    with door() as numbered:
        numbered.run(lambda: setattr(numbered.engine, "vector", np.arange(DIMS, dtype=np.float32)[None]))
        numbered.run(lambda: setattr(numbered.engine, "numbered", True))
        wanted = np.arange(DIMS)[None] + np.arange(count)[:, None]
        cohere = post(numbered, "v2/embed", COHERE | {"texts": texts}).json()["embeddings"]["float"]
        assert (np.float32(cohere) == wanted).all()
        packed = post(numbered, "v1/embeddings", OPENAI | {"input": texts, "encoding_format": "base64"}).json()
        assert [each["index"] for each in packed["data"]] == list(range(count))
        found = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in packed["data"]]
        assert (np.array(found) == wanted).all()


# -- roles


def test_a_role_reaches_the_encoder(running: Door) -> None:
    """Each dialect's word for it; without one, an encoder that does not care is asked for a passage."""
    for route, body, role in (
        ("vectors", {"text": "a", "config": {"task_type": "query"}}, "query"),
        ("v2/embed", {"texts": ["a"], "input_type": "search_document"}, "passage"),
        ("v1/embeddings", {"input": "a", "input_type": "query"}, "query"),
        ("v1/embeddings", {"input": "a", "input_type": "search_query"}, "query"),
        ("vectors", {"text": "a"}, "passage"),
        ("v1/embeddings", {"input": "a"}, "passage"),
    ):
        assert post(running, route, body).status_code == 200
        assert running.engine.asked[-1]["role"] == role


def test_an_encoder_that_cares_has_to_be_told_the_role(asymmetric: Door) -> None:
    """A missing role is 400 with the field's name, in every dialect."""
    for route, body, field in (
        ("vectors", {"text": "a"}, "config.task_type"),
        ("v2/embed", {"texts": ["a"]}, "input_type"),
        ("v1/embeddings", {"input": "a"}, "input_type"),
    ):
        refused = post(asymmetric, route, body)
        assert refused.status_code == 400
        assert field in refused.json()["message"]


# -- dims and long texts


@pytest.mark.parametrize(("dims", "status"), [(None, 200), (0, 200), (DIMS, 200), (MATRYOSHKA[0], 200), (5, 400)])
def test_fewer_dims_are_given_where_the_manifest_lists_them(running: Door, dims: int | None, status: int) -> None:
    """OpenAI's dimensions, Cohere's output_dimension, Weaviate's dimensions; any other number is 400."""
    bodies = (
        ("vectors", {"text": "a", "config": {"dimensions": dims}}, lambda told: told["vector"]),
        ("v2/embed", COHERE | {"output_dimension": dims}, lambda told: told["embeddings"]["float"][1]),
        ("v1/embeddings", OPENAI | {"dimensions": dims}, lambda told: told["data"][1]["embedding"]),
    )
    for route, body, vector in bodies:
        reply = post(running, route, body)
        assert reply.status_code == status, reply.text
        if status == 200:
            assert len(vector(reply.json())) == (dims or DIMS)


def test_windows_of_long_texts_come_on_request(running: Door) -> None:
    """One vector a window, with the text and the characters that it stands for; Weaviate's route has room for one."""
    cohere = post(running, "v2/embed", COHERE | {"long_texts": "windows"}).json()
    assert (len(cohere["embeddings"]["float"]), cohere["spans"]) == (4, [[0, 0, 5], [0, 3, 8], [1, 0, 5], [1, 3, 8]])
    openai = post(running, "v1/embeddings", OPENAI | {"long_texts": "windows"}).json()
    told = [(each["index"], each["start"], each["end"]) for each in openai["data"]]
    assert told == [(0, 0, 5), (0, 3, 8), (1, 0, 5), (1, 3, 8)]
    refused = post(running, "vectors", {"text": "a", "config": {"long_texts": "windows"}})
    assert (refused.status_code, "pool or reject" in refused.text) == (400, True)


def test_long_texts_may_be_refused(running: Door) -> None:
    """long_texts=reject, or Cohere's truncate=NONE, reach the encoder; an own word goes before Cohere's."""
    for route, body, wanted in (
        ("vectors", {"text": "a", "config": {"long_texts": "reject"}}, "reject"),
        ("v1/embeddings", OPENAI | {"long_texts": "reject"}, "reject"),
        ("v2/embed", COHERE | {"truncate": "NONE"}, "reject"),
        ("v2/embed", COHERE | {"truncate": "NONE", "long_texts": "pool"}, "pool"),
        ("v2/embed", COHERE | {"truncate": "END"}, "pool"),
    ):
        assert post(running, route, body).status_code == 200
        assert running.engine.asked[-1]["long_texts"] == wanted


# -- the space


def test_a_model_may_name_the_space(running: Door) -> None:
    """Twelve digits of an id are a space; other names of models are let through."""
    for model, status in (
        (SPACE, 200),
        (SPACE[:12], 200),
        ("text-embedding-3-small", 200),
        ("beef", 200),
        (OTHER, 404),
    ):
        for route, body in (("v1/embeddings", OPENAI), ("v2/embed", COHERE)):
            assert post(running, route, body | {"model": model}, prefix="").status_code == status
            reply = post(running, route, body | {"model": model})
            assert reply.status_code == status
            if status == 404:
                assert OTHER in reply.text and SPACE in reply.text


# -- OpenAI's client


def test_openais_client_gets_what_it_asks_for(running: Door) -> None:
    """Base64 of little-endian float32, which its Python client asks for by default, and usage; or numbers."""
    packed = post(running, "v1/embeddings", OPENAI | {"encoding_format": "base64", "user": "me"}).json()
    assert packed["object"] == "list"
    assert [each["index"] for each in packed["data"]] == [0, 1]
    for each in packed["data"]:
        assert each["object"] == "embedding"
        assert (np.frombuffer(base64.b64decode(each["embedding"]), "<f4") == VECTOR[0]).all()
    assert packed["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert post(running, "v1/embeddings", OPENAI).json()["data"][0]["embedding"] == VECTOR[0].tolist()


def test_openais_errors_are_objects(running: Door) -> None:
    """With a message and a type, beside the keys of the others; for 401 too."""
    refused = post(running, "v1/embeddings", {"input": []}).json()
    assert refused["error"]["type"] == "RequestInvalid"
    assert refused["error"]["message"] == refused["message"]
    with door(tokens=["token-of-enough-length"]) as locked:
        error = post(locked, "v1/embeddings", OPENAI).json()["error"]
        assert error["type"] == "Unauthenticated"


def test_token_ids_are_refused_with_the_remedy(running: Door) -> None:
    """They are of somebody else's tokenizer: an embedding of them would be of nothing."""
    for tokens in ([1, 2], [[1, 2], [3]]):
        refused = post(running, "v1/embeddings", {"input": tokens, "model": "x"})
        assert refused.status_code == 400
        assert "send texts" in refused.json()["error"]["message"]


def test_spaces_are_listed_as_models(running: Door) -> None:
    """So that clients which let their users choose a model find the space."""
    for prefix in ("", f"/e/{SPACE}"):
        told = running.client.get(f"{prefix}/v1/models").json()
        assert [each["id"] for each in told["data"]] == [SPACE]
    assert running.client.get(f"/e/{OTHER}/v1/models").status_code == 404


# -- wrong types, in every field


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_type_in_any_field_is_400(running: Door, route: str) -> None:
    """Whatever stands where: the caller's error, with three readable keys, and never a 500."""
    right: dict[str, dict[str, Any]] = {
        "vectors": {"text": "a", "config": {"task_type": "query", "dimensions": 4, "long_texts": "pool"}},
        "v2/embed": COHERE
        | {"embedding_types": ["float"], "truncate": "END", "output_dimension": 4, "long_texts": "pool"},
        "v1/embeddings": OPENAI
        | {"encoding_format": "float", "dimensions": 4, "input_type": "query", "long_texts": "pool"},
    }
    assert post(running, route, right[route]).status_code == 200
    values = [
        1.5,
        -1,
        True,
        10**15,
        "",
        "\u0000",
        [],
        [[]],
        [None],
        {},
        {"a": 1},
        ["a", 3],
        ["a"] * 3 + [None],
        "x" * 99,
    ]
    paths = [(key,) for key in right[route]] + [("config", key) for key in right[route].get("config", ())]
    refused = 0
    for path in paths:
        for value in values:
            body = json.loads(json.dumps(right[route]))
            place = body["config"] if len(path) == 2 else body
            place[path[-1]] = value
            reply = post(running, route, body)
            assert reply.status_code in (200, 400), (path, value, reply.text)
            refused += reply.status_code == 400
            if reply.status_code == 400:
                assert reply.json().keys() >= {"error", "message", "detail"}
            else:
                assert path[-1] == "model" or not isinstance(value, float), (path, value)
    assert refused > len(paths) * len(values) // 2
