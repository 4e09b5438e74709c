"""Which client gets the right vectors of which kind of encoder. `make golden` writes the table.

Each client is the real library and asks a real server. What is right, sentence-transformers says on the folders that
were exported. A cell is only "right" where both roles were asked and every number agrees.
"""

from __future__ import annotations

import gc
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fakes.models.encoders import save_tiny_bert
from fakes.models.forgery import forge_manifest
from fakes.server.serving import Server, serving

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
FILE = Path(__file__).parents[2] / "docs" / "reference" / "clients.md"
TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index"]
PROMPTS = {"query": "query: ", "passage": "passage: "}
SMALL = 16
SAME = 1e-4  # each number, of unit vectors: fp32 on two runtimes, and numbers that travel as text
KINDS = ("symmetric", "prompted", "two-tower", "Matryoshka")
HEAD = f"""# Clients and kinds of encoders

Written by `make golden`: each client is the real library and asks a real server. The reference is sentence-transformers
on the folder that was exported.

*right*: queries and passages both have the reference's vectors, to {SAME:g} in each number. *refused*: the request does
not say its role, and is an error. *cannot ask*: the client has no way to ask for fewer dimensions.

*Role in the path* means `/e/SPACE/query` for queries and `/e/SPACE/passage` for passages. Of a Matryoshka encoder
{SMALL} of 32 dimensions are asked for.

| client | {" | ".join(KINDS)} |
| --- | --- | --- | --- | --- |
"""
Rows = npt.NDArray[np.float32]


