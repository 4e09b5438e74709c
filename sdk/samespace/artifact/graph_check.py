"""What an ONNX file may hold, looked at in its bytes before any runtime opens it.

A digest says that a file is the one its author meant; it does not say that the author meant well. So every build
is read here first, without onnx and without running anything: one graph of standard operators over weights that
are in the file, whole and finite, from `input_ids` and `attention_mask` to vectors of the manifest's dims.

What it gives up: what a graph *computes* cannot be bounded by looking at it. Shapes that are themselves computed
(a `ConstantOfShape` fed by arithmetic) can still ask for any memory, so a server that loads artifacts of people
it does not trust needs a memory limit from its operating system. Sizes that stand in the file are refused here.
That the vectors are the right ones is for the probes to say (`runtime.load`).
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ArtifactDamaged
from ..text import shortened
from . import onnx_fields
from .protobuf import Reader, fixed, numbers, text

MAX_FILE_BYTES: Final = 2**31 - 1  # what protobuf itself can hold
MAX_FIELDS: Final = 250_000  # two layers of any family have 1 to 3 thousand; so many take a second and 50 MB
_ONE_AT_A_TIME: Final = threading.Lock()
"""Held while a file is taken apart: a proof and a load side by side cost no more memory than one of them."""
MAX_DEPTH: Final = 4  # graphs inside the branches of an If
MAX_STATIC_ELEMENTS: Final = 1 << 26
MAX_RANK: Final = 16
INPUTS: Final = ("attention_mask", "input_ids")
DOMAINS: Final = ("", "ai.onnx")

# Operators of the standard domain that no encoder of ours has: without end, or another answer each time.
_REFUSED_OPERATORS: Final = frozenset(
    {
        "Loop", "Scan", "SequenceMap", "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip
_SHAPES_ALONE: Final = frozenset({"Shape", "Size"})  # they read how large a thing is, and not what is in it
# ONNX type -> numpy's name for its bits, how many of them a byte holds, and the field for values outside raw_data.
_TYPES: Final[dict[int, tuple[str, int, str]]] = {
    1: ("<f4", 1, "float_data"), 2: ("u1", 1, "int32_data"), 3: ("i1", 1, "int32_data"), 4: ("<u2", 1, "int32_data"),
    5: ("<i2", 1, "int32_data"), 6: ("<i4", 1, "int32_data"), 7: ("<i8", 1, "int64_data"), 9: ("u1", 1, "int32_data"),
    10: ("<u2", 1, "int32_data"), 11: ("<f8", 1, "double_data"), 12: ("<u4", 1, "uint64_data"),
    13: ("<u8", 1, "uint64_data"), 16: ("<u2", 1, "int32_data"), 21: ("u1", 2, "int32_data"),
    22: ("u1", 2, "int32_data"),
}  # fmt: skip
_FLOAT, _INT64, _FLOAT16, _DOUBLE, _BFLOAT16 = 1, 7, 10, 11, 16
_EXPONENT: Final = {_FLOAT16: 0x7C00, _BFLOAT16: 0x7F80}  # all ones: infinity or NaN
# A constant with this many elements may be infinite (a mask's filler, the end of a Clip); weights may not.
_FEW: Final = 16
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class GraphFile:
    """An ONNX file as bytes, with its name: what was checked is what a runtime opens, whatever the disk holds then."""

    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex digits."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class GraphConstant:
    """One constant: ONNX's number of its type, and its values, flat, as the bits that the file holds."""

    name: str
    code: int
    shape: tuple[int, ...]
    values: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """What is worth knowing of a graph that passed.

    Attributes:
        embedding_rows: of the token embedding, or None if it was not found.
        constants: initialisers and constants, inside branches too, in the order of the file.
        reads: output of a node -> what the node reads, in its branches too; shapes of things are left out.
        output: the name of the vectors.
    """

    embedding_rows: int | None
    constants: tuple[GraphConstant, ...] = ()
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A checked constant: its shape, and its values where it is a short list of whole numbers."""

    shape: tuple[int, ...]
    values: tuple[int, ...] | None


@dataclass(slots=True)
class _Node:
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    whole: Mapping[str, int]  # attributes that are one whole number


@dataclass(slots=True)
class _Scope:
    """One graph: its nodes, and the constants that they may name."""

    constants: ChainMap[str, _Tensor]
    nodes: list[_Node] = field(default_factory=list)


def check_graph(path: Path, *, dims: int) -> Graph:
    """Read an ONNX file and refuse what an encoder of *dims* dims cannot need.

    Time and memory are bounded by the file's size: 90 MB take about a fifth of a second.

    Raises:
        ArtifactDamaged: with the file, and what is in it that may not be.
    """
    try:
        return check_file(GraphFile(path.name, path.read_bytes()), dims=dims, file=str(path))
    except OSError as error:
        raise ArtifactDamaged(file=str(path), reason=f"cannot be read: {error.strerror}") from error


def check_file(graph: GraphFile, *, dims: int, file: str) -> Graph:
    """`check_bytes` of a build's file, whose name and size are looked at too."""
    if not graph.name.endswith(".onnx"):
        raise ArtifactDamaged(file=file, reason="a build's file name has to end in .onnx")
    if len(graph.data) > MAX_FILE_BYTES:
        raise ArtifactDamaged(file=file, reason=f"{len(graph.data)} bytes, an ONNX file has at most {MAX_FILE_BYTES}")
    return check_bytes(graph.data, dims=dims, file=file)


