"""Clients that cannot say a role get it from the path: real SDKs, a real server, an encoder with two prompts.

What the vectors have to be, sentence-transformers says, on the folder that was exported, with the prompt in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from fakes.models.encoders import save_tiny_bert
from fakes.server.serving import Server, serving
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Overrides, load_checkpoint

pytestmark = [
    pytest.mark.integration,
    # The SDKs leave their sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index"]
PROMPTS = {"query": "query: ", "passage": "passage: "}
FP32_CPU = 1e-5  # each number; unit vectors, one graph in two runtimes


@dataclass(frozen=True, slots=True)
class Prompted:
    """A server of an encoder with two prompts, and by role the vectors of TEXTS."""

    server: Server
    vectors: dict[str, npt.NDArray[np.float32]]

    def base(self, role: str) -> str:
        """The address of a role."""
        return f"{self.server.http}/e/{self.server.space_id}/{role}"


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prompted]:
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path_factory.mktemp("prompted") / "model", seed=4)
    prompts = Overrides(query_prompt=PROMPTS["query"], passage_prompt=PROMPTS["passage"])
    artifact = folder.parent / "artifact"
    export_artifact(load_checkpoint(folder, prompts), artifact)
    model = SentenceTransformer(str(folder), device="cpu")
    wanted = {role: model.encode(TEXTS, prompt=prompt) for role, prompt in PROMPTS.items()}
    assert np.abs(wanted["query"] - wanted["passage"]).max() > 0.01
    with serving(artifact) as server:
        yield Prompted(server, wanted)


def _openai(base: str) -> Any:
    from openai import OpenAI

    client = OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
    return [each.embedding for each in client.embeddings.create(model="any", input=TEXTS).data]


def _azure(base: str) -> Any:
    from openai import AzureOpenAI

    client = AzureOpenAI(azure_endpoint=base, api_key="any", api_version="2024-02-01", max_retries=0)
    return [each.embedding for each in client.embeddings.create(model="mine", input=TEXTS).data]


def _langchain_documents(base: str) -> Any:
    from langchain_openai import OpenAIEmbeddings

    return OpenAIEmbeddings(
        model="any", base_url=f"{base}/v1", api_key="any", check_embedding_ctx_length=False  # type: ignore[arg-type]
    ).embed_documents(TEXTS)  # fmt: skip


def _langchain_queries(base: str) -> Any:
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(
        model="any", base_url=f"{base}/v1", api_key="any", check_embedding_ctx_length=False  # type: ignore[arg-type]
    )  # fmt: skip
    return [made.embed_query(text) for text in TEXTS]


def _ollama(base: str) -> Any:
    from ollama import Client

    return Client(host=base).embed(model="any", input=TEXTS).embeddings


def _hub(base: str) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(base_url=f"{base}/embed").feature_extraction(TEXTS)  # type: ignore[arg-type]


CLIENTS: dict[str, Callable[[str], Any]] = {
    "openai": _openai,
    "azure": _azure,
    "langchain documents": _langchain_documents,
    "langchain queries": _langchain_queries,
    "ollama": _ollama,
    "huggingface_hub": _hub,
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("role", PROMPTS)
def test_the_path_says_the_role_for_clients_that_cannot(prompted: Prompted, client: str, role: str) -> None:
    """Whatever method of the client is called, the vectors are those of the path's prompt."""
    assert np.allclose(CLIENTS[client](prompted.base(role)), prompted.vectors[role], atol=FP32_CPU)


def test_coheres_word_and_the_path_agree_or_it_is_refused(prompted: Prompted) -> None:
    """Its SDK always says a role; the path's other role is refused, and both values are named."""
    from cohere import ClientV2
    from cohere.core import ApiError

    for role, word, other in (("query", "search_query", "search_document"), ("passage", "search_document", "query")):
        client = ClientV2(api_key="any", base_url=prompted.base(role))
        found = client.embed(model="any", texts=TEXTS, input_type=word, embedding_types=["float"])
        assert np.allclose(found.embeddings.float_, prompted.vectors[role], atol=FP32_CPU)
        with pytest.raises(ApiError) as refused:
            client.embed(model="any", texts=TEXTS, input_type=other, embedding_types=["float"])
        assert refused.value.status_code == 400
        assert other in str(refused.value.body) and f"the path says {role}" in str(refused.value.body)


