"""The modules that follow pooling, read from their files, and what the identity calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ...errors import ModelUnsupported
from ..hub import read_json
from ..modules import ACTIVATIONS, Dense, TokenAttention
from .keys import DENSE, DIMENSION, check_keys


@dataclass(frozen=True)
class Layer:
    """A module that follows pooling, and its description in the identity's words."""

    module: nn.Module
    description: Mapping[str, Any]


def read_attention(folder: Path, source: str) -> TokenAttention:
    """Attention pooling with its query; raises `ModelUnsupported` for files that do not fit."""
    settings = read_json(folder / "config.json", source)
    check_keys(settings, DIMENSION, f"{folder.name}/config.json", source)
    module = TokenAttention(_size(settings, "dimension", f"{folder.name}/config.json", source))
    _load(module, read_weights(folder, source), folder, source)
    return module


def read_layer(kind: str, folder: Path, source: str) -> Layer:
    """A "LayerNorm" or "Dense" with its weights.

    Raises:
        ModelUnsupported: a key, an activation or a weight is not known, or is missing.
    """
    settings, file = read_json(folder / "config.json", source), f"{folder.name}/config.json"
    state = read_weights(folder, source)
    if kind == "LayerNorm":
        check_keys(settings, DIMENSION, file, source)
        size = _size(settings, "dimension", file, source)
        norm = nn.LayerNorm(size)
        bare = {key.removeprefix("norm."): value for key, value in state.items()}
        _load(norm, bare if len(bare) == len(state) else state, folder, source)
        return Layer(norm, {"type": "layer_norm", "dims": size})
    check_keys(settings, DENSE, file, source)
    activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if activation not in ACTIVATIONS:
        raise ModelUnsupported(
            model=source, reason=f"activation {activation} is not known", remedy=f"known: {', '.join(ACTIVATIONS)}"
        )
    size, out = (_size(settings, key, file, source) for key in ("in_features", "out_features"))
    residual: nn.Module | None = None
    if settings.get("use_residual"):
        residual = nn.Identity() if size == out else nn.Linear(size, out, bias=False)
    dense = Dense(nn.Linear(size, out, bias=bool(settings.get("bias", True))), ACTIVATIONS[activation](), residual)
    _load(dense, state, folder, source)
    description: dict[str, Any] = {"type": "dense", "dims": out, "activation": activation.rpartition(".")[2].lower()}
    if residual is not None:  # only then: a space that exists keeps its id
        description["residual"] = True
    return Layer(dense, description)


def require_fitting(layers: Sequence[Layer], size: int, source: str) -> None:
    """Refuse layers that do not take what stands before them, *size* dims at first.

    Raises:
        ModelUnsupported: one takes another length.
    """
    for layer in layers:
        taken = size
        if isinstance(layer.module, Dense):
            taken = layer.module.linear.in_features
        elif isinstance(layer.module, nn.LayerNorm):
            taken = layer.module.normalized_shape[0]
        if taken != size:
            raise ModelUnsupported(
                model=source,
                reason=f"its {layer.description['type']} takes {taken} dims, and what stands before it gives {size}",
                remedy="a module is of another model: get the folder anew",
            )
        size = int(layer.description.get("dims", size))


def read_weights(folder: Path, source: str) -> dict[str, torch.Tensor]:
    """The tensors of the module in *folder*; raises `ModelUnsupported` where it has no safetensors."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    if not weights.exists():
        raise ModelUnsupported(
            model=source,
            reason=f"{folder.name} has no model.safetensors",
            remedy="save it with sentence-transformers 3 or newer",
        )
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise ModelUnsupported(
            model=source,
            reason=f"{folder.name}/model.safetensors cannot be read: {error}",
            remedy="the folder is damaged: get it anew (git lfs pull, where its files are pointers)",
        ) from error


def _size(settings: Mapping[str, Any], key: str, file: str, source: str) -> int:
    size = settings.get(key)
    if type(size) is not int or size < 1:
        raise ModelUnsupported(
            model=source,
            reason=f"{file} says {key} = {size!r}, expected a number of dims",
            remedy="get the folder anew",
        )
    return size


def _load(module: nn.Module, state: Mapping[str, torch.Tensor], folder: Path, source: str) -> None:
    try:
        module.load_state_dict({key: value.float() for key, value in state.items()})
    except RuntimeError as error:  # missing, unexpected, or of another shape
        raise ModelUnsupported(
            model=source,
            reason=f"the weights of {folder.name} do not fit its config.json: {' '.join(str(error).split())[:300]}",
            remedy="the folder is damaged, or of a version that is not known here",
        ) from error
