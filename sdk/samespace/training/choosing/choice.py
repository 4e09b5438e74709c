"""Training keys that follow from what a set is like, each with its reason. Pure.

What it leaves to others: rate and blend, which no trait tells (`search`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .traits import Traits

TEMPLATES: Final = 0.3
"""Share of queries in templates from which a set counts as made of them."""
_SHARED: Final = 1.3
_QUERY, _PASSAGE = (32, 64), (48, 128)
_SMALL: Final = 640
_LEAST_STEPS: Final = 24
_MOST_EPOCHS: Final = 8


@dataclass(frozen=True, slots=True)
class ChosenKey:
    """One training key, its value, and why."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.why}"


def choose_keys(traits: Traits, token_limit: int) -> tuple[ChosenKey, ...]:
    """The keys for a set, but for rate and blend.

    Args:
        token_limit: the base's.
    """
    batch = 64 if traits.pairs >= _SMALL else max(8, min(32, traits.pairs // 8))
    steps = max(1, -(-traits.pairs // batch))
    epochs = min(_MOST_EPOCHS, max(1, -(-_LEAST_STEPS // steps)))
    chosen = [
        ChosenKey("batch_size", batch, f"{traits.pairs} pairs"),
        ChosenKey("epochs", epochs, f"an epoch has {steps} steps"),
        _length("query_max_tokens", traits.query_tokens, _QUERY, token_limit),
        _length("passage_max_tokens", traits.passage_tokens, _PASSAGE, token_limit),
        ChosenKey("drop_leaks", True, "held-out texts are not trained on"),
    ]
    if traits.labelled:
        return (*chosen, ChosenKey("loss", "cosine_mse", "the pairs have labels"))
    several = traits.queries / max(1, traits.passages)
    told = f"{traits.template:.0%} of the queries are templates"
    if traits.template >= TEMPLATES:
        mask = ChosenKey("mask", "equal", f"{told}, so passages that differ in a name are other answers")
    else:
        mask = ChosenKey("mask", "near", f"{told}, {traits.copies:.0%} of the passages have near-duplicates")
    return (*chosen, mask, ChosenKey("symmetric", several <= _SHARED, f"{several:.1f} queries for each passage"))


def _length(key: str, tokens: int, bounds: tuple[int, int], token_limit: int) -> ChosenKey:
    low, high = bounds
    value = min(token_limit, high, max(low, -(-tokens // 16) * 16))
    return ChosenKey(key, value, f"95 % of the texts have at most about {tokens} tokens")