def check_bytes(data: bytes, *, dims: int, file: str) -> Graph:
    """`check_graph` of a file's bytes; *file* is the name that errors give."""
    try:
        with _ONE_AT_A_TIME:
            return _Check(dims).model(memoryview(data))
    except ValueError as error:
        raise ArtifactDamaged(file=file, reason=f"is refused before it is loaded: {error}") from error


class _Check:
    def __init__(self, dims: int) -> None:
        self._dims = dims
        self._read = Reader(MAX_FIELDS)
        self._constants: list[GraphConstant] = []
        self._reads: dict[str, tuple[str, ...]] = {}

    def model(self, data: memoryview) -> Graph:
        model = self._read.message(data, onnx_fields.MODEL, "the model")
        if "graph" not in model:
            raise ValueError("it is no ONNX model: it has no graph")
        graph = self._read.message(model["graph"][0], onnx_fields.GRAPH, "the graph")
        scope = self._graph(graph, ChainMap(), 0)
        self._inputs(graph, scope)
        output = self._output(graph)
        return Graph(_embedding_rows(scope), tuple(self._constants), self._reads, output)

    def _graph(self, graph: Mapping[str, list[Any]], outer: ChainMap[str, _Tensor], depth: int) -> _Scope:
        own: dict[str, _Tensor] = {}
        for each in graph.get("initializer", ()):
            name, tensor = self._tensor(each, "an initializer")
            if name in own:
                raise ValueError(f"two initializers are called {_shown(name)}")
            own[name] = tensor
        scope = _Scope(ChainMap(own, *outer.maps))
        for each in graph.get("node", ()):
            node = self._node(each, scope, depth)
            scope.nodes.append(node)
            _check_sizes(node, scope.constants)
        return scope

    def _node(self, data: memoryview, scope: _Scope, depth: int) -> _Node:
        raw = self._read.message(data, onnx_fields.NODE, "a node")
        op, domain = text(raw.get("op_type")), text(raw.get("domain"))
        if domain not in DOMAINS:
            raise ValueError(f"operator {_shown(op)} is of the domain {_shown(domain)}, only ONNX's own may be used")
        if not op or op in _REFUSED_OPERATORS:
            raise ValueError(f"operator {_shown(op)} has no place in an encoder")
        outputs = tuple(text([name]) for name in raw.get("output", ()))
        whole: dict[str, int] = {}
        inner: list[str] = []
        for each in raw.get("attribute", ()):
            attribute = self._read.message(each, onnx_fields.ATTRIBUTE, f"an attribute of {_shown(op)}")
            name = text(attribute.get("name"))
            if "i" in attribute:
                whole[name] = attribute["i"][0]
            for key, dtype in (("f", "<f4"), ("floats", "<f4")):
                if np.isnan(fixed(attribute.get(key, []), dtype)).any():
                    raise ValueError(f"attribute {_shown(name)} of {_shown(op)} is NaN")
            for tensor in (*attribute.get("t", ()), *attribute.get("tensors", ())):
                _, constant = self._tensor(tensor, f"a constant of {_shown(op)}")
                if op == "Constant" and outputs:
                    scope.constants[outputs[0]] = constant
                    self._constants[-1] = replace(self._constants[-1], name=outputs[0])
            if op == "Constant" and outputs and "ints" in attribute:
                values = tuple(numbers(attribute["ints"]).tolist())
                scope.constants[outputs[0]] = _Tensor((len(values),), values)
            for graph in (*attribute.get("g", ()), *attribute.get("graphs", ())):
                if depth == MAX_DEPTH:
                    raise ValueError(f"graphs are nested more than {MAX_DEPTH} deep")
                branch = self._graph(
                    self._read.message(graph, onnx_fields.GRAPH, "a branch"), scope.constants, depth + 1
                )
                inner += [name for node in branch.nodes for name in (*node.inputs, *node.outputs)]
        inputs = tuple(text([name]) for name in raw.get("input", ()))
        for output in outputs:
            self._reads[output] = () if op in _SHAPES_ALONE else (*inputs, *inner)
        return _Node(op, inputs, outputs, whole)

    def _tensor(self, data: memoryview, what: str) -> tuple[str, _Tensor]:
        raw = self._read.message(data, onnx_fields.TENSOR, what)
        name = text(raw.get("name"))
        what = f"tensor {_shown(name)}" if name else what
        if raw.get("data_location", [0])[0] != 0:
            raise ValueError(f"{what} has its data outside the file (external data)")
        shape = tuple(numbers(raw.get("dims", [])).tolist())
        if len(shape) > MAX_RANK or any(not 0 <= size < 2**31 for size in shape):
            raise ValueError(f"{what} has the shape {_shown(str(shape))}")
        code = raw.get("data_type", [0])[0]
        if code not in _TYPES:
            raise ValueError(f"{what} has ONNX type {code}, which no encoder needs")
        dtype, per_byte, other = _TYPES[code]
        values = _values(raw, dtype, other, what)
        wanted = math.prod(shape)
        if len(values) != -(-wanted // per_byte):
            raise ValueError(f"{what} says shape {list(shape)}, but holds {len(values)} values")
        _check_finite(values, code, what)
        self._constants.append(GraphConstant(name, code, shape, values))
        short = code in (2, 3, 4, 5, 6, 7, 12, 13) and len(values) <= MAX_RANK
        return name, _Tensor(shape, tuple(values.tolist()) if short else None)

    def _inputs(self, graph: Mapping[str, list[Any]], scope: _Scope) -> None:
        values = [self._read.message(each, onnx_fields.VALUE, "an input") for each in graph.get("input", ())]
        names = sorted(text(value.get("name")) for value in values)
        if names != list(INPUTS):
            raise ValueError(f"its inputs are {_shown(', '.join(names))}, expected {', '.join(INPUTS)}")
        for value in values:
            name = text(value.get("name"))
            kind, _ = self._type(value, f"the input {name}")
            if kind != _INT64 or name in scope.constants:
                raise ValueError(f"the input {name} has to be int64, and given by the caller")

    def _output(self, graph: Mapping[str, list[Any]]) -> str:
        outputs = graph.get("output", [])
        if len(outputs) != 1:
            raise ValueError(f"it has {len(outputs)} outputs, expected one")
        value = self._read.message(outputs[0], onnx_fields.VALUE, "the output")
        kind, shape = self._type(value, "the output")
        if kind not in (_FLOAT, _FLOAT16):
            raise ValueError(f"its output has ONNX type {kind}, expected float")
        if shape is not None and (len(shape) != 2 or (shape[1] is not None and shape[1] != self._dims)):
            raise ValueError(f"its output has shape {shape}, the manifest says (batch, {self._dims})")
        return text(value.get("name"))

    def _type(self, value: Mapping[str, list[Any]], what: str) -> tuple[int, list[int | None] | None]:
        kinds = self._read.message(memoryview(b"".join(value.get("type", []))), onnx_fields.TYPE, f"the type of {what}")
        tensor = self._read.message(memoryview(b"".join(kinds.get("tensor_type", []))), onnx_fields.TENSOR_TYPE, what)
        kind = tensor.get("elem_type", [0])[0]
        if "shape" not in tensor:
            return kind, None
        dims = self._read.message(tensor["shape"][0], onnx_fields.SHAPE, what).get("dim", [])
        sizes = [self._read.message(dim, onnx_fields.DIM, what).get("dim_value", [None])[0] for dim in dims]
        return kind, sizes


def _values(raw: Mapping[str, list[Any]], dtype: str, other: str, what: str) -> npt.NDArray[Any]:
    """A tensor's values, from the one field that may hold them."""
    held = [key for key in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
            if key in raw]  # fmt: skip
    if held not in ([], ["raw_data"], [other]):
        raise ValueError(f"{what} has its values in {' and '.join(held)}")
    if other in held:
        return fixed(raw[other], dtype) if dtype in ("<f4", "<f8") else numbers(raw[other]).astype(dtype)
    data = raw.get("raw_data", [b""])[0]
    if len(data) % np.dtype(dtype).itemsize:
        raise ValueError(f"{what} is cut in the middle of a value")
    return np.frombuffer(data, dtype=dtype)


def _check_finite(values: npt.NDArray[Any], code: int, what: str) -> None:
    """Refuse NaN anywhere, and infinity in whatever is not a mask.

    A mask is a few values, or zeros and negative infinities only: attention adds those, and they are legitimate.
    """
    if code not in (_FLOAT, _FLOAT16, _DOUBLE, _BFLOAT16):
        return
    infinite = False
    for part in _chunks(values):
        if code in _EXPONENT:
            special, nan = (part & _EXPONENT[code]) == _EXPONENT[code], (part & 0x7FFF) > _EXPONENT[code]
        else:
            special, nan = ~np.isfinite(part), np.isnan(part)
        if nan.any():
            raise ValueError(f"{what} holds NaN")
        infinite = infinite or bool(special.any())
    if infinite and len(values) > _FEW and not _is_mask(values, code):
        raise ValueError(f"{what} holds infinite numbers")


def _is_mask(values: npt.NDArray[Any], code: int) -> bool:
    lowest = {_FLOAT16: 0xFC00, _BFLOAT16: 0xFF80}.get(code, -np.inf)
    return all(bool(((part == 0) | (part == lowest)).all()) for part in _chunks(values))


def _chunks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def _check_sizes(node: _Node, constants: Mapping[str, _Tensor]) -> None:
    """Refuse a node that says in constants that it makes something huge."""
    given = [constants[name].values if name in constants else None for name in node.inputs]
    if node.op == "ConstantOfShape":
        sizes: Sequence[tuple[int, ...] | None] = given[:1]
    elif node.op in ("Expand", "Tile"):
        sizes = given[1:2]
    elif node.op == "Range" and len(given) == 3 and all(given):
        first, limit, step = (value[0] for value in given if value)
        sizes = [(abs(limit - first) // max(1, abs(step)),)]
    else:
        return
    for shape in sizes:
        if shape is not None and math.prod(max(1, abs(size)) for size in shape) > MAX_STATIC_ELEMENTS:
            raise ValueError(f"{node.op} would make a tensor of {_shown(str(list(shape)))}")


def _embedding_rows(scope: _Scope) -> int | None:
    """The rows of the smallest constant that `input_ids` picks rows from; None where no such Gather is found."""
    makers = {name: node for node in scope.nodes for name in node.outputs}

    def origin(name: str, through: tuple[str, ...]) -> str:
        for _ in range(16):
            node = makers.get(name)
            if node is None or node.op not in through or not node.inputs:
                break
            name = node.inputs[0]
        return name

    rows = [
        scope.constants[table].shape[0]
        for node in scope.nodes
        if node.op == "Gather" and len(node.inputs) == 2 and node.whole.get("axis", 0) == 0
        if origin(node.inputs[1], ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze")) == "input_ids"
        if (table := origin(node.inputs[0], ("Cast", "Identity", "DequantizeLinear"))) in scope.constants
        if scope.constants[table].shape
    ]
    return min(rows) if rows else None


def _shown(name: str) -> str:
    return repr(shortened(name, 80))
