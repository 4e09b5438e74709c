"""What differs between the collection that is wanted and the one that exists. Nothing is decided here; see `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .index import read_quantizer
from .spec import GUARD_VECTOR, CollectionSpec, collection_name, shown
from .unpinned import has_unnamed_vector


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a schema is not what the spec wants; *found* is None where there is nothing."""

    path: str
    wanted: Any
    found: Any

    def __str__(self) -> str:
        found = "missing" if self.found is None else f"{self.found!r}"
        return shown(f"{self.path}: {found}, wanted {self.wanted!r}")


def differences(spec: CollectionSpec, schema: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Where the existing *schema* is not what *spec* wants; what it has besides is left alone."""
    found: list[Difference] = []
    existing = {collection_name(entry["name"]): entry for entry in schema.get("properties") or ()}
    for wanted in spec.properties():
        entry = existing.get(collection_name(wanted["name"]))
        path = f"properties.{wanted['name']}"
        if entry is None:
            found.append(Difference(path, wanted["dataType"], None))
        elif entry.get("dataType") != wanted["dataType"]:
            found.append(Difference(f"{path}.dataType", wanted["dataType"], entry.get("dataType")))
        elif wanted["name"] == spec.text_property:
            found.extend(_name_before_text(spec, entry))
    found.extend(_vector(spec, schema))
    found.extend(_guard(spec, schema))
    found.extend(_keeping(spec, schema))
    if schema.get("description") != spec.description:
        found.append(Difference("description", spec.description, schema.get("description")))
    return tuple(found)


def _name_before_text(spec: CollectionSpec, entry: Mapping[str, Any]) -> list[Difference]:
    """With this setting of the module, Weaviate encodes "text Hello" for objects, and "Hello" for queries."""
    told = ((entry.get("moduleConfig") or {}).get(spec.module) or {}).get("vectorizePropertyName")
    path = f"properties.{entry['name']}.moduleConfig.{spec.module}.vectorizePropertyName"
    return [Difference(path, False, True)] if told else []


def _guard(spec: CollectionSpec, schema: Mapping[str, Any]) -> list[Difference]:
    """The guard, unless another vector beside the pinned one does its work already."""
    others = set(schema.get("vectorConfig") or {}) - {spec.vector_name}
    if not spec.guard or others or has_unnamed_vector(schema):
        return []
    return [Difference(f"vectorConfig.{GUARD_VECTOR}", "a vector that is never filled", None)]


def _keeping(spec: CollectionSpec, schema: Mapping[str, Any]) -> list[Difference]:
    """How objects are kept: by tenant or not, in how many copies, in what kind of index."""
    found: list[Difference] = []
    by_tenant = bool((schema.get("multiTenancyConfig") or {}).get("enabled"))
    if by_tenant != spec.multi_tenant:
        found.append(Difference("multiTenancyConfig.enabled", spec.multi_tenant, by_tenant))
    factor = (schema.get("replicationConfig") or {}).get("factor", spec.replicas)
    if spec.replicas and factor != spec.replicas:
        found.append(Difference("replicationConfig.factor", spec.replicas, factor))
    config = (schema.get("vectorConfig") or {}).get(spec.vector_name)
    if config is not None:
        path = f"vectorConfig.{spec.vector_name}"
        kind = config.get("vectorIndexType", spec.index.kind)
        if kind != spec.index.kind:
            found.append(Difference(f"{path}.vectorIndexType", spec.index.kind, kind))
        quantizer = read_quantizer(kind, config.get("vectorIndexConfig") or {})
        if spec.index.quantizer not in ("", quantizer):
            found.append(Difference(f"{path}.vectorIndexConfig.quantizer", spec.index.quantizer, quantizer))
    return found


def _vector(spec: CollectionSpec, schema: Mapping[str, Any]) -> list[Difference]:
    path = f"vectorConfig.{spec.vector_name}"
    config = (schema.get("vectorConfig") or {}).get(spec.vector_name)
    if config is None:
        return [Difference(path, {spec.module: spec.vectorizer_settings}, None)]
    vectorizer: Mapping[str, Any] = config.get("vectorizer") or {}
    if spec.module not in vectorizer:
        return [Difference(f"{path}.vectorizer", spec.module, ", ".join(vectorizer) or "none")]
    settings = vectorizer[spec.module] or {}
    found = [
        Difference(f"{path}.{spec.module}.{key}", wanted, settings.get(key))
        for key, wanted in spec.vectorizer_settings.items()
        if settings.get(key) != wanted
    ]
    index = config.get("vectorIndexConfig") or {}
    # REST says "distance", weaviate-client's to_dict "distanceMetric"
    distance = index.get("distance", index.get("distanceMetric", "cosine"))
    if distance != "cosine":
        found.append(Difference(f"{path}.vectorIndexConfig.distance", "cosine", distance))
    return found
