"""A head folded into its encoder: one graph, one identity, whether torch's checkpoint is at hand or only the artifact.

With a checkpoint the head becomes more layers of the module, and the export goes its usual way. With an artifact the
head's nodes are put behind the graph of its fp32 build. Both give the same identity, and so the same space:
pooling and the encoder's own layers, then "normalise", because a head sees unit vectors, then the head's dense layers.

What it leaves to others: training the head (`training`), gates and files (`package`), two heads at once (`towers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from ..artifact import Artifact
from ..artifact import manifest as manifests
from ..artifact.fingerprint import Identity, WeightDigest, sort_weights, weight_digest
from ..embed import Model
from ..errors import ModelUnsupported
from ..heads import DenseLayer, Head
from ..model.checkpoint import Checkpoint
from ..model.modules import ACTIVATIONS, NORMALISE, Dense, Normalise
from ..runtime import load_build
from ..runtime.onnx import NAME as ONNXRUNTIME
from ..text import Int64, Recipe, TextEncoder
from ..vectors import Float32
from .graph import OUTPUT

_ACTIVATIONS: Final = {"identity": "torch.nn.modules.linear.Identity", "relu": "torch.nn.modules.activation.ReLU"}
_EMBEDDINGS: Final = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "shared.weight")
_TINY: Final = 1e-12  # what torch's normalize divides by at least


def headed(encoder: Checkpoint | Artifact, head: Head) -> Checkpoint | HeadedArtifact:
    """*encoder* with *head* behind it, ready to be exported: another space.

    Raises:
        ModelUnsupported: the head is for vectors of another length, or the artifact is a composite.
    """
    if isinstance(encoder, Checkpoint):
        source, dims = encoder.source, encoder.dims
    else:
        source, dims = encoder.manifest.name, encoder.manifest.identity.dims
        if encoder.parts:
            raise ModelUnsupported(
                model=str(encoder.folder),
                reason="is a composite of several graphs, and a head is folded into one",
                remedy="train the head on one of its parts, and combine after that",
            )
    if head.source_dims != dims:
        raise ModelUnsupported(
            model=source,
            reason=f"gives {dims} dims, the head takes {head.source_dims}",
            remedy="train the head on this encoder: samespace train-head",
        )
    return _behind_module(encoder, head) if isinstance(encoder, Checkpoint) else HeadedArtifact(encoder, head)


def _behind_module(checkpoint: Checkpoint, head: Head) -> Checkpoint:
    module = checkpoint.module
    modules, described = list(module.layers), list(checkpoint.layers)
    if checkpoint.transform is not None and module.transform is not None:
        # Its numbers become those of a layer, because the head comes after it and a transform comes last.
        modules += [Normalise(), Dense(module.transform, nn.Identity())]
        described += _after_transform(checkpoint.dims)
    modules += [Normalise(), *(_dense(layer) for layer in head.layers)]
    described += [NORMALISE, *(layer.description for layer in head.layers)]
    return replace(
        checkpoint,
        module=module.ending_in(modules),
        layers=tuple(described),
        transform=None,
        router="",
        before_head=checkpoint.before_head or checkpoint,
    )


def _dense(layer: DenseLayer) -> Dense:
    linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
    linear.load_state_dict({"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)})
    return Dense(linear.requires_grad_(False), ACTIVATIONS[_ACTIVATIONS[layer.activation]]())


def _after_transform(dims: int) -> list[Mapping[str, Any]]:
    return [NORMALISE, {"type": "dense", "dims": dims, "activation": "identity"}]


@dataclass(frozen=True)
class HeadedArtifact:
    """An artifact with a head behind its fp32 graph; an `Exportable`.

    Its model of reference is that graph on onnxruntime, which the artifact's own gate held against torch, and the
    head in numpy.
    """

    base: Artifact
    head: Head

    reference = "the base's fp32 build and numpy"
    transform = None

    @property
    def source(self) -> str:
        return str(self.base.manifest.provenance.get("source") or self.base.manifest.name)

    @cached_property
    def tokenizer(self) -> bytes:
        return self.base.read(manifests.TOKENIZER)

    @property
    def recipe(self) -> Recipe:
        return self.base.recipe

    @cached_property
    def text_encoder(self) -> TextEncoder:
        return self.base.text_encoder()

    @property
    def dims(self) -> int:
        return self.head.dims

    @property
    def vocabulary(self) -> int:
        """Rows of the token embedding; where no weight has a name that is known for one, what the tokenizer gives."""
        from tokenizers import Tokenizer

        named = (each.shape[0] for each in self.base.manifest.encoder.weights if each.name.endswith(_EMBEDDINGS))
        return next(named, 0) or int(Tokenizer.from_buffer(self.tokenizer).get_vocab_size())

    @cached_property
    def model(self) -> Model:
        session = load_build(self.base, build="fp32", runtime=ONNXRUNTIME).session

        def run(ids: Int64, mask: Int64) -> Float32:
            return self.head.apply(session(ids, mask))

        return run

    @cached_property
    def identity(self) -> Identity:
        return headed_identity(self.base.manifest.encoder, self.head)

    @property
    def opsets(self) -> tuple[int, ...]:
        build = self.base.manifest.build("fp32")
        assert build is not None  # every artifact has it
        return (build.opset,)

    def graph(self, opset: int) -> bytes:
        build = self.base.manifest.build("fp32")
        assert build is not None and build.opset == opset
        return extended(self.base.graph(build.file).data, self.head)


def headed_identity(base: Identity, head: Head) -> Identity:
    """What `Checkpoint.identity` says of the same encoder with the same head, made of the base's identity alone."""
    layers, weights = list(base.layers), list(base.weights)
    if base.transform is not None:
        layers += _after_transform(base.dims)
        weights = [_renamed(each, f"layers.{len(layers) - 1}.linear.") for each in weights]
    layers.append(NORMALISE)
    for place, layer in enumerate(head.layers, start=len(layers)):
        weights.append(weight_digest(f"layers.{place}.linear.weight", layer.weight))
        weights.append(weight_digest(f"layers.{place}.linear.bias", layer.bias))
    return replace(
        base,
        weights=sort_weights(weights),
        layers=(*layers, *(layer.description for layer in head.layers)),
        transform=None,
        dims=head.dims,
    )


