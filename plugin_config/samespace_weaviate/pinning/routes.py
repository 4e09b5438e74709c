"""What each vectorizer module of Weaviate reads: where it sends texts, and who can send them elsewhere.

Read in the source of Weaviate 1.34.2 and 1.40.0-dev (each module's class settings and its client) and, for the modules
that samespace can use, seen live: facts 2, 3 and 14 of docs/reference/weaviate-facts.md. A key that a module does not
read has no effect, however much it looks like an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Use = Literal["objects", "queries"]
USES: Final[tuple[Use, ...]] = ("objects", "queries")


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """How one module finds its encoder.

    Attributes:
        objects: the settings that hold the address for objects; the first that is set counts.
        queries: the same for queries.
        environment: the variable that each node goes by where no setting is set; "" where it is the provider's address.
        header: the header with which any client has its request encoded elsewhere; "" for none.
        changeable: some versions of Weaviate let an update of the schema change address and model.
    """

    objects: tuple[str, ...]
    queries: tuple[str, ...]
    environment: str = ""
    header: str = ""
    changeable: bool = False


def _one(key: str, **more: Any) -> ModuleRule:
    return ModuleRule((key,), (key,), **more)


RULES: Final[Mapping[str, ModuleRule]] = {
    "text2vec-transformers": ModuleRule(
        ("inferenceUrl", "passageInferenceUrl"),
        ("inferenceUrl", "queryInferenceUrl"),
        environment="TRANSFORMERS_INFERENCE_API",
    ),
    "text2vec-model2vec": _one("inferenceUrl", environment="MODEL2VEC_INFERENCE_API"),
    "text2vec-cohere": _one("baseURL", header="X-Cohere-Baseurl", changeable=True),
    "text2vec-openai": _one("baseURL", header="X-Openai-Baseurl", changeable=True),
    "text2vec-huggingface": _one("endpointURL", changeable=True),
    "text2vec-jinaai": _one("baseURL", changeable=True),
    "text2vec-voyageai": _one("baseURL", header="X-Voyageai-Baseurl", changeable=True),
    "text2vec-weaviate": _one("baseURL", changeable=True),
    "text2vec-nvidia": _one("baseURL", header="X-Nvidia-Baseurl"),
    "text2vec-databricks": _one("endpoint", header="X-Databricks-Endpoint"),
    "text2vec-mistral": _one("baseURL"),
    "text2vec-morph": _one("baseURL"),
    "text2vec-digitalocean": _one("baseURL"),
    "text2vec-ollama": _one("apiEndpoint"),
    "text2vec-google": _one("apiEndpoint"),
    "text2vec-aws": _one("endpoint"),
}
_UNKNOWN: Final = ModuleRule((), ())
_LIKE_ADDRESSES: Final = (
    "inferenceUrl", "passageInferenceUrl", "queryInferenceUrl", "baseURL", "baseUrl", "endpointURL", "apiEndpoint",
    "endpoint",
)  # fmt: skip


def vectorizer_of(schema: Mapping[str, Any], vector: str) -> tuple[str, Mapping[str, Any]]:
    """(module, its settings) of a vector of *schema*; "" is the vector without a name; ("none", ...) for no module."""
    if not vector:
        module = str(schema.get("vectorizer") or "none")
        return module, (schema.get("moduleConfig") or {}).get(module) or {}
    vectorizer = ((schema.get("vectorConfig") or {}).get(vector) or {}).get("vectorizer") or {}
    module = next(iter(vectorizer), "none")
    return module, vectorizer.get(module) or {}


def is_known(module: str) -> bool:
    """Whether it is known which settings the module reads."""
    return module in RULES


def address_key(module: str, settings: Mapping[str, Any], use: Use) -> str:
    """The setting that holds the address for *use*; the first that the module looks at where none is set."""
    rule = RULES.get(module, _UNKNOWN)
    keys = rule.objects if use == "objects" else rule.queries
    return next((key for key in keys if settings.get(key)), keys[0] if keys else "")


def address_of(module: str, settings: Mapping[str, Any], use: Use = "objects") -> str:
    """Where *module* sends the texts of *use*; "" where its settings name no address that it reads."""
    return str(settings.get(address_key(module, settings, use)) or "")


def ignored_addresses(module: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings that look like addresses and are not read by *module*, with their values."""
    read = {address_key(module, settings, use) for use in USES}
    return {key: str(settings[key]) for key in _LIKE_ADDRESSES if settings.get(key) and key not in read}


def environment_of(module: str) -> str:
    """The variable that each node goes by where the schema names no address; "" for none."""
    return RULES.get(module, _UNKNOWN).environment


def is_open(module: str) -> bool:
    """Whether the module can be sent elsewhere although the schema names the right address."""
    rule = RULES.get(module, _UNKNOWN)
    return rule.changeable or bool(rule.header)


def openness(module: str) -> str:
    """How a vectorizer can be redirected, as a half-sentence; "" where it cannot."""
    ways, rule = [], RULES.get(module, _UNKNOWN)
    if rule.header:
        ways.append(f"any client can redirect a request with the header {rule.header}")
    if rule.changeable:
        ways.append("some versions of Weaviate let address and model be changed by an update of the schema")
    return ", and ".join(ways)
