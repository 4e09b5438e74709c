"""From a checkpoint to one ONNX graph: ids and mask in, unit vectors out.

Exported with torch's dynamo exporter. Opset 23 has operators of its own for attention and for rotary positions,
opset 20 spells both out. The order of `OPSETS` is a measured preference, and the first whose graph passes parity
is taken: `benchmarks/architectures.py` times both for every family, and 23 is the faster one or as fast. Nothing is
timed during an export, because then the same checkpoint could give other bytes on the next run.

What the exporter gets wrong is put right here, without touching a weight: at opset 23 the rotary tables have
batch one, and onnxruntime wants them as large as the batch.
"""

from __future__ import annotations

import io
import warnings
from typing import Any, Final

import numpy as np
import torch

from ..errors import ModelUnsupported
from ..model.checkpoint import Checkpoint
from ..model.exportable import BringsGraph
from ..model.quiet import quiet
from ..model.reranker import RerankerCheckpoint

OPSETS: Final = (23, 20)
INPUTS: Final = ["input_ids", "attention_mask"]
OUTPUT: Final = "vectors"


def opsets_of(encoder: Checkpoint | BringsGraph) -> tuple[int, ...]:
    """Which opsets to try, the best first."""
    return OPSETS if isinstance(encoder, Checkpoint) else encoder.opsets


def graph_of(encoder: Checkpoint | BringsGraph, opset: int) -> bytes:
    """The bytes of an fp32 ONNX file: torch's export of a checkpoint, or the graph that the encoder brings.

    Raises:
        ModelUnsupported: there is none at this opset.
    """
    return graph_of_checkpoint(encoder, opset) if isinstance(encoder, Checkpoint) else encoder.graph(opset)


def graph_of_checkpoint(checkpoint: Checkpoint | RerankerCheckpoint, opset: int, *, output: str = OUTPUT) -> bytes:
    """The bytes of torch's export in fp32.

    Args:
        output: the name of what the graph gives.

    Raises:
        ModelUnsupported: torch does not export it at this opset.
    """
    limit, architecture = checkpoint.recipe.token_limit, checkpoint.architecture
    try:
        return to_onnx(checkpoint.module, opset, token_limit=limit, positions=architecture.positions, output=output)
    except ExportFailed as error:
        raise ModelUnsupported(
            model=checkpoint.source,
            reason=f"{architecture.model_type} does not export at opset {opset}: {error}",
            remedy="please report the architecture",
        ) from error


class ExportFailed(Exception):
    """torch's exporter gave up; the message is the first line of its reason."""


def to_onnx(
    module: torch.nn.Module, opset: int, *, token_limit: int, positions: int | None = None, output: str = OUTPUT
) -> bytes:
    """The bytes of an ONNX file that takes any batch and any number of tokens up to *positions*.

    Args:
        module: ids and mask, (batch, tokens) int64 each, to unit vectors, (batch, dims) float32.
        opset: of ONNX.
        token_limit: tokens of one model input at most; the example that is traced is not longer.
        positions: entries of the model's position table; None where it has no such limit.
        output: the name of what the graph gives.

    Raises:
        ExportFailed: torch cannot export this module at this opset.
    """
    # Two rows of unlike length: the exporter specialises sizes of 0 and 1, and a mask of ones folds away.
    ids = torch.ones((2, min(9, token_limit)), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    batch, tokens = torch.export.Dim("batch", min=1, max=65_536), torch.export.Dim("tokens", min=1, max=1_048_576)
    if positions is not None:
        tokens = torch.export.Dim("tokens", min=1, max=positions)
    shapes = {name: {0: batch, 1: tokens} for name in INPUTS}
    try:
        # The exporter warns about its own internals and about torchvision: nothing a user can act on.
        with quiet("torch.onnx"), warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                module,
                (ids, mask),
                dynamo=True,
                opset_version=opset,
                input_names=INPUTS,
                output_names=[output],
                dynamic_shapes=shapes,
                verbose=False,
                external_data=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise ExportFailed(_first_line(error)) from error
    assert program is not None
    return _plain(program, module)


def _batched_rotary(graph: Any) -> None:
    """Expand the tables of `RotaryEmbedding`, (1, tokens, half a head), over the batch, in place.

    The exporter's fusion gives one table for all rows; the operator's specification wants one a row.
    """
    from onnx import NodeProto, helper, numpy_helper

    tables = {node.input[place] for node in graph.node if node.op_type == "RotaryEmbedding" for place in (1, 2)}
    if not tables:
        return
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1], dtype=np.int64), "rotary_ones"))
    nodes = [
        helper.make_node("Shape", [INPUTS[0]], ["rotary_batch"], name="rotary_batch", start=0, end=1),
        helper.make_node("Concat", ["rotary_batch", "rotary_ones"], ["rotary_shape"], name="rotary_shape", axis=0),
    ]
    expanded: set[str] = set()
    for node in graph.node:
        copy = NodeProto.FromString(node.SerializeToString())
        for place in (1, 2) if copy.op_type == "RotaryEmbedding" else ():
            table = copy.input[place]
            if table not in expanded:
                expanded.add(table)
                name = f"{table}_batched"
                nodes.append(helper.make_node("Expand", [table, "rotary_shape"], [name], name=name))
            copy.input[place] = f"{table}_batched"
        nodes.append(copy)
    del graph.node[:]
    graph.node.extend(nodes)


def _unfolded(graph: Any, module: torch.nn.Module) -> None:
    """Put a weight w in the place of a constant 1 + w that the exporter made of it (Gemma's norms), and add 1 there.

    The weights of an identity are looked for in the graph, and 1 + w cannot be taken back to w: it is rounded.
    """
    from onnx import helper, numpy_helper

    vectors = {
        (1.0 + weight).numpy().tobytes(): (name, weight.numpy())
        for name, weight in module.state_dict().items()
        if weight.ndim == 1 and weight.dtype == torch.float32
    }
    plain = {weight.tobytes() for _, weight in vectors.values()}
    added = []
    for tensor in list(graph.initializer):
        if tensor.data_type != 1 or len(tensor.dims) != 1:
            continue
        data = numpy_helper.to_array(tensor).tobytes()
        if data in plain or data not in vectors:
            continue
        name, weight = vectors[data]
        graph.initializer.append(numpy_helper.from_array(weight, f"{tensor.name}_less_one"))
        added.append(
            helper.make_node("Add", [f"{tensor.name}_less_one", "one_more"], [tensor.name], name=f"add_{name}")
        )
        graph.initializer.remove(tensor)
    if added:
        graph.initializer.append(numpy_helper.from_array(np.array(1.0, dtype=np.float32), "one_more"))
        nodes = [*added, *graph.node]
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _plain(program: Any, module: torch.nn.Module) -> bytes:
    """Serialise without what differs from run to run or tells about the exporting machine."""
    model = program.model_proto
    _batched_rotary(model.graph)
    _unfolded(model.graph, module)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    buffer = io.BytesIO()
    buffer.write(model.SerializeToString(deterministic=True))
    return buffer.getvalue()


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:300]
