"""A checkpoint: everything that is read from a model folder before anything is exported.

Read are sentence-transformers folders (`modules.json`) and plain transformers folders. Weights come from
safetensors only and no code of the folder is run; what cannot be exported faithfully is refused by name.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ..artifact.fingerprint import Identity, relevant_settings, sort_weights, weight_digest
from ..embed import Model, embed_texts
from ..encoder import Encoded, Encoder, Progress, check_dims
from ..errors import ModelUnsupported
from ..text import LongTexts, Recipe, Role, TextEncoder
from ..vectors import Vectors
from .base import resolve_model
from .modules import ACTIVATIONS, POOLING_NAMES, Dense, EncoderModule, numpy_model
from .tokenizer import canonical_tokenizer

DEFAULT_OVERLAP_SHARE: Final = 4
"""Windows share a quarter of the token limit unless told otherwise."""
_ST_POOLING: Final = {theirs: ours for ours, theirs in POOLING_NAMES.items()}
_LEGACY_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Overrides:
    """What the user says instead of the folder. None keeps the folder's own.

    Attributes:
        pooling: for plain transformers folders; a sentence-transformers folder brings its own.
        token_limit: tokens of one model input, special tokens included.
        window_overlap: tokens that neighbouring windows share.
        query_prompt, passage_prompt: put in front of texts.
    """

    pooling: str | None = None
    token_limit: int | None = None
    window_overlap: int | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A model in memory, ready to be exported or to encode with torch.

    Attributes:
        source: what the user named.
        module: ids and mask to unit vectors.
        tokenizer: the bytes of the artifact's tokenizer.json.
        layers: what follows pooling, in the identity's words.
    """

    source: str
    module: EncoderModule
    tokenizer: bytes
    config: Any
    pooling: str
    layers: tuple[Mapping[str, Any], ...]
    recipe: Recipe

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self.layers[-1]["dims"] if self.layers else self.config.hidden_size)

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The text path."""
        from tokenizers import Tokenizer

        return TextEncoder(Tokenizer.from_buffer(self.tokenizer), self.recipe)

    @cached_property
    def model(self) -> Model:
        """The torch module behind the interface of every runtime."""
        model: Model = numpy_model(self.module)
        return model

    @cached_property
    def identity(self) -> Identity:
        """Everything that can change a vector; its digest is the space id."""
        import hashlib

        digests = []
        for name, tensor in self.module.state_dict().items():
            if tensor.dtype == torch.bfloat16:
                digests.append(weight_digest(name, tensor.view(torch.uint16).numpy(), dtype="bfloat16"))
            else:
                digests.append(weight_digest(name, tensor.numpy()))
        return Identity(
            weights=sort_weights(digests),
            architecture=relevant_settings(self.config.to_dict(), type(self.config)().to_dict()),
            tokenizer=hashlib.sha256(self.tokenizer).hexdigest(),
            pooling=self.pooling,
            layers=self.layers,
            transform=None,
            normalise=True,
            dims=self.dims,
            recipe=self.recipe,
        )


class CheckpointEncoder(Encoder):
    """A checkpoint that encodes with torch: the reference that exports are held against."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._space_id = checkpoint.identity.space_id()

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.checkpoint.source

    @property
    def dims(self) -> int:
        return self.checkpoint.dims

    @property
    def token_limit(self) -> int:
        return self.checkpoint.recipe.token_limit

    def encode_detailed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        progress: Progress | None = None,
    ) -> Encoded:
        check_dims(dims, self.dims, ())
        checkpoint = self.checkpoint
        embedded = embed_texts(
            checkpoint.model,
            checkpoint.text_encoder,
            texts,
            role,
            dims=self.dims,
            long_texts=long_texts,
            progress=progress,
        )
        return Encoded(Vectors(embedded.vectors, self._space_id), embedded.tokens, embedded.windows, embedded.spans)


def load_checkpoint(model: str | Path, overrides: Overrides | None = None) -> Checkpoint:
    """Read a model folder or hub name.

    Raises:
        ModelUnsupported: it cannot be exported faithfully; says what and why.
        RequestInvalid: the recipe makes no sense (a prompt longer than the token limit, ...).
    """
    source, chosen = str(model), overrides or Overrides()
    folder = resolve_model(source)
    if not (folder / "modules.json").exists():
        if not (folder / "config.json").exists():
            raise ModelUnsupported(
                model=source, reason="has neither modules.json nor config.json", remedy="name a model folder"
            )
        if chosen.pooling is None:
            raise ModelUnsupported(
                model=source,
                reason="is a plain transformers folder, which does not say how token vectors become one vector",
                remedy=f"say --pooling ({', '.join(POOLING_NAMES)}), as its model card does",
            )
        return _assemble(source, folder, chosen, pooling=chosen.pooling, layers=[], prompts={}, settings={})
    return _sentence_transformers(source, folder, chosen)


