"""How hosted encoders are asked: one entry for each provider, pure but for the table's defaults.

The formats are those of the providers' public APIs. They were tried on a stand-in alone: nobody here has asked the real
ones. A role is told where the API has a word for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import ConfigInvalid, ServerUnavailable
from ..text import Role
from ..vectors import Float32, normalise


@dataclass(frozen=True, slots=True)
class ProviderWire:
    """One provider's API.

    Attributes:
        module: Weaviate's module for it.
        base_url: its public address, without the path.
        path: of the endpoint.
        key: environment variable with the API key.
        most: texts of one request.
        body: (model, texts, role, dims or 0) to what is sent.
        rows: what is answered to one vector a text, in order.
    """

    module: str
    base_url: str
    path: str
    key: str
    most: int
    body: Callable[[str, Sequence[str], Role, int], dict[str, Any]]
    rows: Callable[[Any], list[Any]]


def _openai(model: str, texts: Sequence[str], role: Role, dims: int) -> dict[str, Any]:
    return {"model": model, "input": list(texts), "encoding_format": "float"} | ({"dimensions": dims} if dims else {})


def _cohere(model: str, texts: Sequence[str], role: Role, dims: int) -> dict[str, Any]:
    kind = "search_query" if role == "query" else "search_document"
    asked = {"model": model, "texts": list(texts), "input_type": kind, "embedding_types": ["float"]}
    return asked | ({"output_dimension": dims} if dims else {})


def _voyage(model: str, texts: Sequence[str], role: Role, dims: int) -> dict[str, Any]:
    asked = {"model": model, "input": list(texts), "input_type": "query" if role == "query" else "document"}
    return asked | ({"output_dimension": dims} if dims else {})


def _jina(model: str, texts: Sequence[str], role: Role, dims: int) -> dict[str, Any]:
    asked = {"model": model, "input": list(texts), "task": f"retrieval.{role}"}
    return asked | ({"dimensions": dims} if dims else {})


def _data(answer: Any) -> list[Any]:
    places = [each["index"] for each in answer["data"]]
    if any(type(place) is not int for place in places) or sorted(places) != list(range(len(places))):
        raise ValueError(f"the indexes are not 0 to {len(places) - 1}, each once")
    return [each["embedding"] for each in sorted(answer["data"], key=lambda each: int(each["index"]))]


def _floats(answer: Any) -> list[Any]:
    return list(answer["embeddings"]["float"])


REMEDY: Final = "it is the provider's; try again later, or look at its status page"
_NUMBERS: Final = {int, float}

WIRES: Final[Mapping[str, ProviderWire]] = {
    "openai": ProviderWire(
        "text2vec-openai", "https://api.openai.com", "/v1/embeddings", "OPENAI_API_KEY", 256, _openai, _data
    ),
    "cohere": ProviderWire(
        "text2vec-cohere", "https://api.cohere.com", "/v2/embed", "COHERE_API_KEY", 96, _cohere, _floats
    ),
    "voyageai": ProviderWire(
        "text2vec-voyageai", "https://api.voyageai.com", "/v1/embeddings", "VOYAGE_API_KEY", 128, _voyage, _data
    ),
    "jinaai": ProviderWire(
        "text2vec-jinaai", "https://api.jina.ai", "/v1/embeddings", "JINA_API_KEY", 128, _jina, _data
    ),
    "mistral": ProviderWire(
        "text2vec-mistral", "https://api.mistral.ai", "/v1/embeddings", "MISTRAL_API_KEY", 64, _openai, _data
    ),
}


def wire_of(provider: str) -> ProviderWire:
    """The entry of a provider.

    Raises:
        ConfigInvalid: it is not known.
    """
    if provider not in WIRES:
        raise ConfigInvalid(key="provider", reason=f"{provider!r}; expected one of {', '.join(WIRES)}")
    return WIRES[provider]


def unit_rows(answer: Any, wire: ProviderWire, count: int, address: str) -> Float32:
    """The answer as (count, dims) float32 of unit length.

    Raises:
        ServerUnavailable: it has another form, another number of vectors, or vectors that cannot be.
    """
    try:
        found = wire.rows(answer)
        if not all(set(map(type, row)) <= _NUMBERS for row in found):  # numpy takes "1" and true for numbers
            raise TypeError("not all are numbers")
        rows = np.asarray(found, dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"answers in another form than {wire.path} has ({_why(error)})"
        raise ServerUnavailable(address=address, reason=reason, remedy=REMEDY) from error
    if rows.ndim != 2 or len(rows) != count or not rows.size:
        shape = " x ".join(map(str, rows.shape))
        reason = f"answers {shape} numbers, expected {count} vectors"
        raise ServerUnavailable(address=address, reason=reason, remedy=REMEDY)
    unit = normalise(rows)
    if not np.isfinite(unit).all() or not unit.any(axis=1).all():
        reason = "answers a vector of zeros, or one that is not finite"
        raise ServerUnavailable(address=address, reason=reason, remedy=REMEDY)
    return unit


def _why(error: Exception) -> str:
    """A few words; what the provider sent is in none of them."""
    if isinstance(error, KeyError):
        return f"no {error}"
    return "a number too large" if isinstance(error, OverflowError) else str(error).splitlines()[0][:80]
