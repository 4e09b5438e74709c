"""A reranker beside an encoder in one server: every wire gives its scores, and nobody takes one for the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cohere
import httpx
import pytest

from fakes.models.encoders import save_tiny_cross_encoder
from fakes.server.process import Running, serving
from samespace import Encoder, Reranker
from samespace.errors import RequestInvalid, UnknownReranker, UnknownSpace, WrongKind
from samespace.exporting.request import ExportRequest, export_model
from samespace.rpc.admin import AdminClient
from samespace.rpc.client import Client

pytestmark = pytest.mark.integration

FP32_CPU = 2e-5  # of scores
QUERY = "how do i reset the password"
PASSAGES = ["the list of the index", "a user may reset the password", "refund", "a user may reset the password"]
LONG = "the value of the index is in the file " * 12 + "reset the password"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of a tiny cross-encoder."""
    folder = tmp_path_factory.mktemp("reranker")
    export_model(ExportRequest(str(save_tiny_cross_encoder(folder / "model", seed=3)), folder / "artifact"))
    return folder / "artifact"


@pytest.fixture(scope="module")
def server(tiny_artifact: Path, reranker: Path) -> Iterator[Running]:
    options = ("--admin-port", "0", "--admin-root", str(reranker.parent), "--max-texts", "64")
    with serving(tiny_artifact, reranker, options=options) as running:
        yield running


@pytest.fixture(scope="module")
def reranker_id(server: Running) -> str:
    (told,) = server.told["rerankers"]
    assert told["activation"] == "sigmoid" and len(server.space_ids) == 1
    return str(told["reranker_id"])


@pytest.fixture(scope="module")
def scores(reranker: Path) -> list[float]:
    """What the artifact gives in this process."""
    with Reranker.load(reranker, runtime="onnxruntime") as local:
        return list(local.score(QUERY, PASSAGES).scores)