class CannotAsk(Exception):
    """The client has no way to ask for this."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """A running server of all kinds, the space of each, and what is right by kind and role."""

    server: Server
    spaces: Mapping[str, str]
    wanted: Mapping[str, Mapping[str, Rows]]

    def base(self, kind: str) -> str:
        """Its HTTP address."""
        return f"{self.server.http}/e/{self.spaces[kind]}"


@contextmanager
def kinds() -> Iterator[Kinds]:
    """Encoders of all kinds, made and served here."""
    from sentence_transformers import SentenceTransformer

    from samespace.artifact import open_artifact
    from samespace.exporting.composites.request import Combination, combine_folders
    from samespace.exporting.package import export_artifact
    from samespace.model.checkpoint import Overrides, load_checkpoint

    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        one, other = save_tiny_bert(root / "one", seed=1), save_tiny_bert(root / "other", seed=2)
        prompts = Overrides(query_prompt=PROMPTS["query"], passage_prompt=PROMPTS["passage"])
        export_artifact(load_checkpoint(one), root / "symmetric")
        export_artifact(load_checkpoint(one, prompts), root / "prompted")
        export_artifact(load_checkpoint(other), root / "Matryoshka")
        forge_manifest(root / "Matryoshka", lambda value: value.update(matryoshka_dims=[SMALL]))
        towers = (root / "symmetric", root / "Matryoshka")
        combine_folders(Combination(towers, root / "two-tower", two_tower=True, anyway=True))
        first, second = (SentenceTransformer(str(folder), device="cpu") for folder in (one, other))
        cut = second.encode(TEXTS)[:, :SMALL]
        cut /= np.linalg.norm(cut, axis=1, keepdims=True)
        wanted = {
            "symmetric": dict.fromkeys(PROMPTS, first.encode(TEXTS)),
            "prompted": {role: first.encode(TEXTS, prompt=prompt) for role, prompt in PROMPTS.items()},
            "two-tower": {"query": first.encode(TEXTS), "passage": second.encode(TEXTS)},
            "Matryoshka": dict.fromkeys(PROMPTS, cut),
        }
        spaces = {kind: open_artifact(root / kind).space_id for kind in KINDS}
        with serving(*(root / kind for kind in KINDS)) as server:
            yield Kinds(server, spaces, wanted)


def _openai(base: str, role: str, dims: int | None) -> Any:
    from openai import OpenAI

    client = OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
    more = {} if dims is None else {"dimensions": dims}
    return [each.embedding for each in client.embeddings.create(model="any", input=TEXTS, **more).data]


def _openai_input_type(base: str, role: str, dims: int | None) -> Any:
    from openai import OpenAI

    client = OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
    more: dict[str, Any] = {} if dims is None else {"dimensions": dims}
    body = {"input_type": role}
    return [each.embedding for each in client.embeddings.create(model="any", input=TEXTS, extra_body=body, **more).data]


def _azure(base: str, role: str, dims: int | None) -> Any:
    from openai import AzureOpenAI

    client = AzureOpenAI(azure_endpoint=base, api_key="any", api_version="2024-02-01", max_retries=0)
    more = {} if dims is None else {"dimensions": dims}
    return [each.embedding for each in client.embeddings.create(model="any", input=TEXTS, **more).data]


def _langchain_openai(base: str, role: str, dims: int | None) -> Any:
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(
        model="any",
        base_url=f"{base}/v1",
        api_key="any",  # type: ignore[arg-type]
        dimensions=dims,
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    return made.embed_documents(TEXTS) if role == "passage" else [made.embed_query(text) for text in TEXTS]


def _llamaindex_openai(base: str, role: str, dims: int | None) -> Any:
    from llama_index.embeddings.openai import OpenAIEmbedding

    made = OpenAIEmbedding(
        model_name="any", api_base=f"{base}/v1", api_key="any", dimensions=dims, max_retries=0, reuse_client=False
    )
    if role == "passage":
        return made.get_text_embedding_batch(TEXTS)
    return [made.get_query_embedding(text) for text in TEXTS]


def _haystack_openai(base: str, role: str, dims: int | None) -> Any:
    from haystack import Document
    from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
    from haystack.utils import Secret

    options: dict[str, Any] = {
        "api_key": Secret.from_token("any"), "model": "any", "api_base_url": f"{base}/v1", "dimensions": dims,
        "max_retries": 0,
    }  # fmt: skip
    if role == "query":
        made = OpenAITextEmbedder(**options)
        return [made.run(text=text)["embedding"] for text in TEXTS]
    documents = [Document(content=text) for text in TEXTS]
    embedder = OpenAIDocumentEmbedder(**options, progress_bar=False, raise_on_failure=True)
    return [each.embedding for each in embedder.run(documents=documents)["documents"]]


def _cohere(base: str, role: str, dims: int | None) -> Any:
    from cohere import ClientV2

    word = {"query": "search_query", "passage": "search_document"}[role]
    more = {} if dims is None else {"output_dimension": dims}
    client = ClientV2(api_key="any", base_url=base)
    found = client.embed(model="any", texts=TEXTS, input_type=word, embedding_types=["float"], **more)
    return found.embeddings.float_


def _ollama(base: str, role: str, dims: int | None) -> Any:
    from ollama import Client

    return Client(host=base).embed(model="any", input=TEXTS, dimensions=dims).embeddings


def _hub(base: str, role: str, dims: int | None) -> Any:
    from huggingface_hub import InferenceClient

    if dims is not None:
        raise CannotAsk
    return InferenceClient(base_url=f"{base}/embed").feature_extraction(TEXTS)  # type: ignore[arg-type]


def _hub_prompt(base: str, role: str, dims: int | None) -> Any:
    from huggingface_hub import InferenceClient

    if dims is not None:
        raise CannotAsk
    return InferenceClient(base_url=f"{base}/embed").feature_extraction(TEXTS, prompt_name=role)  # type: ignore[arg-type]


def _own(address: str, role: str, dims: int | None) -> Any:
    from samespace import Encoder

    with Encoder.connect(address) as encoder:
        return encoder.encode(TEXTS, role, dims=dims)  # type: ignore[arg-type]


def _own_async(address: str, role: str, dims: int | None) -> Any:
    import asyncio

    from samespace import AsyncEncoder

    async def ask() -> Any:
        async with await AsyncEncoder.connect(address) as encoder:
            return await encoder.encode(TEXTS, role, dims=dims)  # type: ignore[arg-type]

    return asyncio.run(ask())


def _own_langchain(address: str, role: str, dims: int | None) -> Any:
    from samespace import Encoder
    from samespace.adapters.langchain import SamespaceEmbeddings

    if dims is not None:
        raise CannotAsk
    with Encoder.connect(address) as encoder:
        made = SamespaceEmbeddings(encoder)
        return made.embed_documents(TEXTS) if role == "passage" else [made.embed_query(text) for text in TEXTS]


def _own_llamaindex(address: str, role: str, dims: int | None) -> Any:
    from samespace import Encoder
    from samespace.adapters.llamaindex import SamespaceEmbedding

    if dims is not None:
        raise CannotAsk
    with Encoder.connect(address) as encoder:
        made = SamespaceEmbedding(encoder)
        if role == "passage":
            return made.get_text_embedding_batch(TEXTS)
        return [made.get_query_embedding(text) for text in TEXTS]


def _own_haystack(address: str, role: str, dims: int | None) -> Any:
    from haystack import Document

    from samespace.adapters.haystack import SamespaceDocumentEmbedder, SamespaceTextEmbedder

    if dims is not None:
        raise CannotAsk
    if role == "query":
        return [SamespaceTextEmbedder(address).run(text=text)["embedding"] for text in TEXTS]
    documents = [Document(content=text) for text in TEXTS]
    return [each.embedding for each in SamespaceDocumentEmbedder(address).run(documents=documents)["documents"]]


Ask = Callable[[str, str, int | None], Any]
_SILENT: Mapping[str, Ask] = {
    "openai": _openai,
    "openai (Azure)": _azure,
    "langchain-openai": _langchain_openai,
    "llama-index-embeddings-openai": _llamaindex_openai,
    "haystack's OpenAI embedders": _haystack_openai,
    "ollama": _ollama,
    "huggingface_hub": _hub,
}
"""Clients that say no role by themselves."""
CLIENTS: Mapping[str, tuple[Ask, str]] = {
    **{name: (ask, "") for name, ask in _SILENT.items()},
    **{f"{name}, role in the path": (ask, "role") for name, ask in _SILENT.items()},
    "openai, `input_type` in extra_body": (_openai_input_type, ""),
    "huggingface_hub, `prompt_name`": (_hub_prompt, ""),
    "cohere": (_cohere, ""),
    "samespace.Encoder": (_own, "grpc"),
    "samespace.AsyncEncoder": (_own_async, "grpc"),
    "samespace for LangChain": (_own_langchain, "grpc"),
    "samespace for LlamaIndex": (_own_llamaindex, "grpc"),
    "samespace for Haystack": (_own_haystack, "grpc"),
}
"""From a client's name to what asks, and where: at the space's HTTP address, below its role, or over gRPC."""


def cell(running: Kinds, client: str, kind: str) -> str:
    """One verdict, or one for each role where they differ."""
    ask, where = CLIENTS[client]
    said = []
    for role in PROMPTS:
        address = f"{running.base(kind)}/{role}" if where == "role" else running.base(kind)
        if where == "grpc":
            address = f"{running.server.grpc}/{running.spaces[kind]}"
        said.append(_verdict(ask, address, role, SMALL if kind == "Matryoshka" else None, running.wanted[kind][role]))
    gc.collect()  # the SDKs leave their sockets to it
    return (
        said[0]
        if len(set(said)) == 1
        else ", ".join(f"{role}: {word}" for role, word in zip(PROMPTS, said, strict=True))
    )


def _verdict(ask: Ask, address: str, role: str, dims: int | None, wanted: Rows) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(ask(address, role, dims), dtype=np.float32)
    except CannotAsk:
        return "cannot ask"
    except Exception as error:
        if "missing; expected query or passage" in str(error):
            return "refused"
        raise
    return "right" if found.shape == wanted.shape and np.allclose(found, wanted, atol=SAME) else "**WRONG**"


def row(running: Kinds, client: str) -> str:
    """One line of the table."""
    return f"| {client} | {' | '.join(cell(running, client, kind) for kind in KINDS)} |"


def table() -> str:
    """Every client with every kind."""
    with kinds() as running:
        return HEAD + "\n".join(row(running, client) for client in CLIENTS) + "\n"


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