# route: (body without a role, where this client's protocol says it, the vectors of a reply)
ROUTES: dict[str, tuple[dict[str, Any], str, Callable[[Any], Any]]] = {
    "v1/embeddings": ({"input": TEXTS}, "input_type", lambda told: [each["embedding"] for each in told["data"]]),
    "embeddings": ({"input": TEXTS}, "task", lambda told: [each["embedding"] for each in told["data"]]),
    "openai/deployments/mine/embeddings": (
        {"input": TEXTS}, "input_type", lambda told: [each["embedding"] for each in told["data"]]
    ),
    "v1/embed": ({"texts": TEXTS}, "input_type", lambda told: told["embeddings"]),
    "v2/embed": ({"texts": TEXTS}, "input_type", lambda told: told["embeddings"]["float"]),
    "api/embed": ({"model": "any", "input": TEXTS}, "input_type", lambda told: told["embeddings"]),
    "api/embeddings": ({"prompt": TEXTS[0]}, "input_type", lambda told: [told["embedding"]]),
    "embed": ({"inputs": TEXTS}, "prompt_name", lambda told: told),
    "vectors": ({"text": TEXTS[0]}, "task_type", lambda told: [told["vector"]]),
}  # fmt: skip
SPELLINGS = {
    "query": ("query", "search_query", "retrieval.query", "RETRIEVAL_QUERY", "search"),
    "passage": ("passage", "document", "search_document", "retrieval.passage", "RETRIEVAL_DOCUMENT", "doc", "ingest"),
}


def _post(prompted: Prompted, path: str, route: str, word: str | None) -> httpx.Response:
    body, field, _ = ROUTES[route]
    said = {} if word is None else {"config": {field: word}} if route == "vectors" else {field: word}
    return httpx.post(f"{prompted.server.http}/e/{prompted.server.space_id}{path}/{route}", json=body | said)


@pytest.mark.parametrize("route", ROUTES)
def test_every_dialect_reads_the_path_and_every_spelling(prompted: Prompted, route: str) -> None:
    """By the path alone, by the body alone, by both; neither is 400."""
    for role, words in SPELLINGS.items():
        wanted = prompted.vectors[role]
        for path, word in [(f"/{role}", None), *((path, word) for word in words for path in ("", f"/{role}"))]:
            reply = _post(prompted, path, route, word)
            assert reply.status_code == 200, (path, word, reply.text)
            vectors = np.array(ROUTES[route][2](reply.json()))
            assert np.allclose(vectors, wanted[: len(vectors)], atol=FP32_CPU), (path, word)
    refused = _post(prompted, "", route, None)
    assert refused.status_code == 400 and "/e/SPACE/query/" in refused.text


@pytest.mark.parametrize("route", ROUTES)
def test_every_dialect_refuses_a_contradiction(prompted: Prompted, route: str) -> None:
    """With the word of the body and the role of the path, whatever the spelling."""
    for role, words in SPELLINGS.items():
        other = "passage" if role == "query" else "query"
        for word in words:
            reply = _post(prompted, f"/{other}", route, word)
            assert reply.status_code == 400, (word, reply.text)
            assert f"{word} ({role}), and the path says {other}" in reply.text


@pytest.mark.parametrize("route", ROUTES)
def test_another_clients_field_does_not_contradict_in_silence(prompted: Prompted, route: str) -> None:
    """A role in a field that this dialect does not have counts too: it would be dropped, and the vector be wrong."""
    body, own, _ = ROUTES[route]
    url = f"{prompted.server.http}/e/{prompted.server.space_id}"
    for field in ("input_type", "task_type", "task", "prompt_name"):
        reply = httpx.post(f"{url}/query/{route}", json=body | {field: "document"})
        assert reply.status_code == 400 and "the path says query" in reply.text, field
        said = {"config": {own: "query"}} if route == "vectors" else {own: "query"}
        if field != own or route == "vectors":
            reply = httpx.post(f"{url}/{route}", json=body | said | {field: "document"})
            assert reply.status_code == 400 and "a request has one role" in reply.text, field


def test_readiness_is_asked_below_a_role_too(prompted: Prompted) -> None:
    """Weaviate asks each of a pin's addresses, which may have a role."""
    for role in PROMPTS:
        assert httpx.get(f"{prompted.base(role)}/.well-known/ready").status_code == 204
