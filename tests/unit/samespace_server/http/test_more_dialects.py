"""The dialects beside Weaviate's, Cohere's v2 and OpenAI's, and the roles that a path tells."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fakes.server.http import DIMS, SPACE, VECTOR, Door, door
from samespace_server.http.dialects import all_dialects
from samespace_server.http.dialects.fields import ROLE_WORDS


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    with door() as opened:
        yield opened


@pytest.fixture(scope="module")
def asymmetric() -> Iterator[Door]:
    """An encoder that treats queries and passages differently."""
    with door(role_matters=True) as opened:
        yield opened


def post(running: Door, route: str, body: Any, prefix: str = f"/e/{SPACE}") -> Any:
    reply = running.client.post(f"{prefix}/{route}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


BODIES: dict[str, tuple[dict[str, Any], Any]] = {
    "v1/embeddings": ({"input": ["a"]}, lambda told: told["data"][0]["embedding"]),
    "embeddings": ({"input": ["a"]}, lambda told: told["data"][0]["embedding"]),
    "openai/deployments/mine/embeddings": ({"input": "a"}, lambda told: told["data"][0]["embedding"]),
    "v2/embed": ({"texts": ["a"], "input_type": "search_document"}, lambda told: told["embeddings"]["float"][0]),
    "v1/embed": ({"texts": ["a"]}, lambda told: told["embeddings"][0]),
    "api/embed": ({"model": "m", "input": "a"}, lambda told: told["embeddings"][0]),
    "api/embeddings": ({"model": "m", "prompt": "a"}, lambda told: told["embedding"]),
    "embed": ({"inputs": "a"}, lambda told: told[0]),
    "vectors": ({"text": "a"}, lambda told: told["vector"]),
}


@pytest.mark.parametrize("route", BODIES)
def test_each_gives_the_vector_in_its_own_shape(running: Door, route: str) -> None:
    """As float32, unchanged."""
    body, vector = BODIES[route]
    assert np.float32(vector(post(running, route, body))).tolist() == VECTOR[0].tolist()


def test_every_route_of_every_dialect_is_tried_here() -> None:
    """A new file of the room has to be added above."""
    routes = {route.replace("*", "mine") for dialect in all_dialects() for route in dialect.routes}
    assert routes == set(BODIES) | {"similarity"}


@pytest.mark.parametrize("route", BODIES)
@pytest.mark.parametrize("role", ["query", "passage"])
def test_the_path_may_tell_the_role(asymmetric: Door, route: str, role: str) -> None:
    """For clients that cannot: LangChain, LlamaIndex and OpenAI's own."""
    body = {key: value for key, value in BODIES[route][0].items() if key != "input_type"}
    post(asymmetric, route, body, prefix=f"/e/{SPACE}/{role}")
    assert asymmetric.engine.asked[-1]["role"] == role


def test_a_role_in_the_body_must_not_contradict_the_path(asymmetric: Door) -> None:
    """400 with both."""
    reply = asymmetric.client.post(f"/e/{SPACE}/query/v1/embeddings", json={"input": "a", "input_type": "document"})
    assert reply.status_code == 400
    assert "passage" in reply.text and "the path says query" in reply.text


@pytest.mark.parametrize("word", ROLE_WORDS)
def test_everybodys_words_for_a_role_are_understood(asymmetric: Door, word: str) -> None:
    """In capitals and with dots too; Jina's as a task, TEI's as the name of a prompt."""
    for route, body in (
        ("v1/embeddings", {"input": "a", "input_type": word}),
        ("v1/embeddings", {"input": "a", "task": word.upper().replace("_", ".")}),
        ("v2/embed", {"texts": ["a"], "input_type": word}),
        ("embed", {"inputs": "a", "prompt_name": word}),
    ):
        post(asymmetric, route, body)
        assert asymmetric.engine.asked[-1]["role"] == ROLE_WORDS[word]