def post(server: Running, path: str, **body: Any) -> Any:
    reply = httpx.post(f"{server.http}/{path}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


# -- wires


def test_weaviate_gets_its_documents_in_their_order(server: Running, reranker_id: str, scores: list[float]) -> None:
    """Its module gives scores to objects by their place; the same document twice has the same score."""
    body = {"query": QUERY, "documents": PASSAGES, "property": ""}
    found = post(server, f"e/{reranker_id}/rerank", **body)
    assert [each["document"] for each in found["scores"]] == PASSAGES
    assert [each["score"] for each in found["scores"]] == pytest.approx(scores, abs=FP32_CPU)
    assert found["query"] == QUERY


def test_tei_gets_the_best_first(server: Running, reranker_id: str, scores: list[float]) -> None:
    """At the same path, told apart by `texts`; raw scores are logits, and texts come back where they are wanted."""
    found = post(server, f"e/{reranker_id}/rerank", query=QUERY, texts=PASSAGES, return_text=True)
    order = sorted(range(len(PASSAGES)), key=lambda row: -scores[row])
    assert [each["index"] for each in found] == order
    assert [each["score"] for each in found] == pytest.approx([scores[row] for row in order], abs=FP32_CPU)
    assert [each["text"] for each in found] == [PASSAGES[row] for row in order]
    raw = post(server, f"e/{reranker_id}/rerank", query=QUERY, texts=PASSAGES, raw_scores=True)
    assert [each["index"] for each in raw] == order
    assert min(each["score"] for each in raw) < 0 or max(each["score"] for each in raw) > 1


def test_coheres_client_reads_it(server: Running, reranker_id: str, scores: list[float]) -> None:
    """The client itself, versions 2 and 1, with the reranker's id in the path or as the model."""
    by_path = cohere.ClientV2(api_key="none", base_url=f"{server.http}/e/{reranker_id}")
    by_model = cohere.Client(api_key="none", base_url=server.http)
    for client, model in ((by_path, "rerank-v3.5"), (by_model, reranker_id)):
        found = client.rerank(model=model, query=QUERY, documents=PASSAGES, top_n=2)
        best = max(range(len(PASSAGES)), key=lambda row: scores[row])
        assert len(found.results) == 2
        assert found.results[0].index == best
        assert found.results[0].relevance_score == pytest.approx(scores[best], abs=FP32_CPU)


def test_jinas_body_is_read(server: Running, reranker_id: str, scores: list[float]) -> None:
    """Objects with a text, and documents in the answer."""
    documents = [{"text": each} for each in PASSAGES]
    found = post(server, "v1/rerank", model=reranker_id[:12], query=QUERY, documents=documents, return_documents=True)
    assert sorted(each["index"] for each in found["results"]) == [0, 1, 2, 3]
    assert all(each["document"]["text"] == PASSAGES[each["index"]] for each in found["results"])
    assert [scores[each["index"]] for each in found["results"]] == sorted(scores, reverse=True)


def test_grpc_gives_scores_logits_and_counts(server: Running, reranker: Path, reranker_id: str) -> None:
    """The same as in this process, and more passages than one request may have."""
    passages = [*PASSAGES, LONG] * 30
    with Reranker.connect(server.grpc) as remote, Reranker.load(reranker, runtime="onnxruntime") as local:
        assert remote.reranker_id == local.reranker_id == reranker_id
        found, wanted = remote.score(QUERY, passages[:60]), local.score(QUERY, passages[:60])
        assert found.logits == pytest.approx(wanted.logits, abs=FP32_CPU)
        assert found.scores == pytest.approx(wanted.scores, abs=FP32_CPU)
        assert (found.tokens, found.windows) == (wanted.tokens, wanted.windows)
        assert found.windows[4] > 1 and found.windows[0] == 1
        with pytest.raises(RequestInvalid, match="at most 64"):
            remote.score(QUERY, passages)


# -- whose id is it?


def test_a_reranker_asked_to_embed_is_refused_by_name(server: Running, reranker_id: str) -> None:
    """Over every door: Weaviate's vectorizer, OpenAI's clients, gRPC; nothing is embedded."""
    for path, body in (
        ("vectors", {"text": "a list", "config": {"task_type": "query"}}),
        ("v1/embeddings", {"input": "a list"}),
        ("embed", {"inputs": "a list"}),
        ("tokenize", {"inputs": "a list"}),
    ):
        reply = httpx.post(f"{server.http}/e/{reranker_id}/{path}", json=body)
        assert reply.status_code in (404, 409) and "is a reranker" in reply.text, path
    with pytest.raises(WrongKind):
        Encoder.connect(server.grpc, space=reranker_id)
    with Client(server.grpc) as client, pytest.raises(WrongKind):
        client.embed(reranker_id, "query", ["a list"])
    with Client(server.grpc) as client:
        assert [each.space_id for each in client.list_spaces()] == server.space_ids


def test_an_encoder_asked_to_rerank_is_refused_by_name(server: Running) -> None:
    """By its path, by the model of a body, and over gRPC."""
    space = server.space_ids[0]
    for path, body in ((f"e/{space}/rerank", {}), ("v2/rerank", {"model": space}), ("rerank", {"model": space[:12]})):
        reply = httpx.post(f"{server.http}/{path}", json={"query": QUERY, "documents": PASSAGES, **body})
        assert reply.status_code in (404, 409) and "is an encoder" in reply.text, path
    with pytest.raises(UnknownReranker):
        Reranker.connect(server.grpc, reranker=space)


def test_a_reranker_has_to_be_named(server: Running, reranker_id: str) -> None:
    """No default: who names none, another one, or two different ones is told which are served."""
    body = {"query": QUERY, "documents": PASSAGES}
    for path, more in (("rerank", {}), (f"e/{'0' * 64}/rerank", {}), (f"e/{reranker_id}/rerank", {"model": "1" * 64})):
        reply = httpx.post(f"{server.http}/{path}", json=body | more)
        assert reply.status_code == 404 and reranker_id in reply.text, path
    with pytest.raises(UnknownSpace):
        Encoder.connect(server.grpc, space="0" * 64)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": QUERY}, "texts"),
        ({"query": QUERY, "texts": ["a"], "documents": ["a"]}, "texts"),
        ({"query": 3, "documents": ["a"]}, "query"),
        ({"query": QUERY, "documents": []}, "documents"),
        ({"query": QUERY, "documents": ["a", None]}, "documents[1]"),
        ({"query": QUERY, "documents": ["a"] * 65}, "texts"),
        ({"query": "the value of the index " * 40, "documents": ["a list " * 40]}, "texts[0]"),
        ({"query": "\ud800", "documents": ["a"]}, ""),
        ({"query": "a" * 100_000, "documents": ["a"] * 60}, "query: 100000 characters"),
    ],
)
def test_bad_bodies_are_told_by_their_field(
    server: Running, reranker_id: str, body: dict[str, Any], field: str
) -> None:
    """400, and the server goes on."""

    reply = httpx.post(
        f"{server.http}/e/{reranker_id}/rerank", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert reply.status_code == 400, reply.text
    assert reply.json()["message"].startswith(field)


def test_meta_and_probes_know_the_reranker(server: Running, reranker_id: str) -> None:
    """Weaviate asks for both at start, under the reranker's prefix; spaces are told of apart."""
    meta = httpx.get(f"{server.http}/meta").json()
    assert [each["reranker_id"] for each in meta["rerankers"]] == [reranker_id]
    assert [each["space_id"] for each in meta["spaces"]] == server.space_ids
    mine = httpx.get(f"{server.http}/e/{reranker_id}/meta").json()
    assert mine["spaces"] == [] and mine["rerankers"][0]["reranker_id"] == reranker_id
    assert httpx.get(f"{server.http}/e/{reranker_id}/.well-known/ready").status_code == 204


def test_spaces_load_takes_no_reranker(server: Running, reranker: Path, reranker_id: str) -> None:
    """What is loaded there is a space; nor can a reranker be the default, or be unloaded as one."""
    with AdminClient(server.admin) as admin:
        for refused in (
            lambda: admin.load(str(reranker)),
            lambda: admin.set_default(reranker_id),
            lambda: admin.unload(reranker_id),
        ):
            with pytest.raises(WrongKind):
                refused()