def _sentence_transformers(source: str, folder: Path, chosen: Overrides) -> Checkpoint:
    modules = sorted(_json(folder / "modules.json", source), key=lambda module: int(module["idx"]))
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    for module, kind in zip(modules, kinds, strict=True):
        if not str(module["type"]).startswith("sentence_transformers.") or kind not in (
            "Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout",
        ):  # fmt: skip
            raise ModelUnsupported(
                model=source,
                reason=f"module {module['type']} is not one that can be exported",
                remedy="samespace knows Transformer, Pooling, Dense, LayerNorm and Normalize",
            )
    if kinds[:2] != ["Transformer", "Pooling"] or kinds.count("Transformer") != 1 or kinds.count("Pooling") != 1:
        raise ModelUnsupported(
            model=source, reason=f"has modules {kinds}", remedy="a Transformer and a Pooling have to come first"
        )
    pooling = _st_pooling(_json(folder / modules[1]["path"] / "config.json", source), source)
    if chosen.pooling is not None and chosen.pooling != pooling:
        raise ModelUnsupported(
            model=source,
            reason=f"was trained with {pooling} pooling, {chosen.pooling} was asked for",
            remedy="leave --pooling out; another pooling would be another, untrained encoder",
        )
    root = folder / modules[0]["path"]
    layers = [
        _layer(kind, folder / module["path"], source)
        for module, kind in zip(modules[2:], kinds[2:], strict=True)
        if kind not in ("Normalize", "Dropout")
    ]
    if "Normalize" in kinds[2:-1] and layers and kinds.index("Normalize") < len(kinds) - 1:
        raise ModelUnsupported(
            model=source, reason="normalises before its last layer", remedy="put Normalize last and train again"
        )
    settings: dict[str, Any] = {}
    for name in ("sentence_bert_config.json", "config_sentence_transformers.json"):
        for place in {root / name, folder / name}:
            if place.exists():
                settings.update(_json(place, source))
    prompts = settings.get("prompts") or {}
    return _assemble(source, root, chosen, pooling=pooling, layers=layers, prompts=prompts, settings=settings)


def _assemble(
    source: str,
    root: Path,
    chosen: Overrides,
    *,
    pooling: str,
    layers: list[tuple[nn.Module, Mapping[str, Any]]],
    prompts: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Checkpoint:
    from transformers import AutoConfig

    if pooling not in POOLING_NAMES:
        raise ModelUnsupported(
            model=source, reason=f"pooling {pooling!r} is not known", remedy=f"known: {', '.join(POOLING_NAMES)}"
        )
    raw = _json(root / "config.json", source)
    if "auto_map" in raw and "model_type" not in raw:
        raise ModelUnsupported(
            model=source, reason="brings code of its own (auto_map)", remedy="use a model that transformers knows"
        )
    try:
        config = AutoConfig.from_pretrained(root, trust_remote_code=False)
    except (ValueError, OSError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"transformers does not know model type {raw.get('model_type')!r} without code of the folder",
            remedy="use a model that transformers knows natively",
        ) from error
    backbone = _backbone(source, root, config)
    tokenizer = canonical_tokenizer(root, source, lower=bool(settings.get("do_lower_case")))
    limit = chosen.token_limit or _token_limit(source, root, config, settings)
    recipe = Recipe(
        prompts={
            "query": chosen.query_prompt if chosen.query_prompt is not None else prompts.get("query", ""),
            "passage": chosen.passage_prompt
            if chosen.passage_prompt is not None
            else prompts.get("passage", prompts.get("document", "")),
        },
        token_limit=limit,
        window_overlap=limit // DEFAULT_OVERLAP_SHARE if chosen.window_overlap is None else chosen.window_overlap,
    )
    module = EncoderModule(backbone, pooling, [layer for layer, _ in layers]).eval()
    return Checkpoint(
        source=source,
        module=module,
        tokenizer=tokenizer,
        config=config,
        pooling=pooling,
        layers=tuple(description for _, description in layers),
        recipe=recipe,
    )


def _backbone(source: str, root: Path, config: Any) -> nn.Module:
    from transformers import MODEL_MAPPING, AutoModel

    if not any(root.glob("*.safetensors")):
        raise ModelUnsupported(
            model=source,
            reason="has no safetensors weights, and a pickled checkpoint can run code when it is read",
            remedy="convert it once where you trust it: AutoModel.from_pretrained(SOURCE).save_pretrained(TARGET)",
        )
    options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": False, "use_safetensors": True}
    # BERT's pooler is a head of its pre-training: it is not on the way to a vector, so it is not the space's.
    kind = MODEL_MAPPING.get(type(config), None)
    if kind is not None and "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        options["add_pooling_layer"] = False
    backbone, report = AutoModel.from_pretrained(
        root, config=config, attn_implementation="sdpa", output_loading_info=True, **options
    )
    # transformers fills what is missing with random numbers and a warning: no encoder that anybody trained.
    missing = sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])])
    if missing:
        raise ModelUnsupported(
            model=source,
            reason=f"lacks {len(missing)} weights of {type(backbone).__name__}, the first: {missing[0]}",
            remedy="the folder is incomplete, or its config.json is of another model",
        )
    module: nn.Module = backbone.eval()
    return module


