"""Does a value of an fp16 build leave fp16? Measured on the fp32 graph: a CPU may compute fp16 operators in fp32.

Every value that the fp16 graph holds in half precision has the same name in the fp32 graph. There it is read out on
the probes, and must not be larger than fp16 holds; the products inside Attention, which have no name, are made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...embed import embed_roles
from ...errors import GateFailed
from ...text import Int64
from ...vectors import Float32
from .parity import ParityReference

LARGEST: Final = 65504.0
"""Of fp16."""
_EACH: Final = 4  # every fourth probe: long ones, short ones, several scripts
_MEASURE: Final = "the largest value that it holds in fp16"


def require_no_overflow(fp32: bytes, half: bytes, wanted: ParityReference) -> float:
    """The largest value, by amount, that *half* holds in fp16, on probes.

    Raises:
        GateFailed: it is beyond fp16, which makes it infinite.
    """
    import onnx
    import onnxruntime

    model = onnx.ModelProto.FromString(fp32)
    vectors = model.graph.output[0].name
    attentions = [node for node in model.graph.node if node.op_type == "Attention"]
    names = _halves(half, model)
    read = list(dict.fromkeys([*names, *(name for node in attentions for name in node.input[:2])]))
    produced = {name for node in model.graph.node for name in node.output}
    read = [name for name in read if name in produced]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in read if name != vectors)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest, where = 0.0, ""

    def run(ids: Int64, mask: Int64) -> Float32:
        nonlocal largest, where
        values = dict(
            zip(
                [vectors, *read], session.run([vectors, *read], {"input_ids": ids, "attention_mask": mask}), strict=True
            )
        )
        sizes = [(name, _largest(values[name])) for name in names if name in values]
        for node in attentions:
            sizes += [(node.name, each) for each in _scores(node, values)]
        for name, size in sizes:
            if not size <= largest:
                largest, where = size, name
        return np.asarray(values[vectors], dtype=np.float32)

    probes, checkpoint = wanted.probes, wanted.checkpoint
    embed_roles(run, checkpoint.text_encoder, probes.texts[::_EACH], probes.roles[::_EACH], dims=checkpoint.dims)
    if not largest <= LARGEST:
        raise GateFailed(build="fp16", measure=f"{_MEASURE} ({where[:80]})", measured=largest, gate=LARGEST)
    return largest


def _halves(half: bytes, exact: Any) -> list[str]:
    """Values of the exact graph that the fp16 graph holds in half precision: outputs of nodes, and what is cast."""
    import onnx

    model = onnx.ModelProto.FromString(half)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    narrow = {each.name for each in inferred if each.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    cast = {node.input[0] for node in model.graph.node if node.op_type == "Cast" and node.output[0] in narrow}
    own = {name for node in exact.graph.node for name in node.output}
    return sorted((narrow | cast) & own)


def _largest(values: npt.NDArray[Any]) -> float:
    """By amount; masks say minus a lot on purpose, and infinity is a mask too."""
    if values.dtype.kind != "f" or not values.size:
        return 0.0
    low = np.finfo(np.float32).min / 2
    counted = values[np.isfinite(values) & (values > low)]
    return float(np.abs(counted).max()) if counted.size else 0.0


def _scores(node: Any, values: dict[str, Any]) -> Iterator[float]:
    """The largest product of a query and a key, scaled as the operator does it."""
    if not all(name in values for name in node.input[:2]):
        return
    query, key = (np.asarray(values[name], dtype=np.float32) for name in node.input[:2])
    whole = {each.name: each for each in node.attribute}
    if query.ndim == 3:
        heads = [whole[name].i for name in ("q_num_heads", "kv_num_heads")]
        query, key = (
            each.reshape(*each.shape[:2], count, -1).transpose(0, 2, 1, 3)
            for each, count in zip((query, key), heads, strict=True)
        )
    if key.shape[1] != query.shape[1]:
        key = np.repeat(key, query.shape[1] // key.shape[1], axis=1)
    scale = whole["scale"].f if "scale" in whole else query.shape[-1] ** -0.5
    yield float(np.abs(scale * (query @ key.transpose(0, 1, 3, 2))).max())
