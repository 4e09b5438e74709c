"""The graph that an identity comes to, written anew: is an artifact's graph that one, by every node and constant?

Vectors on some texts leave room for a graph that behaves otherwise on others. The same structure leaves none. So the
encoder is built in torch from the identity and the graph's own weights (`model.rebuilt`), and exported again.

What it gives up: other versions of torch, transformers or the exporter may write another graph for the same encoder.
Then it is only said what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from torch import nn

from ..artifact import Artifact
from ..artifact.structure import describe
from ..heads import DenseLayer, Head
from ..model.architecture import read_architecture
from ..model.modules import NORMALISE, Dense, EncoderModule
from ..model.rebuilt import rebuilt
from ..model.reranker import CrossEncoderModule
from .graph import ExportFailed, to_onnx
from .heads import extended

WRITERS: Final = ("torch", "transformers", "onnx", "onnxscript")
"""The packages on which it depends how a graph is written; an artifact's provenance has their versions."""
_IN_HEADS: Final = ("identity", "relu")


def difference_to_rewritten(artifact: Artifact) -> str:
    """How the fp32 graph of an encoder differs from the one that is written here for its identity; "" for not at all.

    Raises:
        ArtifactDamaged: the identity cannot be built in torch, or its weights are not in the graph.
    """
    build, identity = artifact.manifest.build("fp32"), artifact.manifest.encoder
    assert build is not None  # every artifact has it
    name = str(artifact.folder / build.file)
    found = describe(artifact.graph(build.file).data, file=name)
    module, limit = rebuilt(artifact), identity.recipe.token_limit
    different = ""
    try:
        for graph in _written(module, identity.layers, build.opset, limit):
            differences = found.differences(describe(graph, file="the graph written here"))
            if not differences:
                return ""
            different = different or differences
    except ExportFailed as error:
        different = different or f"cannot be compared, because none can be written here: {error}"
    return f"{different}{_other_writers(artifact)}"


def _other_writers(artifact: Artifact) -> str:
    """What the artifact says wrote it, where that is not what is installed: its word, and a likely reason."""
    said = artifact.manifest.provenance.get("versions")
    told = said if isinstance(said, Mapping) else {}
    others = [f"{name} {told.get(name, 'unknown')} and not {version(name)}" for name in WRITERS
              if str(told.get(name)) != version(name)]  # fmt: skip
    return f" (it says that it was written by {', '.join(others)})" if others else ""


def _written(
    module: EncoderModule | CrossEncoderModule, layers: Sequence[Mapping[str, Any]], opset: int, token_limit: int
) -> Iterator[bytes]:
    """`_graphs` of an encoder, or the one graph of a cross-encoder."""
    if isinstance(module, EncoderModule):
        yield from _graphs(module, layers, opset, token_limit)
        return
    base: Any = module.model
    positions = read_architecture(base.config, "the identity").measured(base.base_model).positions
    yield to_onnx(module, opset, token_limit=token_limit, positions=positions, output="logits")


def _graphs(
    module: EncoderModule, layers: Sequence[Mapping[str, Any]], opset: int, token_limit: int
) -> Iterator[bytes]:
    """The ways to write an encoder: torch's export of all of it, and a head behind that of the encoder before it."""
    positions = read_architecture(module.backbone.config, "the identity").measured(module.backbone).positions
    yield to_onnx(module, opset, token_limit=token_limit, positions=positions)
    cut = max((place for place, layer in enumerate(layers) if layer == NORMALISE), default=-1)
    after = layers[cut + 1 :]
    if cut < 0 or module.transform is not None or not after or not all(_in_head(layer) for layer in after):
        return
    head = Head(tuple(_dense(module.layers[place], layers[place]) for place in range(cut + 1, len(layers))))
    before = list(module.layers[:cut])
    bases = [(module.ending_in(before), layers[:cut])]
    if cut > 1 and layers[cut - 2] == NORMALISE and isinstance(last := module.layers[cut - 1], Dense):
        bases.append((module.ending_in(before[:-2], last.linear), layers[: cut - 2]))  # it was a transform
    for base, described in bases:
        yield from (extended(graph, head) for graph in _graphs(base, described, opset, token_limit))


def _in_head(layer: Mapping[str, Any]) -> bool:
    return layer["type"] == "dense" and layer["activation"] in _IN_HEADS and not layer.get("residual")


def _dense(layer: nn.Module, described: Mapping[str, Any]) -> DenseLayer:
    assert isinstance(layer, Dense)
    return DenseLayer(layer.linear.weight.numpy(), layer.linear.bias.numpy(), described["activation"])
