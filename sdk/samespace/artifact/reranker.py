"""The identity of a reranker: everything that can change the score of a query and a passage.

It is an encoder's identity of another kind, with one number in the place of a vector: the logit. Its id is no space id:
nothing of a reranker is stored in an index, and `open_artifact` gives one only to those who ask for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ..errors import ManifestInvalid, RequestInvalid
from ..text import BEST_WINDOW, ROLES, Recipe
from .fingerprint import SCHEME, Identity, WeightDigest

RERANKER: Final = "reranker"
CLASSIFIER: Final = "classifier"
"""In the place of a pooling: the model's own head gives the number."""
ACTIVATIONS: Final = ("sigmoid", "identity")


@dataclass(frozen=True, slots=True)
class RerankerIdentity(Identity):
    """Everything that can change a score.

    Attributes:
        activation: what makes a score of a logit, outside the graph: one of `ACTIVATIONS`.
        recipe: prompts by side, token limit and windows; the best window of a long passage counts.
    """

    activation: str = "sigmoid"

    kind: ClassVar[str] = RERANKER

    def to_dict(self) -> dict[str, Any]:
        """The plain form: what is digested, and what the manifest holds."""
        return {
            "scheme": SCHEME,
            "kind": RERANKER,
            "weights": [[w.name, w.dtype, list(w.shape), w.sha256] for w in self.weights],
            "architecture": dict(self.architecture),
            "tokenizer": self.tokenizer,
            "pair": list(ROLES),
            "activation": self.activation,
            "recipe": self.recipe.to_dict(),
        }

    def distance(self, found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How far apart logits (n, 1) are, (n,) float64: |a - b| / (1 + |b|)."""
        a, b = (np.asarray(each, dtype=np.float64)[:, 0] for each in (found, wanted))
        return np.asarray(np.abs(a - b) / (1.0 + np.abs(b)), dtype=np.float64)


def reranker_identity(
    weights: tuple[WeightDigest, ...],
    architecture: Mapping[str, Any],
    tokenizer: str,
    activation: str,
    recipe: Recipe,
) -> RerankerIdentity:
    """The identity of a reranker; raises `RequestInvalid` for an activation or a recipe that no reranker has."""
    if activation not in ACTIVATIONS:
        raise RequestInvalid(field="activation", reason=f"{activation!r}; expected {' or '.join(ACTIVATIONS)}")
    if recipe.combine != BEST_WINDOW or not recipe.pool_prompt:
        raise RequestInvalid(field="recipe.combine", reason=f"{recipe.combine!r}; a reranker has {BEST_WINDOW!r}")
    return RerankerIdentity(
        weights, architecture, tokenizer, CLASSIFIER, (), None, False, 1, recipe, activation=activation
    )


def reranker_from_dict(data: Mapping[str, Any]) -> RerankerIdentity:
    """The inverse of `RerankerIdentity.to_dict`; raises `ManifestInvalid` for what does not fit."""
    try:
        identity = reranker_identity(
            tuple(
                WeightDigest(str(name), str(dtype), tuple(int(size) for size in shape), str(digest))
                for name, dtype, shape, digest in data["weights"]
            ),
            dict(data["architecture"]),
            str(data["tokenizer"]),
            str(data["activation"]),
            Recipe.from_dict(data["recipe"], BEST_WINDOW),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RequestInvalid) as error:
        raise ManifestInvalid(file="manifest.json", reason=f"identity does not fit: {error}") from error
    if identity.to_dict() != dict(data):
        raise ManifestInvalid(file="manifest.json", reason="identity has unknown keys or wrong types")
    return identity
