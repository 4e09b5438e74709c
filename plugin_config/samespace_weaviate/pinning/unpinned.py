"""What can be said about vectors that no space is pinned to: how their encoder can change unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .routes import address_of, environment_of, openness, vectorizer_of
from .spec import GUARD_VECTOR, shown


def unpinned_vectors(schema: Mapping[str, Any], pinned: frozenset[str]) -> list[str]:
    """One sentence for each vector of *schema* that is not among *pinned*; also for the one without a name."""
    sentences = []
    for name in sorted(schema.get("vectorConfig") or {}):
        if name not in pinned and name != GUARD_VECTOR:
            sentences.append(f"vector {name} has no pin: {_encoder(*vectorizer_of(schema, name))}")
    if has_unnamed_vector(schema):
        sentences.append(f"the vector without a name has no pin: {_encoder(*vectorizer_of(schema, ''))}")
    return sentences


def has_unnamed_vector(schema: Mapping[str, Any]) -> bool:
    """Whether the collection has the vector without a name of older collections, to which unnamed ones go."""
    return bool(schema.get("vectorizer")) or not schema.get("vectorConfig")


def _encoder(module: str, settings: Mapping[str, Any]) -> str:
    if module == "none":
        return "no vectorizer; whoever writes or queries may use any encoder"
    address, variable = address_of(module, settings), environment_of(module)
    if not address and variable:
        return f"{module} without an address; the encoder is what {variable} says, on each node for itself"
    where = f"{module} at {shown(address)}" if address else f"{module} at its provider's address"
    model = f" with model {settings['model']}" if settings.get("model") else ""
    open_to = openness(module)
    return f"{where}{model}; nothing says which encoder answers there" + (f", {open_to}" if open_to else "")
