"""What a person sees of our errors in the clients that people have. `make golden` writes the table.

Each client asks a real HTTP server, over an engine that computes nothing, with its settings of default. The number of
requests says whether it tried again what cannot help.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fakes.server.http import OTHER, SPACE, Door, door
from samespace.errors import Overloaded, SamespaceError, TextTooLong

FILE = Path(__file__).parents[2] / "docs" / "reference" / "client-errors.md"
HEAD = """# What clients show of an error

Written by `make golden`: each client asks a real HTTP server, with its settings of default. The number of requests
says whether it tried again what cannot help. Messages are cut.

| error | client | requests | what a person sees |
| --- | --- | --- | --- |
"""
_NOISE = re.compile(r"headers: \{.*?\}, |For more information check: \S+ ?")
TOKEN = "token-of-enough-length"
COLUMNS = 150


def _openai(url: str, token: str, text: str) -> None:
    from openai import OpenAI

    OpenAI(base_url=f"{url}/v1", api_key=token).embeddings.create(model="any", input=[text])


def _cohere(url: str, token: str, text: str) -> None:
    from cohere import ClientV2

    ClientV2(api_key=token, base_url=url).embed(
        model="any", texts=[text], input_type="search_query", embedding_types=["float"]
    )


def _ollama(url: str, token: str, text: str) -> None:
    from ollama import Client

    Client(host=url, headers={"authorization": f"Bearer {token}"}).embed(model="any", input=[text])


def _langchain(url: str, token: str, text: str) -> None:
    from langchain_openai import OpenAIEmbeddings

    OpenAIEmbeddings(
        model="any",
        base_url=f"{url}/v1",
        api_key=token,
        check_embedding_ctx_length=False,  # type: ignore[arg-type]
    ).embed_documents([text])


def _llamaindex(url: str, token: str, text: str) -> None:
    from llama_index.embeddings.openai import OpenAIEmbedding

    OpenAIEmbedding(model_name="any", api_base=f"{url}/v1", api_key=token).get_text_embedding(text)


def _haystack(url: str, token: str, text: str) -> None:
    from haystack.components.embedders import OpenAITextEmbedder
    from haystack.utils import Secret

    OpenAITextEmbedder(model="any", api_base_url=f"{url}/v1", api_key=Secret.from_token(token)).run(text)


def _litellm(url: str, token: str, text: str) -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the internet for prices
    import litellm

    litellm.suppress_debug_info = True
    loop = asyncio.new_event_loop()  # else it makes one for this thread, and leaves it open
    asyncio.set_event_loop(loop)
    try:
        litellm.embedding(model="openai/any", input=[text], api_base=f"{url}/v1", api_key=token)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _hub(url: str, token: str, text: str) -> None:
    from huggingface_hub import InferenceClient

    InferenceClient(base_url=f"{url}/embed", api_key=token).feature_extraction(text)


CLIENTS: dict[str, Callable[[str, str, str], None]] = {
    "openai": _openai,
    "cohere": _cohere,
    "ollama": _ollama,
    "langchain-openai": _langchain,
    "llama-index": _llamaindex,
    "haystack": _haystack,
    "litellm": _litellm,
    "huggingface_hub": _hub,
}


def _fails(running: Door, error: SamespaceError) -> None:
    async def embed(*_: Any, **__: Any) -> Any:
        raise error

    running.run(lambda: setattr(running.engine, "embed", embed))


ERRORS: dict[str, tuple[str, str, str, SamespaceError | None]] = {
    "wrong space": (f"/e/{OTHER}", TOKEN, "a", None),
    "wrong token": (f"/e/{SPACE}", "another-token-of-length", "a", None),
    "wrong path": ("/nowhere", TOKEN, "a", None),
    "a body too large": (f"/e/{SPACE}", TOKEN, "a" * (2 << 20), None),
    "a text too long": (f"/e/{SPACE}", TOKEN, "a", TextTooLong(index=0, tokens=300, limit=256)),
    "overloaded": (
        f"/e/{SPACE}", TOKEN, "a", Overloaded(queued=3000, limit=2000, unit="ms of work", retry_after_ms=100)
    ),
}  # fmt: skip


@contextmanager
def _counted(running: Door) -> Iterator[list[int]]:
    """One entry for each request that finds its route or does not."""
    seen: list[int] = []
    route = running.server.app.route

    def counted(request: Any) -> Any:
        seen.append(1)
        return route(request)

    running.run(lambda: setattr(running.server.app, "route", counted))
    try:
        yield seen
    finally:
        running.run(lambda: setattr(running.server.app, "route", route))


def seen_by(client: str, error: str) -> str:
    """One row: how many requests were made, and the exception as it is printed."""
    path, token, text, raised = ERRORS[error]
    pauses = patch("time.sleep", lambda seconds, wait=time.sleep: wait(min(seconds, 0.01)))
    with door(tokens=[TOKEN]) as running, _counted(running) as requests, warnings.catch_warnings(), pauses:
        warnings.simplefilter("ignore")
        if raised is not None:
            _fails(running, raised)
        try:
            CLIENTS[client](f"{running.url}{path}", token, text)
            told = "no error"
        except Exception as caught:  # noqa: BLE001 - whatever a client raises is the row
            told = f"{type(caught).__name__}: {caught}"
        gc.collect()  # the SDKs leave their sockets to it
        told = _NOISE.sub("", " ".join(told.replace(running.url, "URL").split()))
    for space, short in ((SPACE, "000000000000..."), (OTHER, "a1a1a1a1a1a1...")):
        told = told.replace(space, short)
    told = told if len(told) <= COLUMNS else f"{told[:COLUMNS]}..."
    return f"| {error} | {client} | {len(requests)} | {told.replace('|', '/')} |"


def table() -> str:
    """Every client with every error."""
    rows = [seen_by(client, error) for error in ERRORS for client in CLIENTS]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
