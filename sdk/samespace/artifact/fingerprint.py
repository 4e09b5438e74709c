"""The space id: a digest of everything that can change a vector.

    space id = sha256(canonical JSON of the identity), 64 lower-case hex digits

Canonical JSON is `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True,
allow_nan=False)` in ASCII: keys sorted, no white space, every non-ASCII character escaped, floats as the
shortest text that reads back to the same double. `docs/spec/space-id.md` documents the identity key by key.

Outside the identity, and so free to change: the display name, provenance, scores, builds, file order, time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ..errors import ManifestInvalid, RequestInvalid
from ..text import WINDOW_MEAN, Recipe
from ..vectors import cosine_distance

SCHEME: Final = 1
POOLINGS: Final = ("mean", "cls", "max", "last", "weighted_mean", "mean_sqrt_len", "attention")

# Settings of a model's configuration that cannot change a vector: names, versions, training-only knobs
# and what the identity holds elsewhere. Everything that is not listed counts, so a setting that nobody
# here has heard of changes the id rather than slipping through.
IRRELEVANT_SETTINGS: Final = frozenset(
    {
        "_name_or_path", "name_or_path", "_commit_hash", "architectures", "auto_map", "transformers_version",
        "torch_dtype", "dtype", "id2label", "label2id", "num_labels", "problem_type", "return_dict",
        "output_attentions", "output_hidden_states", "use_cache", "gradient_checkpointing", "initializer_range",
        "initializer_cutoff_factor", "initializer_factor", "attention_probs_dropout_prob", "hidden_dropout_prob",
        "attention_dropout", "dropout", "dropout_rate", "embedding_dropout", "mlp_dropout", "resid_pdrop",
        "classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "qa_dropout", "finetuning_task",
        "task_specific_params", "tie_word_embeddings", "chunk_size_feed_forward", "_attn_implementation",
        "attn_implementation", "_attn_implementation_autoset", "_experts_implementation", "is_encoder_decoder",
        "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "unk_token_id", "mask_token_id",
        "decoder_start_token_id", "experiment", "torchscript", "pruned_heads", "deterministic_flash_attn",
        "reference_compile", "repad_logits_with_grad", "sparse_prediction", "sparse_pred_ignore_index",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WeightDigest:
    """One trained tensor: its name, dtype, shape, and the sha256 of its little-endian C-order bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that can change a vector. Two encoders with equal identities share a space.

    Attributes:
        weights: sorted by name.
        architecture: the configuration's settings that matter, see `relevant_settings`.
        tokenizer: sha256 of the artifact's tokenizer.json.
        pooling: one of `POOLINGS`, or several with "+" between them: their vectors one after the other.
        layers: what follows pooling (dense, layer norm), in order; their weights are in `weights`.
        transform: the linear map after them, or None.
        normalise: whether vectors are scaled to unit length; always true so far.
        dims: length of a vector.
        recipe: the text recipe.
    """

    weights: tuple[WeightDigest, ...]
    architecture: Mapping[str, Any]
    tokenizer: str
    pooling: str
    layers: tuple[Mapping[str, Any], ...]
    transform: Mapping[str, Any] | None
    normalise: bool
    dims: int
    recipe: Recipe

    kind: ClassVar[str] = "encoder"

    def to_dict(self) -> dict[str, Any]:
        """The plain form: what is digested, and what the manifest holds."""
        return {
            "scheme": SCHEME,
            "kind": self.kind,
            "weights": [[w.name, w.dtype, list(w.shape), w.sha256] for w in self.weights],
            "architecture": dict(self.architecture),
            "tokenizer": self.tokenizer,
            "pooling": self.pooling,
            "layers": [dict(layer) for layer in self.layers],
            "transform": None if self.transform is None else dict(self.transform),
            "normalise": self.normalise,
            "dims": self.dims,
            "recipe": self.recipe.to_dict(),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Identity:
        """The inverse of `to_dict`; raises `ManifestInvalid` for what does not fit."""
        try:
            identity = Identity(
                weights=tuple(
                    WeightDigest(str(name), str(dtype), tuple(int(size) for size in shape), str(digest))
                    for name, dtype, shape, digest in data["weights"]
                ),
                architecture=dict(data["architecture"]),
                tokenizer=str(data["tokenizer"]),
                pooling=str(data["pooling"]),
                layers=tuple(dict(layer) for layer in data["layers"]),
                transform=None if data["transform"] is None else dict(data["transform"]),
                normalise=bool(data["normalise"]),
                dims=int(data["dims"]),
                recipe=Recipe.from_dict(data["recipe"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ManifestInvalid(file="manifest.json", reason=f"identity does not fit: {error!r}") from error
        except RequestInvalid as error:
            raise ManifestInvalid(file="manifest.json", reason=f"identity: {error}") from error
        if identity.to_dict() != dict(data):
            raise ManifestInvalid(
                file="manifest.json",
                reason=f"identity has unknown keys or wrong types (scheme {data.get('scheme')!r}, kind "
                f"{data.get('kind')!r}; this samespace knows scheme {SCHEME}, kind 'encoder')",
            )
        if not set(identity.pooling.split("+")) <= set(POOLINGS) or not 1 <= identity.dims <= 65_536:
            raise ManifestInvalid(
                file="manifest.json", reason=f"pooling {identity.pooling!r} with {identity.dims} dims is not known here"
            )
        if identity.recipe.combine != WINDOW_MEAN:
            raise ManifestInvalid(
                file="manifest.json",
                reason=f"recipe.combine is {identity.recipe.combine!r}, an encoder has {WINDOW_MEAN!r}",
            )
        return identity

    def distance(self, found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """How far apart what two builds give is, (n, dims) each: 1 - cos of each row, (n,) float64."""
        return cosine_distance(found, wanted)

    def space_id(self) -> str:
        """sha256 over the canonical JSON of `to_dict()`."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value; see the module's docstring."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def weight_digest(name: str, array: npt.NDArray[Any], *, dtype: str | None = None) -> WeightDigest:
    """Digest of one tensor; *dtype* names it where numpy has no such type (bfloat16 as uint16 bits)."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    name_of_type = dtype or array.dtype.name
    return WeightDigest(name, name_of_type, tuple(array.shape), hashlib.sha256(little.tobytes()).hexdigest())


def sort_weights(digests: Iterable[WeightDigest]) -> tuple[WeightDigest, ...]:
    """In the order of the identity: by name."""
    return tuple(sorted(digests, key=lambda digest: digest.name))


def relevant_settings(
    settings: Mapping[str, Any], defaults: Mapping[str, Any], read: Collection[str] = ()
) -> dict[str, Any]:
    """The settings of a model configuration that can change a vector.

    Those that equal the configuration class's own default are left out beside `model_type`: a newer
    transformers that adds a setting would otherwise rename every space that exists.

    Args:
        read: settings among `IRRELEVANT_SETTINGS` that this model computes with all the same.
    """
    kept: dict[str, Any] = {}
    for key, value in settings.items():
        usual = defaults.get(key)
        if key in IRRELEVANT_SETTINGS and key not in read:
            continue
        if key != "model_type" and key in defaults and usual == value:
            continue
        if isinstance(value, Mapping):
            nested = relevant_settings(value, usual if isinstance(usual, Mapping) else {})
            if nested or usual:  # what the default has and this has not is no matter of its keys
                kept[key] = nested or dict(value)
        elif value is not None or usual is not None:
            kept[key] = list(value) if isinstance(value, tuple) else value
    return kept
