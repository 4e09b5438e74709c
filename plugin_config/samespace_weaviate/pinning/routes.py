"""What each vectorizer module of Weaviate lets others do to it: where its address can be changed, and by whom.

Read in the source of Weaviate 1.39 and, for the modules that samespace can use, seen live: facts 2, 3 and 14 of
docs/weaviate-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HEADERS: Final[Mapping[str, str]] = {
    "text2vec-cohere": "X-Cohere-Baseurl",
    "text2vec-openai": "X-Openai-Baseurl",
    "text2vec-voyageai": "X-Voyageai-Baseurl",
    "text2vec-nvidia": "X-Nvidia-Baseurl",
    "text2vec-databricks": "X-Databricks-Endpoint",
}
"""The header with which any client has its request encoded elsewhere."""

CHANGEABLE: Final = frozenset(
    {
        "text2vec-cohere", "text2vec-openai", "text2vec-huggingface", "text2vec-jinaai", "text2vec-voyageai",
        "text2vec-weaviate",
    }
)  # fmt: skip
"""Modules whose address and model some versions of Weaviate let an update of the schema change."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    "text2vec-transformers": "TRANSFORMERS_INFERENCE_API",
    "text2vec-model2vec": "MODEL2VEC_INFERENCE_API",
}
"""Modules that go by each node's environment where the schema names no address."""

_URLS: Final = ("inferenceUrl", "baseURL", "endpointURL", "apiEndpoint", "endpoint", "baseUrl")
_SPLIT_URLS: Final = ("passageInferenceUrl", "queryInferenceUrl")


def address_of(settings: Mapping[str, Any]) -> str:
    """The address that a vectorizer's settings name, whichever key its module has for it; "" for none."""
    return next((str(settings[key]) for key in (*_URLS, *_SPLIT_URLS) if settings.get(key)), "")


def is_open(module: str) -> bool:
    """Whether the module can be sent elsewhere although the schema names the right address."""
    return module in CHANGEABLE or module in HEADERS


def openness(module: str) -> str:
    """How a vectorizer can be redirected, as a half-sentence; "" where it cannot."""
    ways = []
    if header := HEADERS.get(module):
        ways.append(f"any client can redirect a request with the header {header}")
    if module in CHANGEABLE:
        ways.append("some versions of Weaviate let address and model be changed by an update of the schema")
    return ", and ".join(ways)
