"""What a model folder says of itself: sentence-transformers' modules, or a plain transformers folder.

Only JSON and safetensors are read, and no code of the folder is run; what cannot be exported faithfully is refused
by name. The transformer itself is loaded elsewhere (`backbone`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ..errors import ModelUnsupported
from .hub import read_json
from .modules import ACTIVATIONS, ATTENTION_POOLING, NORMALISE, POOLING_NAMES, Dense, Normalise, TokenAttention
from .router import ROUTES, ModuleEntry, read_routes

_ST_POOLING: Final = {theirs: ours for ours, theirs in POOLING_NAMES.items()}
_LEGACY_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Read where sentence-transformers reads them: beside the transformer, whatever it was called once, and at the top.
_TRANSFORMER_SETTINGS: Final = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_MODEL_SETTINGS: Final = ("config_sentence_transformers.json",)
_AFTER_LAYERS: Final = ("Normalize", "Dropout")
_KNOWN: Final = ("Transformer", "Pooling", "AttentionPooling", "Dense", "LayerNorm", *_AFTER_LAYERS)


@dataclass(frozen=True)
class Layer:
    """A module that follows pooling, and its description in the identity's words."""

    module: nn.Module
    description: Mapping[str, Any]


@dataclass(frozen=True)
class ModelFolder:
    """Where the transformer's files are, and what surrounds it.

    Attributes:
        source: its name in errors and provenance.
        root: the folder of the transformer and its tokenizer.
        pooling: one of `POOLING_NAMES`, or "attention" with its module.
        settings: sentence-transformers' own settings, of all its files.
    """

    source: str
    root: Path
    pooling: str
    attention: TokenAttention | None = None
    layers: Sequence[Layer] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_model_folder(folder: Path, source: str, pooling: str | None) -> ModelFolder:
    """Read *folder*; *source* is its name in errors, *pooling* what the user says instead of the folder.

    Raises:
        ModelUnsupported: it is incomplete, unknown, contradicts *pooling*, or has one encoder for each role.
    """
    first, *others = read_towers(folder, source, pooling)
    if others:
        raise ModelUnsupported(
            model=source,
            reason="is a Router with one encoder for queries and one for documents",
            remedy="samespace export joins them as one artifact: use that",
        )
    return first


def read_towers(folder: Path, source: str, pooling: str | None) -> tuple[ModelFolder, ...]:
    """Read what `read_model_folder` reads, or both encoders of a Router, that of queries first.

    A Router whose routes are the same modules is one encoder: its roles differ in nothing but their prompts.
    """
    if (folder / "modules.json").exists():
        routes = read_routes(folder, source)
        if routes["query"] == routes["passage"]:
            return (_sentence_transformers(folder, routes["query"], source, pooling),)
        if pooling is not None:
            raise ModelUnsupported(
                model=source,
                reason=f"is a Router, and each of its routes has a pooling of its own; {pooling} was asked for",
                remedy="leave --pooling out",
            )
        return tuple(
            _sentence_transformers(folder, routes[role], f"{source} ({route} route)", None)
            for role, route in ROUTES.items()
        )
    if not (folder / "config.json").exists():
        raise ModelUnsupported(
            model=source, reason="has neither modules.json nor config.json", remedy="name a model folder"
        )
    if pooling is None:
        raise ModelUnsupported(
            model=source,
            reason="is a plain transformers folder, which does not say how token vectors become one vector",
            remedy=f"pass --pooling ({', '.join(POOLING_NAMES)}), as its model card does",
        )
    if pooling not in POOLING_NAMES:
        raise ModelUnsupported(
            model=source, reason=f"pooling {pooling!r} is not known", remedy=f"known: {', '.join(POOLING_NAMES)}"
        )
    return (ModelFolder(source, folder, pooling),)


def _sentence_transformers(
    folder: Path, modules: Sequence[ModuleEntry], source: str, chosen: str | None
) -> ModelFolder:
    kinds = [_known(module, source) for module in modules]
    poolings = [kind for kind in kinds if kind in ("Pooling", "AttentionPooling")]
    if kinds[:1] != ["Transformer"] or kinds[1:2] != poolings or kinds.count("Transformer") != 1:
        raise ModelUnsupported(
            model=source, reason=f"has modules {kinds}", remedy="a Transformer and one Pooling have to come first"
        )
    attention = None
    if kinds[1] == "AttentionPooling":
        pooling, attention = "attention", _attention(modules[1].folder, source)
    else:
        pooling = _st_pooling(read_json(modules[1].folder / "config.json", source), source)
    if chosen is not None and chosen != pooling:
        raise ModelUnsupported(
            model=source,
            reason=f"was trained with {pooling} pooling, {chosen} was asked for",
            remedy="leave --pooling out; another pooling would be another, untrained encoder",
        )
    root = modules[0].folder
    # Normalize at the end is what the encoder does anyway; twice in a row (a Router's route and its folder) is once.
    last = max((place for place, kind in enumerate(kinds) if kind not in _AFTER_LAYERS), default=0)
    layers: list[Layer] = []
    for module, kind in list(zip(modules, kinds, strict=True))[2 : last + 1]:
        if kind == "Normalize":
            if not (layers and layers[-1].description == NORMALISE):
                layers.append(Layer(Normalise(), NORMALISE))
        elif kind != "Dropout":
            layers.append(_layer(kind, module.folder, source))
    settings = {**_first(root, _TRANSFORMER_SETTINGS, source), **_first(folder, _MODEL_SETTINGS, source)}
    return ModelFolder(source, root, pooling, attention, layers, settings.get("prompts") or {}, settings)


def _known(module: ModuleEntry, source: str) -> str:
    """The short name of a module's class, if it is one whose numbers are known here."""
    ours = module.type in ATTENTION_POOLING
    if not ours and not (module.type.startswith("sentence_transformers.") and module.kind in _KNOWN):
        raise ModelUnsupported(
            model=source,
            reason=f"module {module.type} is not one that can be exported",
            remedy="samespace knows Transformer, Pooling, Dense, LayerNorm and Normalize, and its AttentionPooling",
        )
    return module.kind


def _attention(folder: Path, source: str) -> TokenAttention:
    state = _weights(folder, source)
    module = TokenAttention(int(read_json(folder / "config.json", source)["dimension"]))
    module.load_state_dict({key: value.float() for key, value in state.items()})
    return module


def _layer(kind: str, folder: Path, source: str) -> Layer:
    settings = read_json(folder / "config.json", source)
    state = _weights(folder, source)
    if kind == "LayerNorm":
        size = int(settings["dimension"])
        norm = nn.LayerNorm(size)
        norm.load_state_dict({key.removeprefix("norm."): value.float() for key, value in state.items()})
        return Layer(norm, {"type": "layer_norm", "dims": size})
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
    return Layer(Dense(linear, ACTIVATIONS[activation]()), description)


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


def _weights(folder: Path, source: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    if not weights.exists():
        raise ModelUnsupported(
            model=source,
            reason=f"{folder.name} has no model.safetensors",
            remedy="save it with sentence-transformers 3 or newer",
        )
    return load_file(weights)


def _first(folder: Path, names: Sequence[str], source: str) -> dict[str, Any]:
    """The content of the first of these files that is in *folder*; {} where none is."""
    place = next((folder / name for name in names if (folder / name).exists()), None)
    return {} if place is None else dict(read_json(place, source))
