"""fp16: the exact graph with its matrix products in half precision, for GPUs.

What torch's autocast does, written into the file: matrix products, attention and embeddings hold and compute fp16;
reductions, normalisations and what they feed stay fp32, so the residual stream, the pooling and the unit vectors
do. Elementwise operators compute in the widest of their inputs. Inputs and output keep their types.

onnxruntime's own converter is not used: on these graphs it defines the same cast twice, which no runtime loads,
and with nothing kept in fp32 it misses the gate on all-MiniLM-L6-v2 (1 - cos of 1.8e-4).

What it gives up: graphs with branches, and names of intermediate shapes, which runtimes infer anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from ...errors import BuildUnavailable

_NARROW: Final = frozenset({"MatMul", "Gemm", "Conv", "Attention", "Einsum"})
_WIDE: Final = frozenset(
    {
        "ReduceSum", "ReduceMean", "ReduceL2", "ReduceSumSquare", "ReduceProd", "CumSum", "Softmax", "LogSoftmax",
        "LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization", "LpNormalization",
        "Pow", "Sqrt", "Reciprocal", "Exp", "Log", "Sin", "Cos", "Range",
    }
)  # fmt: skip
_LARGEST: Final = 65504.0  # of fp16; masks say "minus a lot" with larger numbers


def to_half(data: bytes) -> bytes:
    """The bytes of an fp32 ONNX file, as fp16 where that is safe.

    Raises:
        BuildUnavailable: the graph has branches, or a value whose type cannot be inferred.
    """
    import onnx

    model = onnx.ModelProto.FromString(data)
    _Conversion(model).run()
    return bytes(model.SerializeToString(deterministic=True))


class _Conversion:
    """One pass over the nodes in their order, which ONNX guarantees to be topological."""

    def __init__(self, model: Any) -> None:
        import onnx

        self._graph = model.graph
        self._float, self._half = int(onnx.TensorProto.FLOAT), int(onnx.TensorProto.FLOAT16)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        known = (*inferred.value_info, *inferred.input, *inferred.output)
        self._types: dict[str, int] = {each.name: each.type.tensor_type.elem_type for each in known}
        self._constants = {each.name: each for each in self._graph.initializer}
        self._types |= {name: each.data_type for name, each in self._constants.items()}
        self._nodes: list[Any] = []
        self._made: dict[tuple[str, int], str] = {}  # (value, type) -> the name of its other form
        self._new_constants: list[Any] = []

    def run(self) -> None:
        import onnx

        graph, outputs = self._graph, {each.name for each in self._graph.output}
        for node in graph.node:
            if any(each.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for each in node.attribute):
                raise BuildUnavailable(wanted="fp16", available=(), reason=f"{node.op_type} {node.name} has branches")
            self._convert(node)
        for name in outputs:
            if self._types[name] == self._half:
                self._widen_output(name)
        used = {name for node in self._nodes for name in node.input}
        constants = [each for each in graph.initializer if each.name in used] + self._new_constants
        for field, values in (("node", self._nodes), ("initializer", constants), ("value_info", [])):
            graph.ClearField(field)
            getattr(graph, field).extend(values)

    def _convert(self, node: Any) -> None:
        for name in node.output:
            if name and name not in self._types:
                raise BuildUnavailable(wanted="fp16", available=(), reason=f"the type of {name} is not known")
        floats = [place for place, name in enumerate(node.input) if name and self._types[name] in self._both]
        width = self._float
        if floats and node.op_type != "Cast":
            width = self._width(node.op_type, [node.input[place] for place in floats])
            for place in floats:
                node.input[place] = self._as(node.input[place], width)
        for name in node.output:
            if name and self._types[name] == self._float:
                self._types[name] = width
        self._nodes.append(node)

    @property
    def _both(self) -> tuple[int, int]:
        return self._float, self._half

    def _width(self, op: str, floats: Iterable[str]) -> int:
        """What a node computes in: its kind says so, or else the widest value that reaches it; constants follow."""
        if op in _WIDE:
            return self._float
        values = [name for name in floats if name not in self._constants]
        if op in _NARROW or (op == "Gather" and not values):
            return self._half
        return self._half if values and all(self._types[name] == self._half for name in values) else self._float

    def _as(self, name: str, width: int) -> str:
        """*name* in *width*: itself, a rounded constant, or one cast that all who need it share."""
        from onnx import helper, numpy_helper

        if self._types[name] == width:
            return name
        if (name, width) not in self._made:
            made = f"{name}_{'fp16' if width == self._half else 'fp32'}"
            assert made not in self._types
            if name in self._constants:
                self._new_constants.append(numpy_helper.from_array(_rounded(self._constants[name]), made))
            else:
                self._nodes.append(helper.make_node("Cast", [name], [made], name=made, to=width))
            self._types[made] = width
            self._made[name, width] = made
        return self._made[name, width]

    def _widen_output(self, name: str) -> None:
        from onnx import helper

        narrow = f"{name}_narrow"
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, each in enumerate(names):
                    if each == name:
                        names[place] = narrow
        self._nodes.append(helper.make_node("Cast", [narrow], [name], name=name, to=self._float))


def _rounded(constant: Any) -> Any:
    """A constant in fp16; what is finite stays finite."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(constant)
    clipped = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)
    return clipped.astype(np.float16)