def _layer(kind: str, folder: Path, source: str) -> tuple[nn.Module, Mapping[str, Any]]:
    from safetensors.torch import load_file

    settings = _json(folder / "config.json", source)
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise ModelUnsupported(
            model=source,
            reason=f"{folder.name} has no model.safetensors",
            remedy="save it with sentence-transformers 3 or newer",
        )
    state = load_file(weights)
    if kind == "LayerNorm":
        size = int(settings["dimension"])
        norm = nn.LayerNorm(size)
        norm.load_state_dict({key.removeprefix("norm."): value.float() for key, value in state.items()})
        return norm, {"type": "layer_norm", "dims": size}
    activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if activation not in ACTIVATIONS:
        raise ModelUnsupported(
            model=source, reason=f"activation {activation} is not known", remedy=f"known: {', '.join(ACTIVATIONS)}"
        )
    for key, normal in (("module_input_name", "sentence_embedding"), ("module_output_name", "sentence_embedding")):
        if settings.get(key, normal) != normal:
            raise ModelUnsupported(
                model=source, reason=f"its Dense layer has {key} {settings[key]!r}", remedy=f"expected {normal!r}"
            )
    linear = nn.Linear(
        int(settings["in_features"]), int(settings["out_features"]), bias=bool(settings.get("bias", True))
    )
    linear.load_state_dict({key.removeprefix("linear."): value.float() for key, value in state.items()})
    description = {"type": "dense", "dims": linear.out_features, "activation": activation.rpartition(".")[2].lower()}
    return Dense(linear, ACTIVATIONS[activation]()), description


def _st_pooling(settings: Mapping[str, Any], source: str) -> str:
    mode = settings.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or [])
    modes = modes or [name for key, name in _LEGACY_POOLING.items() if settings.get(key)]
    if len(modes) != 1 or modes[0] not in _ST_POOLING:
        raise ModelUnsupported(
            model=source,
            reason=f"pooling {modes} is not known",
            remedy=f"known, one at a time: {', '.join(_ST_POOLING)}",
        )
    if settings.get("include_prompt", True) is not True:
        raise ModelUnsupported(
            model=source,
            reason="leaves the prompt out of pooling",
            remedy="not supported so far: train with it included",
        )
    return _ST_POOLING[modes[0]]


def _token_limit(source: str, root: Path, config: Any, settings: Mapping[str, Any]) -> int:
    """The folder's own limit: sentence-transformers' setting, else the tokenizer's, else the positions."""
    found: list[int] = []
    if isinstance(settings.get("max_seq_length"), int):
        found.append(settings["max_seq_length"])
    elif (root / "tokenizer_config.json").exists():
        length = _json(root / "tokenizer_config.json", source).get("model_max_length")
        if isinstance(length, int | float) and 0 < length < 1_000_000:
            found.append(int(length))
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa's family counts positions from pad_token_id + 1.
        offset = config.pad_token_id + 1 if config.model_type in _OFFSET_POSITIONS else 0
        found.append(positions - offset)
    if not found:
        raise ModelUnsupported(model=source, reason="does not say its token limit", remedy="say --max-tokens")
    return min(found)


_OFFSET_POSITIONS: Final = frozenset(
    {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "xmod", "longformer"}
)


def _json(path: Path, source: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnsupported(
            model=source, reason=f"{path.name} cannot be read: {error}", remedy="the folder is incomplete"
        ) from error