def _renamed(weight: WeightDigest, prefix: str) -> WeightDigest:
    name = weight.name
    return replace(weight, name=prefix + name.removeprefix("transform.")) if name.startswith("transform.") else weight


def extended(graph: bytes, head: Head) -> bytes:
    """The bytes of an ONNX file with *head*'s nodes behind its one output, which keeps its name."""
    from onnx import ModelProto, helper, numpy_helper

    model = ModelProto.FromString(graph)
    graph_proto = model.graph
    taken = _names(graph_proto)
    prefix = next(name for name in ("head", *(f"head{number}" for number in range(2, 100))) if name not in taken)
    base = f"{prefix}_input"
    for node in graph_proto.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == OUTPUT:
                    names[place] = base
    constants: dict[str, np.ndarray[Any, Any]] = {}
    nodes, value = [], base
    for place, layer in enumerate(head.layers):
        name = f"{prefix}_{place}"
        constants |= {f"{name}_weight": layer.weight, f"{name}_bias": layer.bias}
        nodes.append(helper.make_node("Gemm", [value, f"{name}_weight", f"{name}_bias"], [name], name=name, transB=1))
        value = name
        if layer.activation == "relu":
            nodes.append(helper.make_node("Relu", [value], [f"{name}_relu"], name=f"{name}_relu"))
            value = f"{name}_relu"
    constants |= {f"{prefix}_axis": np.array([-1], dtype=np.int64), f"{prefix}_tiny": np.array(_TINY, np.float32)}
    length, bounded = f"{prefix}_length", f"{prefix}_bounded"
    nodes += [
        helper.make_node("ReduceL2", [value, f"{prefix}_axis"], [length], name=length, keepdims=1),
        helper.make_node("Max", [length, f"{prefix}_tiny"], [bounded], name=bounded),
        helper.make_node("Div", [value, bounded], [OUTPUT], name=f"{prefix}_unit"),
    ]
    graph_proto.node.extend(nodes)
    graph_proto.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    graph_proto.output[0].type.tensor_type.shape.dim[1].dim_value = head.dims
    return bytes(model.SerializeToString(deterministic=True))


def _names(graph: Any) -> set[str]:
    """The first words of all names in a graph: what a new name may not begin with."""
    used: Sequence[str] = [
        name
        for node in graph.node
        for name in (node.name, *node.output)
    ] + [each.name for each in graph.initializer]  # fmt: skip
    return {name.partition("_")[0] for name in used}