def test_several_number_formats_at_once(running: Door) -> None:
    """Cohere's types beside one another; bits as sentence-transformers packs them."""
    from sentence_transformers.util.quantization import quantize_embeddings

    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    told = post(running, "v2/embed", {"texts": ["a"], "input_type": "search_query", "embedding_types": kinds})
    rows = {kind: told["embeddings"][kind][0] for kind in kinds}
    assert rows["int8"] == [64, -64, 64, -64, 0, 0, 0, 0]
    assert rows["uint8"] == [192, 64, 192, 64, 128, 128, 128, 128]
    assert rows["ubinary"] == quantize_embeddings(VECTOR, "ubinary")[0].tolist()
    assert rows["binary"] == quantize_embeddings(VECTOR, "binary")[0].tolist()
    assert (np.frombuffer(base64.b64decode(rows["base64"]), "<f4") == VECTOR[0]).all()
    voyage = post(running, "v1/embeddings", {"input": "a", "output_dtype": "int8", "input_type": "document"})
    assert voyage["data"][0]["embedding"] == rows["int8"]


def test_azures_key_is_a_token() -> None:
    """`api-key` in place of `Authorization`."""
    token = "token-of-enough-length"
    with door(tokens=[token]) as locked:
        path = f"/e/{SPACE}/openai/deployments/mine/embeddings?api-version=2024-02-01"
        assert locked.client.post(path, json={"input": "a"}, headers={"api-key": token}).status_code == 200
        assert locked.client.post(path, json={"input": "a"}, headers={"api-key": "another"}).status_code == 401


def test_similarity_is_the_cosine_to_each_sentence(running: Door) -> None:
    """As TEI gives it: a bare list."""
    inputs = {"source_sentence": "a", "sentences": ["b", "c"]}
    assert post(running, "similarity", {"inputs": inputs}) == [pytest.approx(1.0)] * 2


def test_what_is_no_text_is_named_by_its_place(running: Door) -> None:
    """Numbers, nothing, lists: 400 with the index."""
    for route, body, name in (
        ("v1/embeddings", {"input": ["a", None]}, "input[1]"),
        ("api/embed", {"input": ["a", "b", {}]}, "input[2]"),
        ("embed", {"inputs": ["a", True]}, "inputs[1]"),
        ("v2/embed", {"inputs": [{"content": [{"type": "image_url"}]}], "input_type": "query"}, "inputs[0].content"),
    ):
        reply = running.client.post(f"/e/{SPACE}/{route}", json=body)
        assert reply.status_code == 400 and name in reply.text


def test_a_model_is_told_by_its_id(running: Door) -> None:
    """`GET /v1/models/ID`; another name is 404 with OpenAI's error object."""
    assert running.client.get(f"/v1/models/{SPACE}").json()["id"] == SPACE
    unknown = running.client.get("/v1/models/text-embedding-3-small")
    assert unknown.status_code == 404 and unknown.json()["error"]["code"] == "model_not_found"


def test_health_is_the_ready_probe(running: Door) -> None:
    """Under the path that TEI, Infinity and load balancers ask."""
    assert running.client.get("/health").status_code == 200


def test_errors_outside_of_a_dialect_are_objects_for_openais_clients(running: Door) -> None:
    """404, 405 and 413 on its paths; a string elsewhere."""
    for reply in (
        running.client.post(f"/e/{SPACE}/v2/embeddings", json={}),
        running.client.get("/v1/embeddings"),
        running.client.post("/v1/embeddings", content=b"x" * (1 << 21)),
    ):
        assert reply.status_code in (404, 405, 413)
        assert reply.json()["error"]["message"]
    assert isinstance(running.client.get("/nothing").json()["error"], str)


def test_dims_by_each_ones_word(running: Door) -> None:
    """Voyage's and Ollama's beside those of the others."""
    for route, body, vector in (
        ("v1/embeddings", {"input": "a", "output_dimension": 4}, lambda told: told["data"][0]["embedding"]),
        ("api/embed", {"input": "a", "dimensions": 4}, lambda told: told["embeddings"][0]),
        ("embed", {"inputs": "a", "dimensions": 4}, lambda told: told[0]),
        ("embed", {"inputs": "a"}, lambda told: [*told[0]] if len(told[0]) == DIMS else []),
    ):
        assert len(vector(post(running, route, body))) in (4, DIMS)


def test_a_reranker_is_not_pretended() -> None:
    """404 with a sentence, under the keys that clients read: an encoder is none, and none is served."""
    with door() as running:
        for path, sentence in ((f"/e/{SPACE}/rerank", "is an encoder"), ("/v2/rerank", "served: none")):
            reply = running.client.post(path, json={"query": "a", "documents": ["b"]})
            assert reply.status_code == 404
            assert all(sentence in reply.json()[key] for key in ("error", "message", "detail"))
