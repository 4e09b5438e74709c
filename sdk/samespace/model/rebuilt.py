"""The encoder built anew from an artifact's identity: the architecture by transformers, the weights out of the graph.

It shows that the graph wires its weights as the identity says: a graph that holds the right weights and computes
something else with them gives other vectors than torch. It needs torch, which a server does not have.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..artifact import Artifact
from ..artifact.fingerprint import Identity
from ..artifact.graph_check import check_bytes
from ..artifact.proof import prove_identity
from ..artifact.reranker import RerankerIdentity
from ..embed import Model, embed_roles
from ..errors import ArtifactDamaged
from ..runtime import load_build
from ..runtime.fresh import fresh_texts, fresh_vectors
from ..runtime.onnx import NAME as ONNXRUNTIME
from .backbone import model_class
from .modules import ACTIVATIONS, Dense, EncoderModule, Normalise, TokenAttention, Truncate, numpy_model
from .reranker import CrossEncoderModule, classifier_class, reads_types

GATE: Final = 1e-6
"""The largest 1 - cos between the graph and torch."""
RERANKER_GATE: Final = 2e-5
"""The largest |a - b| / (1 + |b|) between the logits of the two."""


def compare_rebuilt(artifact: Artifact, *, seed: int | None = None) -> float:
    """The worst distance between an artifact's fp32 build and the same model rebuilt in torch, on fresh texts.

    Raises:
        ArtifactDamaged: they are not the same encoder, or the identity's architecture cannot be built.
        BuildError: the fp32 build does not run here.
    """
    name, identity = str(artifact.folder / _fp32_file(artifact)), artifact.manifest.encoder
    model: Model = numpy_model(rebuilt(artifact))
    encoder = artifact.text_encoder()
    fresh = fresh_texts(encoder, seed=seed)
    session = load_build(artifact, build="fp32", runtime=ONNXRUNTIME).session
    found = fresh_vectors(session, encoder, fresh, identity.dims)
    wanted = embed_roles(model, encoder, fresh.texts, fresh.roles, dims=identity.dims)
    worst = float(identity.distance(found, wanted).max())
    gate = RERANKER_GATE if artifact.manifest.reranker else GATE
    if not worst <= gate:
        raise ArtifactDamaged(
            file=name,
            reason=f"has the weights of its space id and computes something else with them: on fresh texts the "
            f"distance to the architecture in torch is up to {worst:.1e}, expected at most {gate:.0e}",
        )
    return worst


def rebuilt(artifact: Artifact) -> EncoderModule | CrossEncoderModule:
    """The encoder in torch, from the identity's settings and the weights in the fp32 graph.

    Raises:
        ArtifactDamaged: the weights are not those of the identity, or its architecture cannot be built.
    """
    file, identity = artifact.graph(_fp32_file(artifact)), artifact.manifest.encoder
    name = str(artifact.folder / file.name)
    proof = prove_identity(check_bytes(file.data, dims=identity.dims, file=name), identity, name)
    return rebuilt_from(identity, proof.weights, name)


def rebuilt_from(
    identity: Identity, weights: Mapping[str, npt.NDArray[Any]], file: str
) -> EncoderModule | CrossEncoderModule:
    """The module that *identity* describes, with *weights* by its names; *file* is the name that errors give.

    Raises:
        ArtifactDamaged: its architecture cannot be built.
    """
    try:
        if isinstance(identity, RerankerIdentity):
            return rebuild_reranker(identity, weights)
        return rebuild(identity, weights)
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise ArtifactDamaged(
            file=file, reason=f"cannot be built anew from its identity: {' '.join(str(error).split())[:300]}"
        ) from error


def _fp32_file(artifact: Artifact) -> str:
    build = artifact.manifest.build("fp32")
    assert build is not None  # every artifact has it
    return build.file


def rebuild_reranker(identity: RerankerIdentity, weights: Mapping[str, npt.NDArray[Any]]) -> CrossEncoderModule:
    """The cross-encoder that *identity* describes, with *weights* by its names."""
    from transformers import AutoConfig

    settings = dict(identity.architecture)
    config = AutoConfig.for_model(str(settings.pop("model_type")), num_labels=1, **settings)
    kind = classifier_class(config, str(settings))
    config._attn_implementation = "sdpa" if kind._supports_sdpa else "eager"
    module = CrossEncoderModule(kind(config), typed=reads_types(kind, config))
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return module.eval().requires_grad_(False)


def rebuild(identity: Identity, weights: Mapping[str, npt.NDArray[Any]]) -> EncoderModule:
    """The module that *identity* describes, with *weights* by its names."""
    from transformers import AutoConfig

    from . import alibi, static  # noqa: F401  registers our own architectures

    settings = dict(identity.architecture)
    config = AutoConfig.for_model(str(settings.pop("model_type")), **settings)
    kind = model_class(config, str(settings))
    config._attn_implementation = "sdpa" if kind._supports_sdpa else "eager"
    if hasattr(config, "use_cache"):
        config.use_cache = False
    options = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    state = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    pooling: str | TokenAttention = identity.pooling
    if pooling == "attention":
        pooling = TokenAttention(len(state["pooling.query"]))
    transform = _linear(state, "transform") if identity.transform is not None else None
    layers = [_layer(layer, state, f"layers.{place}") for place, layer in enumerate(identity.layers)]
    pool_prompt = identity.recipe.pool_prompt
    module = EncoderModule(kind(config, **options), pooling, layers, transform, pool_prompt=pool_prompt)
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def _layer(described: Mapping[str, Any], state: Mapping[str, torch.Tensor], name: str) -> nn.Module:
    kind = described["type"]
    if kind == "normalise":
        return Normalise()
    if kind == "truncate":
        return Truncate(int(described["dims"]))
    if kind == "layer_norm":
        return nn.LayerNorm(int(described["dims"]))
    activation = next(made for made in ACTIVATIONS.values() if made.__name__.lower() == described["activation"])
    residual: nn.Module | None = None
    if described.get("residual"):
        residual = _linear(state, f"{name}.residual") if f"{name}.residual.weight" in state else nn.Identity()
    return Dense(_linear(state, f"{name}.linear"), activation(), residual)


def _linear(state: Mapping[str, torch.Tensor], name: str) -> nn.Linear:
    out, size = state[f"{name}.weight"].shape
    return nn.Linear(size, out, bias=f"{name}.bias" in state)
